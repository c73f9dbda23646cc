//! Model soups (Wortsman et al. 2022, arXiv 2203.05482): means of the weights of models that were
//! trained from one pretrained encoder.

use std::collections::BTreeMap;

use ndarray::{ArrayD, Zip};

use super::config::GreedySoup;
use super::error::EnsembleError;
use super::members::Member;
use crate::base::digest::Digest;
use crate::data::{DataSet, Split};
use crate::metrics;
use crate::model::{HeadForm, ModelError, Pretrained, Weights};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::{Network, TrainedModel};
use crate::stages::contract::stage::Ctx;
use crate::stages::inference::predict::probabilities;
use crate::stages::inference::trained::Classifier;
use crate::stages::train::objective::DevMetric;

/// The mean of models' weights, and how it came about.
pub(super) struct Soup {
    pub network: Network,
    /// For the table.
    pub told: String,
}

/// Returns the mean of all models.
///
/// # Errors
///
/// Fails where the models are not of one form.
pub(super) fn uniform(members: &[Member]) -> Result<Soup, StageError> {
    let parts = alike(members)?;
    let mut sum = Sum::default();
    parts.iter().try_for_each(|part| sum.add(part))?;
    let told = format!("uniform soup of {} models", members.len());
    Ok(Soup { network: sum.mean(&parts), told })
}

/// Returns the mean of those models that do not make it worse on dev.
///
/// # Errors
///
/// Fails where the models are not of one form, dev is empty or has been learnt from, and where a
/// score is no number.
pub(super) fn greedy(
    ctx: &dyn Ctx,
    settings: &GreedySoup,
    members: &[Member],
    data: &DataSet,
) -> Result<Soup, StageError> {
    if data.splits.dev.is_empty() {
        return Err(Box::new(EnsembleError::EmptyDev(settings.data.clone())));
    }
    for Member { name, model } in members {
        let scored = (&settings.data, data);
        settings.duplicates.check(ctx, (name, &model.seen), scored, Split::Dev)?;
    }
    let parts = alike(members)?;
    let metric = settings.metric;
    let mut order: Vec<(usize, f64)> = Vec::new();
    for (place, Member { name, model }) in members.iter().enumerate() {
        let score = score(ctx, model.classifier(), data, metric, name)?;
        order.push((place, score));
    }
    // Of equals the first listed comes first.
    order.sort_by(|one, two| goodness(metric, two.1).total_cmp(&goodness(metric, one.1)));
    let (mut sum, mut best) = (Sum::default(), None);
    let mut taken = Vec::new();
    for &(place, own) in &order {
        let more = sum.with(parts[place])?;
        let found = match best {
            None => own,
            Some(_) => {
                let network = more.mean(&parts);
                let classifier = Classifier { network: &network, ..members[0].model.classifier() };
                let classifier = Classifier { frozen: frozen(members), ..classifier };
                // A mean may leave what numbers can hold; it is then no better.
                dev_score(ctx, classifier, data, metric)?.unwrap_or(f64::NAN)
            }
        };
        if best.is_none_or(|best| goodness(metric, found) >= goodness(metric, best)) {
            taken.push(members[place].name.as_str());
            (sum, best) = (more, Some(found));
        }
    }
    let scores = order.iter().map(|(place, own)| format!("{} {own:.4}", members[*place].name));
    let told = format!(
        "greedy soup of {} of {} models ({}) with {} {:.4} on dev; alone: {}",
        taken.len(),
        members.len(),
        taken.join(", "),
        metric.name(),
        best.unwrap_or(f64::NAN),
        scores.collect::<Vec<_>>().join(", "),
    );
    ctx.note(&told);
    Ok(Soup { network: sum.mean(&parts), told })
}

/// Returns the identity of the encoder, where all models have left it as it was.
pub(super) fn frozen(members: &[Member]) -> Option<Digest> {
    let first = members.first()?.model.frozen?;
    members.iter().all(|member| member.model.frozen == Some(first)).then_some(first)
}

/// An encoder with its head.
type Part<'a> = (&'a Pretrained, &'a HeadForm);

