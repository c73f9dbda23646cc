//! The rounds of self-training: which texts are taken, and trainings on them.

use std::any::Any;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};
use serde_json::{Value, json};

use super::contract::{Learner, Trained, Work};
use crate::classifiers::log_probabilities;
use crate::data::{DataSet, Example, Origin, Splits};
use crate::model::HeadForm;
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::{Kind, Network, Output};
use crate::stages::contract::stage::Piece;
use crate::stages::contract::stage::{Ctx, External};
use crate::stages::inference::trained::Classifier;
use crate::stages::inference::vectors::logits_of;
use crate::stages::train::folds::{HeldOut, Quiet, digest_of, digest_of_unlabelled};
use crate::stages::train::settings::CODE_VERSION;
use crate::stages::train::vectors::{texts, unlabelled};

/// The name of the method.
pub(super) const NAME: &str = "self_training";

/// A text without a label: its place among them, and the class that it is taken for.
pub(super) type Taken = (usize, usize);

/// Returns the texts of each class that a model is the surest of, from its logits `[N, K]`, in
/// their order. A class has those that it is the likeliest of, and all classes have equally many:
/// at most `most`, and no more than the class that fewest texts are taken for.
pub(super) fn choose(logits: ArrayView2<'_, f64>, most: usize) -> Vec<Taken> {
    let of_class = of_classes(logits);
    let fewest = of_class.iter().map(Vec::len).min().unwrap_or(0);
    let mut taken = Vec::new();
    for (class, mut found) in of_class.into_iter().enumerate() {
        found.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        taken.extend(found.into_iter().take(fewest.min(most)).map(|(_, place)| (place, class)));
    }
    taken.sort_unstable();
    taken
}

/// Returns the first class that no text is taken for.
pub(super) fn idle(logits: ArrayView2<'_, f64>) -> Option<usize> {
    of_classes(logits).iter().position(Vec::is_empty)
}

/// Returns for each class the texts that it is the likeliest of: how likely, and their places.
fn of_classes(logits: ArrayView2<'_, f64>) -> Vec<Vec<(f64, usize)>> {
    let logs = log_probabilities(logits);
    let mut of_class = vec![Vec::new(); logs.ncols()];
    for (place, row) in logs.rows().into_iter().enumerate() {
        // Of equals the first, as everywhere.
        let likeliest = row.iter().enumerate().fold(None, |best: Option<(usize, f64)>, it| {
            best.filter(|(_, value)| value >= it.1).or(Some((it.0, *it.1)))
        });
        if let Some((class, value)) = likeliest {
            of_class[class].push((value, place));
        }
    }
    of_class
}

/// Returns examples with texts that are taken for one of a class behind them.
pub(super) fn with_taken(data: &DataSet, examples: &[Example], taken: &[Taken]) -> Vec<Example> {
    let made = taken.iter().map(|&(place, class)| {
        let found = &data.unlabelled[place];
        Example {
            origin: Origin::Generated { parents: Vec::new(), method: NAME.into() },
            ..Example::original(found.id.clone(), found.text.clone(), class)
        }
    });
    examples.iter().cloned().chain(made).collect()
}

/// A training of a round, and what its model says of texts.
pub(super) struct Round<'a> {
    pub learner: &'a dyn Learner,
    pub work: &'a Work<'a>,
    pub train: Vec<Example>,
    /// Texts of train that the model has not seen, nor the models that chose what it learns from.
    pub held_out: Vec<Example>,
    /// Names the folder of unfinished work.
    pub name: String,
}

/// What the model of a round says of texts.
pub(super) struct Answer {
    /// `[N, K]`
    pub held_out: Array2<f64>,
    /// `[M, K]`
    pub unlabelled: Array2<f64>,
    /// The texts that the encoder has read for the training, each as often as it did.
    pub encodings: u64,
}

impl Round<'_> {
    /// Returns what the cache has of the round, or does the work.
    ///
    /// # Errors
    ///
    /// Fails as the method does.
    pub(super) fn answer(&self) -> Result<Answer, StageError> {
        let output = self.work.ctx.shared(self)?;
        let output: &dyn Any = &*output;
        let Some(HeldOut { logits, encodings }) = output.downcast_ref::<HeldOut>() else {
            unreachable!("the piece gives what was held out")
        };
        let (logits, count) = (logits.mapv(f64::from), self.held_out.len());
        Ok(Answer {
            held_out: logits.slice(s![..count, ..]).to_owned(),
            unlabelled: logits.slice(s![count.., ..]).to_owned(),
            encodings: *encodings,
        })
    }

    /// Trains on the examples of the round.
    ///
    /// # Errors
    ///
    /// Fails as the method does.
    pub(super) fn learn(&self, ctx: &dyn Ctx) -> Result<Trained, StageError> {
        let DataSet { task, splits, unlabelled, .. } = self.work.data;
        let splits =
            Splits { train: self.train.clone(), dev: splits.dev.clone(), test: Vec::new() };
        let (task, unlabelled) = (task.clone(), unlabelled.clone());
        let data = DataSet { task, splits, unlabelled, ..DataSet::default() };
        self.learner.learn(&Work { ctx, data: &data, ..*self.work })
    }

    /// Returns the logits `[N, K]` of texts by a model of the round.
    fn logits(
        &self,
        ctx: &dyn Ctx,
        trained: &Trained,
        texts: &[&str],
    ) -> Result<Array2<f32>, StageError> {
        let known = self.work.known.filter(|_| trained.frozen.is_some());
        if let Network::Encoder { pretrained, form: HeadForm::Linear(_) } = &trained.network
            && let Some(vectors) = known.and_then(|known| known.of(texts))
        {
            return logits_of(&pretrained.weights, &vectors);
        }
        let classifier = Classifier {
            network: &trained.network,
            preparation: &trained.preparation,
            max_length: trained.longest,
            frozen: trained.frozen,
            classes: self.work.data.labels().len(),
        };
        classifier.logits(ctx, texts, "predicting")
    }
}

