//! The optimizer's session: in place as beside, and as double precision has it.

use ndarray::{ArrayD, IxDyn};
use ort::value::Tensor;

use crate::engine::backend::binding::{Bound, Feed, open};
use crate::engine::backend::error::EngineError;
use crate::engine::backend::place::Place;
use crate::engine::graph::graph::Kernels;
use crate::engine::graph::optimizer::{Algorithm, Group, OptimizerConfig};
use crate::engine::onnx;
use crate::engine::runtime::device::Precision;
use crate::engine::samples::harness::{Numbers, execute, near, runtime};
use crate::engine::samples::reference::Real;

const ADAMW: Algorithm = Algorithm::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
const SGD: Algorithm = Algorithm::Sgd { momentum: 0.9 };
const STEPS: u64 = 5;
const HERE: Place = Place::Host;

fn shapes() -> Vec<Vec<usize>> {
    vec![vec![3, 17], vec![40_001], vec![1], vec![2, 3, 4]]
}

fn config(algorithm: Algorithm, gradient_clip: Option<f32>) -> OptimizerConfig {
    let group = |weight_decay, rate_factor| Group { weight_decay, rate_factor };
    OptimizerConfig {
        algorithm,
        gradient_clip,
        groups: vec![group(0.01, 1.0), group(0.1, 0.5), group(0.0, 1.0), group(0.3, 2.0)],
    }
}

fn single(x: &Real) -> ArrayD<f32> {
    x.mapv(|value| value as f32)
}

fn feed(x: &ArrayD<f32>) -> Feed {
    Feed::F32(x.shape().to_vec(), x.iter().copied().collect())
}

/// PyTorch's AdamW and SGD with `clip_grad_norm_`, written out in double precision.
struct Witness {
    parameters: Vec<Real>,
    states: Vec<Vec<Real>>,
}

impl Witness {
    /// Takes a step and returns the gradients' norm before clipping.
    fn step(
        &mut self,
        config: &OptimizerConfig,
        gradients: &[Real],
        learning_rate: f64,
        step: u64,
    ) -> f64 {
        let norm = gradients
            .iter()
            .flat_map(|gradient| gradient.iter())
            .map(|g| g * g)
            .sum::<f64>()
            .sqrt();
        let scale =
            config.gradient_clip.map_or(1.0, |clip| (f64::from(clip) / (norm + 1e-6)).min(1.0));
        for (i, group) in config.groups.iter().enumerate() {
            let rate = learning_rate * f64::from(group.rate_factor);
            let decay = f64::from(group.weight_decay);
            let (parameter, states) = (&mut self.parameters[i], &mut self.states[i]);
            for (place, p) in parameter.iter_mut().enumerate() {
                let g = gradients[i].as_slice().expect("contiguous")[place] * scale;
                let mut state = |index: usize, f: &dyn Fn(f64) -> f64| {
                    let value = &mut states[index].as_slice_mut().expect("contiguous")[place];
                    *value = f(*value);
                    *value
                };
                match config.algorithm {
                    Algorithm::AdamW { beta1, beta2, epsilon } => {
                        let first = state(0, &|m| beta1 * m + (1.0 - beta1) * g)
                            / (1.0 - beta1.powf(step as f64));
                        let second = state(1, &|v| beta2 * v + (1.0 - beta2) * g * g)
                            / (1.0 - beta2.powf(step as f64));
                        *p = *p * (1.0 - rate * decay) - rate * first / (second.sqrt() + epsilon);
                    }
                    Algorithm::Sgd { momentum } => {
                        let penalized = g + decay * *p;
                        *p -= rate * state(0, &|b| momentum * b + penalized);
                    }
                }
            }
        }
        norm
    }
}

fn check(config: &OptimizerConfig, kernels: Kernels) -> Result<(), EngineError> {
    let (shapes, mut numbers) = (shapes(), Numbers::new(11));
    let parameters: Vec<Real> = shapes.iter().map(|shape| numbers.real(shape)).collect();
    let blank = || {
        shapes
            .iter()
            .map(|shape| vec![Real::zeros(IxDyn(shape)); config.states()])
            .collect::<Vec<_>>()
    };
    let mut witness = Witness { parameters: parameters.clone(), states: blank() };
    let mut beside: Vec<ArrayD<f32>> = parameters.iter().map(single).collect();
    let mut beside_states: Vec<Vec<ArrayD<f32>>> =
        blank().iter().map(|states| states.iter().map(single).collect()).collect();

    let graph = config.graph(&shapes, kernels, None)?;
    let mut update = Bound::new(open(runtime(), HERE, Precision::Fp32, &onnx::write(&graph))?)?;
    let (mut scalars, mut norm) = (HERE.tensor(&[3])?, HERE.tensor(&[1])?);
    update.binding.bind_input("scalars", &scalars)?;
    update.binding.bind_output("gradient_norm", &mut norm)?;
    #[expect(clippy::type_complexity, reason = "parameter, gradient and states")]
    let mut own: Vec<(Tensor<f32>, Tensor<f32>, Vec<Tensor<f32>>)> = Vec::new();
    for (i, shape) in shapes.iter().enumerate() {
        let (mut parameter, gradient) = (HERE.hold(shape, &beside[i])?, HERE.tensor(shape)?);
        let mut states =
            (0..config.states()).map(|_| HERE.zeros(shape)).collect::<Result<Vec<_>, _>>()?;
        update.binding.bind_input(format!("parameter.{i}"), &parameter)?;
        update.binding.bind_output(format!("new_parameter.{i}"), &mut parameter)?;
        update.binding.bind_input(format!("gradient.{i}"), &gradient)?;
        for (j, state) in states.iter_mut().enumerate() {
            update.binding.bind_input(format!("state.{i}.{j}"), state)?;
            update.binding.bind_output(format!("new_state.{i}.{j}"), state)?;
        }
        own.push((parameter, gradient, states));
    }

    for step in 1..=STEPS {
        let gradients: Vec<Real> = shapes.iter().map(|shape| numbers.real(shape)).collect();
        let learning_rate = 0.02 / step as f64;
        let values = config.scalars(learning_rate, step);
        scalars.extract_tensor_mut().1.copy_from_slice(&values);
        let mut feeds = vec![("scalars".to_owned(), Feed::F32(vec![3], values.to_vec()))];
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
        update.run()?;
        let outputs = execute(&graph, feeds)?;
        let expected_norm = witness.step(config, &gradients, learning_rate, step);
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
            for j in 0..config.states() {
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
    for algorithm in [ADAMW, SGD] {
        // Without clipping, with clipping that bites, and with clipping that does not.
        for clip in [None, Some(1.0), Some(1e6)] {
            for kernels in [Kernels::Fused, Kernels::Standard] {
                check(&config(algorithm, clip), kernels)?;
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
        let graph = config.graph(&shapes, kernels, None)?;
        let mut feeds =
            vec![("scalars".to_owned(), Feed::F32(vec![3], config.scalars(0.013, 3).to_vec()))];
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
            config.step_idle(
                config.groups[i],
                &[0.013],
                idle.as_slice_mut().expect("fresh arrays are contiguous"),
            );
            assert_eq!(outputs[&format!("new_parameter.{i}")], idle, "{kernels:?} {i}");
        }
    }
    Ok(())
}
