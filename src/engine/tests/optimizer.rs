//! The optimizer's session: in place as beside, and as double precision has it.

use std::sync::Arc;

use ndarray::{ArrayD, IxDyn};
use ort::value::Tensor;

use crate::engine::backend::binding::{Bound, Feed, open};
use crate::engine::backend::error::EngineError;
use crate::engine::backend::place::Place;
use crate::engine::graph::graph::Kernels;
use crate::engine::graph::optimizer::config::{CORRECTIONS, LEARNING_RATES, anchor};
use crate::engine::graph::optimizer::{AdamW, OptimizerConfig, ParameterGroup, Sgd, Update};
use crate::engine::onnx;
use crate::engine::runtime::device::Precision;
use crate::engine::samples::harness::{Numbers, execute, near, runtime};
use crate::engine::samples::reference::Real;

const ADAMW: AdamW = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
const SGD: Sgd = Sgd { momentum: 0.9 };
const STEPS: u64 = 5;
const HERE: Place = Place::Host;

fn shapes() -> Vec<Vec<usize>> {
    vec![vec![3, 17], vec![40_001], vec![1], vec![2, 3, 4]]
}

fn parameters() -> Vec<(String, Vec<usize>)> {
    (0..).map(|i: usize| i.to_string()).zip(shapes()).collect()
}

/// Two parameters share a group; rates lie between half and twice the first.
fn config(update: impl Update + 'static, gradient_clip: Option<f32>) -> OptimizerConfig {
    let group = |names: &[&str], learning_rate, weight_decay| ParameterGroup {
        parameters: names.iter().map(|name| (*name).to_owned()).collect(),
        learning_rate,
        weight_decay,
        pull: 0.0,
    };
    let groups =
        vec![group(&["0", "2"], 0.02, 0.01), group(&["1"], 0.01, 0.1), group(&["3"], 0.04, 0.3)];
    OptimizerConfig { update: Arc::new(update), gradient_clip, groups }
}

fn rates(values: &[f64]) -> Feed {
    Feed::F32(vec![values.len()], values.iter().map(|&value| value as f32).collect())
}

fn single(x: &Real) -> ArrayD<f32> {
    x.mapv(|value| value as f32)
}

fn feed(x: &ArrayD<f32>) -> Feed {
    Feed::F32(x.shape().to_vec(), x.iter().copied().collect())
}

/// The rule of an update of one number, in double precision: the settings, the states, the
/// parameter, its clipped gradient, learning rate and weight decay, and the step from 1.
type Rule<U> = fn(&U, &mut [f64], f64, f64, [f64; 2], i32) -> f64;

/// PyTorch's AdamW.
fn adamw(
    &AdamW { beta1, beta2, epsilon }: &AdamW,
    states: &mut [f64],
    p: f64,
    g: f64,
    [rate, decay]: [f64; 2],
    step: i32,
) -> f64 {
    states[0] = beta1 * states[0] + (1.0 - beta1) * g;
    states[1] = beta2 * states[1] + (1.0 - beta2) * g * g;
    let first = states[0] / (1.0 - beta1.powi(step));
    let second = states[1] / (1.0 - beta2.powi(step));
    p * (1.0 - rate * decay) - rate * first / (second.sqrt() + epsilon)
}

/// PyTorch's SGD.
fn sgd(
    &Sgd { momentum }: &Sgd,
    states: &mut [f64],
    p: f64,
    g: f64,
    [rate, decay]: [f64; 2],
    _: i32,
) -> f64 {
    states[0] = momentum * states[0] + g + decay * p;
    p - rate * states[0]
}

/// Parameters and their states in double precision.
struct Witness {
    parameters: Vec<Real>,
    states: Vec<Vec<Real>>,
}