impl Piece for Round<'_> {
    fn name(&self) -> &'static str {
        "round"
    }

    fn code_version(&self) -> u32 {
        CODE_VERSION
    }

    fn config(&self) -> Value {
        let data = self.work.data;
        json!({
            "method": { self.learner.name(): self.learner.config() },
            "settings": self.work.settings,
            "labels": data.labels(),
            "train": digest_of(&self.train),
            "dev": digest_of(&data.splits.dev),
            "held_out": digest_of(&self.held_out),
            "unlabelled": digest_of_unlabelled(&data.unlabelled),
            // Vectors that are known were computed with these beside them.
            "known": self.work.known.map(|_| digest_of(&data.splits.train)),
            "seed": self.work.ctx.seed(),
        })
    }

    fn externals(&self) -> Vec<External> {
        vec![External { name: "encoder".to_owned(), digest: self.work.identity }]
    }

    fn kind(&self) -> Kind {
        Kind::HELD_OUT
    }

    fn compute(&self, ctx: &dyn Ctx) -> Result<Arc<dyn Output>, StageError> {
        // What is to be warned of is told by the last training, which is like the others.
        let scratch = ctx.scratch().join(&self.name);
        let quiet = Quiet { inner: ctx, scratch, warns: false };
        let trained = self.learn(&quiet)?;
        let rest = unlabelled(&self.work.data.unlabelled);
        let of_rest = self.logits(&quiet, &trained, &rest)?;
        let of_held = match self.held_out.is_empty() {
            true => Array2::zeros((0, of_rest.ncols())),
            false => self.logits(&quiet, &trained, &texts(&self.held_out))?,
        };
        let logits = concatenate![Axis(0), of_held, of_rest];
        let encodings = trained.summary.encodings.unwrap_or_default();
        Ok(Arc::new(HeldOut { logits, encodings }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn the_surest_of_each_class_are_taken_equally() {
        let logits = array![[2.0, 0.0], [5.0, 0.0], [0.0, 1.0], [0.0, 3.0], [1.0, 0.0], [0.0, 0.0]];
        assert_eq!(choose(logits.view(), 1), [(1, 0), (3, 1)]);
        // Two texts are taken for the second class, so that the first has no more.
        assert_eq!(choose(logits.view(), 9), [(0, 0), (1, 0), (2, 1), (3, 1)]);
        assert_eq!(choose(logits.view(), 0), []);
        // A class that no text is taken for keeps the others from growing.
        assert_eq!(choose(array![[1.0, 0.0], [2.0, 0.0]].view(), 5), []);
        assert_eq!(idle(array![[1.0, 0.0], [2.0, 0.0]].view()), Some(1));
        // What is large and equal for all is no sign of certainty; of equals the first is taken.
        let logits = array![[9.0, 8.9], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
        assert_eq!(choose(logits.view(), 1), [(1, 0), (3, 1)]);
    }

    proptest! {
        #[test]
        fn no_class_has_more_than_another(
            values in prop::collection::vec(-5.0..5.0_f64, 3..120), most in 0..9_usize,
        ) {
            let rows = values.len() / 3;
            let logits = Array2::from_shape_fn((rows, 3), |(row, class)| values[3 * row + class]);
            let taken = choose(logits.view(), most);
            let count = |class: usize| taken.iter().filter(|it| it.1 == class).count();
            prop_assert!(count(0) <= most && count(0) == count(1) && count(1) == count(2));
            let places: std::collections::BTreeSet<usize> =
                taken.iter().map(|it| it.0).collect();
            prop_assert_eq!(places.len(), taken.len());
            prop_assert_eq!(&taken, &choose(logits.view(), most));
            let fewer = choose(logits.view(), most / 2);
            prop_assert!(fewer.iter().all(|it| taken.contains(it)));
        }
    }

    #[test]
    fn what_is_taken_stands_behind_the_true_labels() {
        use crate::data::{Task, Unlabelled};

        let unlabelled = |id: &str| Unlabelled { id: id.into(), text: id.into() };
        let data = DataSet {
            task: Task::Classes { labels: vec!["a".into(), "b".into()] },
            splits: Splits { train: vec![Example::original("t", "t", 0)], ..Splits::default() },
            unlabelled: vec![unlabelled("x"), unlabelled("y")],
            ..DataSet::default()
        };
        let all = with_taken(&data, &data.splits.train, &[(1, 1)]);
        assert_eq!(all[0], data.splits.train[0]);
        assert_eq!((all.len(), all[1].id.as_str(), all[1].class()), (2, "y", 1));
        assert!(!all[1].is_original() && all[1].parents().is_empty());
    }
}
