//! The contrastive losses, SetFit's pairs and its learning rates compared with what PyTorch and
//! setfit say (tests/record_contrastive.py).

use ndarray::{ArrayD, Axis, IxDyn};
use serde::Deserialize;
use serde_json::Value;

use super::distillation::Distillation;
use super::loss::{ContrastiveLoss, Row, Setfit, Supcon};
use super::pairs::pairs;
use crate::engine::backend::binding::Feed;
use crate::engine::graph::autodiff::gradients;
use crate::engine::samples::harness::{execute, near};
use crate::engine::{Dim, Graph, Kernels, TensorFact};
use crate::stages::train::objective::contract::{MicroBatch, Objective as _};
use crate::stages::train::schedule::{Schedule, Warmup, factor};

type Tested = Result<(), Box<dyn std::error::Error>>;

#[derive(Deserialize)]
struct Recorded {
    batches: Vec<Batch>,
    permutations: Vec<Order>,
    pairs: Vec<Drawn>,
    schedules: Vec<Rates>,
}

#[derive(Deserialize)]
struct Batch {
    name: String,
    labels: Vec<usize>,
    /// How much each text counts; all 1 where there are none.
    weights: Option<Vec<f32>>,
    z: Vec<Vec<f64>>,
    all_pairs: Loss,
    supcon: Vec<Loss>,
    triplet: Loss,
    cosine: Option<Loss>,
}

#[derive(Deserialize)]
struct Loss {
    loss: f64,
    gradient: Vec<Vec<f64>>,
    temperature: Option<f64>,
    pairs: Option<Vec<[usize; 3]>>,
}

#[derive(Deserialize)]
struct Order {
    texts: usize,
    order: Vec<u64>,
}

#[derive(Deserialize)]
struct Drawn {
    labels: Vec<usize>,
    num_iterations: Option<usize>,
    /// None where setfit fails.
    pairs: Option<Vec<[usize; 3]>>,
}

#[derive(Deserialize)]
struct Rates {
    learning_rate: f64,
    steps: u64,
    warmup: f64,
    rates: Vec<f64>,
}

fn recorded() -> Result<Recorded, Box<dyn std::error::Error>> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/contrastive.json");
    Ok(serde_json::from_slice(&fs_err::read(file)?)?)
}

/// Returns rows as one array.
fn array(rows: &[Vec<f64>]) -> ArrayD<f64> {
    let width = rows.first().map_or(0, Vec::len);
    let values = rows.concat();
    ArrayD::from_shape_fn(IxDyn(&[rows.len(), width]), |at| values[at[0] * width + at[1]])
}

/// Returns the loss of vectors that are scaled to length 1, and its gradient by the vectors.
fn computed(
    loss: &ContrastiveLoss,
    z: &ArrayD<f64>,
    rows: &[Row],
) -> Result<(f32, ArrayD<f32>), Box<dyn std::error::Error>> {
    let mut g = Graph::new(Kernels::Fused);
    let fact = TensorFact::f32(vec![Dim::Named("B"), Dim::Fixed(z.shape()[1])]);
    let input = g.input("z", fact);
    let unit = g.scaled_to_one(input)?;
    let scalar = loss.graph(&mut g, unit)?;
    let gradient = gradients(&mut g, scalar, &[input])?[0].ok_or("no gradient")?;
    g.output("loss", scalar);
    g.output("gradient", gradient);
    let mut feeds = loss.feeds(rows, 1);
    let values = z.iter().map(|value| *value as f32).collect();
    feeds.push(("z".to_owned(), Feed::F32(z.shape().to_vec(), values)));
    let mut found = execute(&g, feeds)?;
    let loss = found.remove("loss").and_then(|loss| loss.first().copied()).ok_or("no loss")?;
    Ok((loss, found.remove("gradient").ok_or("no gradient")?))
}

fn check(
    name: &str,
    loss: &ContrastiveLoss,
    (z, rows): (&ArrayD<f64>, &[Row]),
    expected: &Loss,
) -> Tested {
    let (found, gradient) = computed(loss, z, rows)?;
    let close = (f64::from(found) - expected.loss).abs() <= 1e-6 * expected.loss.abs().max(1.0);
    assert!(close, "{name}: {found}, expected {}", expected.loss);
    near(&gradient, &array(&expected.gradient), 1e-5)
        .map_err(|error| format!("{name}: {error}").into())
}

#[test]
fn losses_and_gradients_are_pytorchs() -> Tested {
    let mut weighted = 0;
    for batch in recorded()?.batches {
        let Batch { name, labels, weights, z, all_pairs, supcon, triplet, .. } = batch;
        weighted += usize::from(weights.is_some());
        let weights = weights.unwrap_or_else(|| vec![1.0; labels.len()]);
        let rows: Vec<Row> =
            labels.iter().zip(weights).map(|(&class, weight)| Row { class, weight }).collect();
        let z = array(&z);
        let with = (&z, &rows[..]);
        check(&format!("{name}, all pairs"), &ContrastiveLoss::AllPairs, with, &all_pairs)?;
        check(&format!("{name}, triplet"), &ContrastiveLoss::Triplet, with, &triplet)?;
        for expected in &supcon {
            let temperature = expected.temperature.ok_or("no temperature")?;
            let loss = ContrastiveLoss::Supcon(Supcon { temperature });
            check(&format!("{name}, supcon {temperature}"), &loss, with, expected)?;
        }
    }
    assert_eq!(weighted, 3);
    Ok(())
}