impl Witness {
    /// Takes a step with PyTorch's `clip_grad_norm_` and returns the gradients' norm before
    /// clipping.
    fn step<U>(
        &mut self,
        (config, update, rule): (&OptimizerConfig, &U, Rule<U>),
        gradients: &[Real],
        learning_rates: &[f64],
        step: i32,
    ) -> f64 {
        let norm = gradients
            .iter()
            .flat_map(|gradient| gradient.iter())
            .map(|g| g * g)
            .sum::<f64>()
            .sqrt();
        let scale =
            config.gradient_clip.map_or(1.0, |clip| (f64::from(clip) / (norm + 1e-6)).min(1.0));
        for (i, gradient) in gradients.iter().enumerate() {
            let group = config.group_of(&i.to_string()).expect("every parameter has a group");
            let settings = [learning_rates[group], f64::from(config.groups[group].weight_decay)];
            let (parameter, states) = (&mut self.parameters[i], &mut self.states[i]);
            for (place, (p, g)) in parameter.iter_mut().zip(gradient).enumerate() {
                let mut own: Vec<f64> = states
                    .iter()
                    .map(|state| state.as_slice().expect("contiguous")[place])
                    .collect();
                *p = rule(update, &mut own, *p, g * scale, settings, step);
                for (state, value) in states.iter_mut().zip(own) {
                    state.as_slice_mut().expect("contiguous")[place] = value;
                }
            }
        }
        norm
    }
}

fn check<U: Update + Copy + 'static>(
    update: U,
    rule: Rule<U>,
    gradient_clip: Option<f32>,
    kernels: Kernels,
) -> Result<(), EngineError> {
    let config = &config(update, gradient_clip);
    let (shapes, mut numbers) = (shapes(), Numbers::new(11));
    let states = config.update.states();
    let start: Vec<Real> = shapes.iter().map(|shape| numbers.real(shape)).collect();
    let blank =
        || shapes.iter().map(|shape| vec![Real::zeros(IxDyn(shape)); states]).collect::<Vec<_>>();
    let mut witness = Witness { parameters: start.clone(), states: blank() };
    let mut beside: Vec<ArrayD<f32>> = start.iter().map(single).collect();
    let mut beside_states: Vec<Vec<ArrayD<f32>>> =
        blank().iter().map(|states| states.iter().map(single).collect()).collect();

    let graph = config.graph(&parameters(), kernels, None)?;
    let mut session = Bound::new(open(runtime(), HERE, Precision::Fp32, &onnx::write(&graph))?)?;
    let mut norm = HERE.tensor(&[1])?;
    session.binding.bind_output("gradient_norm", &mut norm)?;
    #[expect(clippy::type_complexity, reason = "parameter, gradient and states")]
    let mut own: Vec<(Tensor<f32>, Tensor<f32>, Vec<Tensor<f32>>)> = Vec::new();
    for (i, shape) in shapes.iter().enumerate() {
        let (mut parameter, gradient) = (HERE.hold(shape, &beside[i])?, HERE.tensor(shape)?);
        let mut states = (0..states).map(|_| HERE.zeros(shape)).collect::<Result<Vec<_>, _>>()?;
        session.binding.bind_input(format!("parameter.{i}"), &parameter)?;
        session.binding.bind_output(format!("new_parameter.{i}"), &mut parameter)?;
        session.binding.bind_input(format!("gradient.{i}"), &gradient)?;
        for (j, state) in states.iter_mut().enumerate() {
            session.binding.bind_input(format!("state.{i}.{j}"), state)?;
            session.binding.bind_output(format!("new_state.{i}.{j}"), state)?;
        }
        own.push((parameter, gradient, states));
    }

    for step in 1..=STEPS {
        let gradients: Vec<Real> = shapes.iter().map(|shape| numbers.real(shape)).collect();
        let learning_rates: Vec<f64> =
            config.learning_rates().into_iter().map(|rate| rate / step as f64).collect();
        let corrections = config.update.corrections(step);
        let scalars = [
            (LEARNING_RATES.to_owned(), rates(&learning_rates)),
            (CORRECTIONS.to_owned(), Feed::F32(vec![corrections.len()], corrections)),
        ];
        // SGD has no corrections, and its graph no such input.
        let scalars = scalars[..if states > 1 { 2 } else { 1 }].to_vec();
        let mut feeds = scalars.clone();
        for (i, gradient) in gradients.iter().enumerate() {
            HERE.overwrite(&mut own[i].1, &single(gradient))?;
            feeds.push((format!("gradient.{i}"), feed(&single(gradient))));
            feeds.push((format!("parameter.{i}"), feed(&beside[i])));
            feeds.extend(
                beside_states[i]
                    .iter()
                    .enumerate()
                    .map(|(j, state)| (format!("state.{i}.{j}"), feed(state))),
            );
        }
        session.feed(scalars.clone())?;
        session.run()?;
        let outputs = execute(&graph, feeds)?;
        let expected_norm =
            witness.step((config, &update, rule), &gradients, &learning_rates, step as i32);
        let found_norm = f64::from(norm.extract_tensor().1[0]);
        assert!(
            (found_norm / expected_norm - 1.0).abs() < 1e-6,
            "{config:?} {kernels:?}: norm {found_norm}, expected {expected_norm}"
        );
        for i in 0..shapes.len() {
            let what = format!("{config:?} {kernels:?}: step {step}, parameter {i}");
            beside[i] = outputs[&format!("new_parameter.{i}")].clone();
            assert_eq!(HERE.read(&own[i].0)?, beside[i], "{what}: in place against beside");
            near(&beside[i], &witness.parameters[i], 2e-6)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            for j in 0..states {
                beside_states[i][j] = outputs[&format!("new_state.{i}.{j}")].clone();
                assert_eq!(
                    HERE.read(&own[i].2[j])?,
                    beside_states[i][j],
                    "{what}: state {j} in place against beside"
                );
                near(&beside_states[i][j], &witness.states[i][j], 2e-6)
                    .unwrap_or_else(|error| panic!("{what}: state {j}: {error}"));
            }
        }
    }
    Ok(())
}