/// Returns the networks of models that are of one form.
fn alike(members: &[Member]) -> Result<Vec<Part<'_>>, EnsembleError> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for member in members {
        let Network::Encoder { pretrained, form } = &member.model.network else {
            return Err(EnsembleError::NoEncoder { model: member.name.clone() });
        };
        if matches!(form, HeadForm::Nearest(..)) {
            return Err(EnsembleError::NearestTexts { model: member.name.clone() });
        }
        parts.push((pretrained, form));
    }
    for (member, part) in members.iter().zip(&parts).skip(1) {
        let differs = difference((&members[0].model, parts[0]), (&member.model, *part));
        if let Some(what) = differs {
            let (first, other) = (members[0].name.clone(), member.name.clone());
            return Err(EnsembleError::OtherNetwork { first, other, what });
        }
    }
    Ok(parts)
}

/// Names the first thing in which two models differ beside the values of their weights.
fn difference(
    one: (&TrainedModel, Part<'_>),
    two: (&TrainedModel, Part<'_>),
) -> Option<&'static str> {
    let ((one, (encoder, head)), (two, (other, other_head))) = (one, two);
    let shapes = |pretrained: &Pretrained| -> BTreeMap<String, Vec<usize>> {
        let weights = &pretrained.weights;
        let of = |name: &str| Some((name.to_owned(), weights.shape(name)?.to_vec()));
        weights.names().filter_map(of).collect()
    };
    let checks = [
        ("configuration", encoder.raw_config != other.raw_config),
        ("form of head", head != other_head),
        ("tokenizer", encoder.files != other.files),
        ("list of tensors", shapes(encoder) != shapes(other)),
        ("`max_length`", one.max_length != two.max_length),
        ("preparation of texts", one.preparation != two.preparation),
    ];
    checks.into_iter().find(|(_, differs)| *differs).map(|(what, _)| what)
}

/// The sum of weights of models.
#[derive(Clone, Default)]
struct Sum {
    count: usize,
    tensors: BTreeMap<String, ArrayD<f64>>,
}

impl Sum {
    fn add(&mut self, (pretrained, _): &Part<'_>) -> Result<(), ModelError> {
        self.count += 1;
        for (name, values) in &*pretrained.weights.all()? {
            match self.tensors.get_mut(name) {
                Some(sum) => {
                    Zip::from(sum).and(values).for_each(|sum, &value| *sum += f64::from(value));
                }
                None => {
                    self.tensors.insert(name.clone(), values.mapv(f64::from));
                }
            }
        }
        Ok(())
    }

    fn with(&self, part: Part<'_>) -> Result<Sum, ModelError> {
        let mut sum = self.clone();
        sum.add(&part)?;
        Ok(sum)
    }

    /// Returns the mean in the network of the first model.
    fn mean(&self, parts: &[Part<'_>]) -> Network {
        let (first, form) = parts[0];
        let count = self.count as f64;
        let mean = |(name, sum): (&String, &ArrayD<f64>)| {
            (name.clone(), sum.mapv(|value| (value / count) as f32))
        };
        let weights: Weights = self.tensors.iter().map(mean).collect();
        let pretrained = Box::new(Pretrained { weights: weights.into(), ..first.clone() });
        Network::Encoder { pretrained, form: form.clone() }
    }
}

/// Returns a metric of a model on dev.
fn score(
    ctx: &dyn Ctx,
    classifier: Classifier<'_>,
    data: &DataSet,
    metric: DevMetric,
    name: &str,
) -> Result<f64, StageError> {
    let found = dev_score(ctx, classifier, data, metric)?;
    let (metric, model) = (metric.name(), name.to_owned());
    Ok(found.ok_or(EnsembleError::NoScore { metric, model })?)
}

/// Returns a metric on dev; `None` where it is no number.
fn dev_score(
    ctx: &dyn Ctx,
    classifier: Classifier<'_>,
    data: &DataSet,
    metric: DevMetric,
) -> Result<Option<f64>, StageError> {
    let dev = &data.splits.dev;
    let texts: Vec<&str> = dev.iter().map(|example| example.text.first.as_str()).collect();
    let probabilities = probabilities(&classifier.logits(ctx, &texts, "scoring on dev")?);
    let rows: Vec<metrics::Row<'_>> = dev
        .iter()
        .zip(&probabilities)
        .map(|(example, row)| metrics::Row {
            label: example.class(),
            prediction: metrics::argmax(row),
            probabilities: row,
        })
        .collect();
    let all = metrics::all(data.labels(), &rows);
    let wanted = if metric == DevMetric::LOSS { metrics::nll::NLL.name } else { metric.name() };
    Ok(all.get(wanted).copied().filter(|value| value.is_finite()))
}

/// Returns a score so that more is better.
fn goodness(metric: DevMetric, score: f64) -> f64 {
    if metric.less_is_better() { -score } else { score }
}