/// SetFit reads each text of a pair anew: the gradients of a text's rows add up.
#[test]
fn the_loss_of_pairs_is_setfits() -> Tested {
    let mut seen = 0;
    for Batch { name, labels, z, cosine, .. } in recorded()?.batches {
        let Some(expected) = cosine else { continue };
        let pairs = expected.pairs.ok_or("no pairs")?;
        let rows: Vec<usize> = pairs.iter().flat_map(|[one, two, _]| [*one, *two]).collect();
        let of_pairs: Vec<Row> =
            rows.iter().map(|&row| Row { class: labels[row], weight: 1.0 }).collect();
        let z = array(&z);
        let loss = ContrastiveLoss::Setfit(Setfit::default());
        let (found, gradient) = computed(&loss, &z.select(Axis(0), &rows), &of_pairs)?;
        let off = (f64::from(found) - expected.loss).abs();
        assert!(off <= 1e-6, "{name}: {found}, expected {}", expected.loss);
        let mut summed = ArrayD::<f32>::zeros(z.raw_dim());
        for (row, text) in gradient.axis_iter(Axis(0)).zip(rows) {
            let mut own = summed.index_axis_mut(Axis(0), text);
            own += &row;
        }
        near(&summed, &array(&expected.gradient), 1e-5)
            .map_err(|error| format!("{name}: {error}"))?;
        seen += 1;
    }
    assert!(seen > 3, "{seen}");
    Ok(())
}

#[test]
fn pairs_are_setfits_in_its_own_order() -> Tested {
    let recorded = recorded()?;
    let mut seen = 0;
    for Drawn { labels, num_iterations, pairs: expected } in recorded.pairs {
        let (Some(iterations), Some(expected)) = (num_iterations, expected) else { continue };
        let own = recorded.permutations.iter().find(|order| order.texts == labels.len());
        let order = own.ok_or("no permutation")?.order.iter().copied();
        let found: Vec<[usize; 3]> = pairs(order, &labels, iterations * labels.len())
            .into_iter()
            .map(|[one, two]| [one, two, usize::from(labels[one] == labels[two])])
            .collect();
        assert_eq!(found, expected, "{labels:?}, {iterations}");
        seen += 1;
    }
    assert!(seen > 10, "{seen}");
    Ok(())
}

#[test]
fn learning_rates_are_setfits() -> Tested {
    for Rates { learning_rate, steps, warmup, rates } in recorded()?.schedules {
        let schedule = Schedule::Linear(Warmup { warmup });
        for (step, expected) in (0..).zip(&rates) {
            let found = learning_rate * factor(&schedule, step, steps);
            assert!((found - expected).abs() < 1e-12, "{step} of {steps}: {found}, {expected}");
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct OfUnlabelled {
    distillations: Vec<Distilled>,
}

#[derive(Deserialize)]
struct Distilled {
    z: Vec<Vec<f64>>,
    teacher: Vec<Vec<f64>>,
    loss: f64,
    gradient: Vec<Vec<f64>>,
}

/// tests/record_unlabelled.py has recorded them.
#[test]
fn the_distance_to_a_teacher_is_pytorchs() -> Tested {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/unlabelled.json");
    let recorded: OfUnlabelled = serde_json::from_slice(&fs_err::read(file)?)?;
    assert_eq!(recorded.distillations.len(), 3);
    for Distilled { z, teacher, loss: expected, gradient } in recorded.distillations {
        let (z, teacher) = (array(&z), array(&teacher).into_dimensionality()?);
        let objective = Distillation::new(teacher.mapv(|value| value as f32), z.shape()[1], false);
        let mut g = Graph::new(Kernels::Fused);
        let fact = TensorFact::f32(vec![Dim::Named("B"), Dim::Fixed(z.shape()[1])]);
        let input = g.input("z", fact);
        let unit = g.scaled_to_one(input)?;
        let scalar = Distillation::loss(&mut g, unit)?;
        let by_z = gradients(&mut g, scalar, &[input])?[0].ok_or("no gradient")?;
        g.output("loss", scalar);
        g.output("gradient", by_z);
        // In an order of its own: texts are known by their places.
        let members: Vec<usize> = (0..z.shape()[0]).rev().collect();
        let batch =
            MicroBatch { members: &members, batch: &members, batches: 1, key: 0, batch_key: 0 };
        let mut feeds = objective.feeds(&batch);
        let rows = z.select(Axis(0), &members);
        let values = rows.iter().map(|value| *value as f32).collect();
        feeds.push(("z".to_owned(), Feed::F32(rows.shape().to_vec(), values)));
        let found = execute(&g, feeds)?;
        let loss = found["loss"].first().copied().map_or(f64::NAN, f64::from);
        assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
        near(&found["gradient"], &array(&gradient).select(Axis(0), &members), 1e-5)?;
    }
    Ok(())
}

#[test]
fn settings_read_back() -> Tested {
    for text in [r#""all_pairs""#, r#"{"supcon":{}}"#, r#"{"setfit":{"iterations":5}}"#] {
        let loss: ContrastiveLoss = serde_json::from_str(text)?;
        let again: ContrastiveLoss = serde_json::from_value(serde_json::to_value(&loss)?)?;
        assert_eq!(loss, again);
    }
    assert!(serde_json::from_str::<ContrastiveLoss>(r#"{"supcon":{"tau":1}}"#).is_err());
    assert_ne!(serde_json::to_value(ContrastiveLoss::Triplet)?, Value::Null);
    Ok(())
}