#[test]
fn an_update_in_place_is_the_update() -> Result<(), EngineError> {
    // Without clipping, with clipping that bites, and with clipping that does not.
    for clip in [None, Some(1.0), Some(1e6)] {
        for kernels in [Kernels::Fused, Kernels::Standard] {
            check(ADAMW, adamw, clip, kernels)?;
            check(SGD, sgd, clip, kernels)?;
        }
    }
    Ok(())
}

#[test]
fn a_parameter_without_a_group_is_named() {
    let config = config(ADAMW, None);
    let error = config.graph(&[("odd".to_owned(), vec![2])], Kernels::Standard, None).err();
    assert!(error.is_some_and(|error| error.0.contains("`odd`")));
}

#[derive(serde::Deserialize)]
struct Pulls {
    pulls: Vec<Pull>,
}

/// Steps of two parameters, of which the first is pulled.
#[derive(serde::Deserialize)]
struct Pull {
    strength: f32,
    clip: f32,
    optimizer: String,
    first: [Vec<f64>; 2],
    gradients: Vec<[Vec<f64>; 2]>,
    norms: Vec<f64>,
    after: Vec<[Vec<f64>; 2]>,
}

/// The pull is the penalty that PyTorch has in its loss (tests/record_stability.py).
#[test]
fn a_pull_is_the_penalty_in_the_loss() -> Result<(), EngineError> {
    let recorded = include_str!("../../../tests/data/stability.json");
    let Pulls { pulls } = serde_json::from_str(recorded).expect("the recorded file is whole");
    for pull in &pulls {
        for kernels in [Kernels::Fused, Kernels::Standard] {
            match pull.optimizer.as_str() {
                "adamw" => check_pull(pull, ADAMW, kernels)?,
                _ => check_pull(pull, SGD, kernels)?,
            }
        }
    }
    Ok(())
}

fn check_pull(
    pull: &Pull,
    update: impl Update + 'static,
    kernels: Kernels,
) -> Result<(), EngineError> {
    let group = |name: &str, weight_decay, pull| ParameterGroup {
        parameters: vec![name.to_owned()],
        learning_rate: 0.05,
        weight_decay,
        pull,
    };
    let states = update.states();
    let config = OptimizerConfig {
        update: Arc::new(update),
        gradient_clip: Some(pull.clip),
        groups: vec![group("0", 0.0, pull.strength), group("1", 0.1, 0.0)],
    };
    let named = [("0".to_owned(), vec![3, 4]), ("1".to_owned(), vec![4])];
    let graph = config.graph(&named, kernels, None)?;
    let real = |index: usize, values: &[f64]| {
        Real::from_shape_vec(IxDyn(&named[index].1), values.to_vec()).expect("recorded shapes")
    };
    let array = |index: usize, values: &[f64]| single(&real(index, values));
    let mut now: Vec<ArrayD<f32>> = (0..2).map(|i| array(i, &pull.first[i])).collect();
    let mut moments: Vec<Vec<ArrayD<f32>>> =
        now.iter().map(|array| vec![array.mapv(|_| 0.0); states]).collect();
    for (step, gradients) in (1..).zip(&pull.gradients) {
        let mut feeds = vec![
            (LEARNING_RATES.to_owned(), rates(&config.learning_rates())),
            (anchor(0), feed(&array(0, &pull.first[0]))),
        ];
        let corrections = config.update.corrections(step);
        if !corrections.is_empty() {
            feeds.push((CORRECTIONS.to_owned(), Feed::F32(vec![corrections.len()], corrections)));
        }
        for i in 0..2 {
            feeds.push((format!("parameter.{i}"), feed(&now[i])));
            feeds.push((format!("gradient.{i}"), feed(&array(i, &gradients[i]))));
            let states = moments[i].iter().enumerate();
            feeds.extend(states.map(|(j, state)| (format!("state.{i}.{j}"), feed(state))));
        }
        let outputs = execute(&graph, feeds)?;
        let place = step as usize - 1;
        let norm = f64::from(outputs["gradient_norm"].first().copied().unwrap_or_default());
        assert!((norm / pull.norms[place] - 1.0).abs() < 1e-5, "{norm} {}", pull.norms[place]);
        for i in 0..2 {
            now[i] = outputs[&format!("new_parameter.{i}")].clone();
            near(&now[i], &real(i, &pull.after[place][i]), 1e-5)
                .unwrap_or_else(|error| panic!("step {step}, parameter {i}: {error}"));
            for j in 0..states {
                moments[i][j] = outputs[&format!("new_state.{i}.{j}")].clone();
            }
        }
    }
    Ok(())
}

/// Rows that never have a gradient are decayed at the end in place of at each step; that must be
/// the same to the last bit.
#[test]
fn a_parameter_without_gradient_only_decays_bitwise() -> Result<(), EngineError> {
    let config = config(ADAMW, Some(1.0));
    let (shapes, mut numbers) = (shapes(), Numbers::new(12));
    for kernels in [Kernels::Fused, Kernels::Standard] {
        let graph = config.graph(&parameters(), kernels, None)?;
        let mut feeds = vec![
            (LEARNING_RATES.to_owned(), rates(&[0.013, 0.007, 0.03])),
            (CORRECTIONS.to_owned(), Feed::F32(vec![2], config.update.corrections(3))),
        ];
        let parameters: Vec<ArrayD<f32>> =
            shapes.iter().map(|shape| single(&numbers.real(shape))).collect();
        for (i, parameter) in parameters.iter().enumerate() {
            let nothing = feed(&parameter.mapv(|_| 0.0));
            feeds.push((format!("parameter.{i}"), feed(parameter)));
            feeds.push((format!("gradient.{i}"), nothing.clone()));
            feeds.extend((0..2).map(|j| (format!("state.{i}.{j}"), nothing.clone())));
        }
        let outputs = execute(&graph, feeds)?;
        for (i, parameter) in parameters.iter().enumerate() {
            let mut idle = parameter.clone();
            let group = config.group_of(&i.to_string()).expect("every parameter has a group");
            config.decay_unused_rows(
                group,
                &[Some([0.013, 0.007, 0.03][group])],
                idle.as_slice_mut().expect("fresh arrays are contiguous"),
                &mut |_, _| (),
            );
            assert_eq!(outputs[&format!("new_parameter.{i}")], idle, "{kernels:?} {i}");
        }
    }
    Ok(())
}
