//! Self-training: a model labels texts without labels, and a new one learns from some of those.

use ndarray::{Array2, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::contract::{Cost, Learner, Refusal, Trained, Work};
use super::rounds::{NAME, Taken, choose, draw, idle, weights, with_taken};
use super::single::Single;
use crate::base::clock::Stopwatch;
use crate::base::seed::stream;
use crate::classifiers::{Score, score};
use crate::data::{DataSet, Example};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::DataFact;
use crate::stages::train::certainty::Certainty;
use crate::stages::train::error::TrainError;
use crate::stages::train::folds;
use crate::stages::train::problems::Problems;
use crate::stages::train::settings::Defaults;
use crate::stages::train::stand_in::{Quiet, StandIn};
use crate::stages::train::vectors::{texts, unlabelled};

/// The most rounds, and the factor between the texts of train and those that the first one takes.
const ROUNDS: u32 = 5;
const FACTOR: usize = 10;

/// Labels the texts of `load: { unlabelled: … }` with a model of a method, and trains it anew, from
/// the pretrained weights, on train and those texts of each class that the model is sure of.
///
/// All classes get equally many texts, no more than are taken for the rarest one, and every round
/// takes twice as many. True labels stay as they are. The other settings of `train` are those of
/// the method.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelfTraining {
    /// The method that labels texts and learns from them. Default: a probe, whose rounds cost next
    /// to nothing, since every text is read once.
    #[serde(default)]
    pub base: Single,
    /// The most rounds. Default: 5.
    #[serde(default)]
    pub rounds: Option<u32>,
    /// Which of the texts that are taken for a class are learnt from.
    #[serde(default)]
    pub take: Take,
    /// The texts of each class that the first round takes. Default: 10 times the texts of the
    /// smallest class of train.
    #[serde(default)]
    pub per_class: Option<usize>,
    /// When no further round is made.
    #[serde(default)]
    pub stop: Stop,
    /// The number of folds by which rounds are judged. There are fewer where a class has fewer
    /// texts. Default: 4.
    #[serde(default)]
    pub folds: Option<usize>,
}

/// Which of the texts that are taken for a class are learnt from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// Those that the model gives the highest probability.
    #[default]
    Surest,
    /// Those that passes under dropout agree on are drawn the likelier, and count the more in the
    /// loss, the less their probability varies (Mukherjee and Awadallah 2020). The base is
    /// `fine_tune` or `lp_ft`; each round reads all texts as often as there are passes.
    Easy(Easy),
}

/// The settings of `easy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Easy {
    /// The number of passes under dropout.
    #[serde(default = "default_passes")]
    pub passes: u32,
}

fn default_passes() -> u32 {
    30
}

/// When no further round is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// After the last round that has made the predictions of train texts better, which may be none.
    /// Each fold of train is predicted by rounds without it: neither the models that label texts
    /// nor those that learn from them have seen it. Rounds are made in all folds first.
    #[default]
    Folds,
    /// After all of `rounds`.
    Never,
}

impl Learner for SelfTraining {
    fn name(&self) -> &'static str {
        NAME
    }

    fn config(&self) -> Value {
        json!(self)
    }

    fn defaults(&self) -> Defaults {
        self.base.learner().defaults()
    }

    fn refuses(&self) -> Vec<Refusal> {
        const WHOLE: [Refusal; 2] = [
            ("stop_after", "a round is trained in one go"),
            ("artifacts", "artifacts are trained in one way"),
        ];
        let of_base = self.base.learner().refuses();
        let own = WHOLE.into_iter().filter(|(name, _)| of_base.iter().all(|it| it.0 != *name));
        own.chain(of_base.iter().copied()).collect()
    }

    fn compares_passes(&self) -> bool {
        matches!(self.take, Take::Easy(_))
    }

    fn reads_unlabelled(&self) -> bool {
        true
    }

    fn check(&self, at: &str, data: &DataFact, problems: &mut Problems) {
        if !data.unlabelled {
            problems.add(
                at,
                "the data have no texts without labels, which the method learns from".to_owned(),
                "give some with `unlabelled` in the `load` stage",
            );
        }
        if self.stop == Stop::Folds && data.augmented {
            problems.add(
                at,
                "the train texts hold generated ones, and what has made them has seen every fold"
                    .to_owned(),
                "use the data before augmentation, or set `stop: never` and `rounds`",
            );
        }
        if self.stop == Stop::Never && self.folds.is_some() {
            problems.add(
                &format!("{at}.folds"),
                "`stop: never` looks at no folds".to_owned(),
                "leave one of both out",
            );
        }
        if let Take::Easy(Easy { passes }) = self.take {
            self.check_easy(passes, &format!("{at}.take.easy"), problems);
        }
        problems.0.extend(CheckError::of_folds(&format!("{at}.folds"), self.folds));
        problems.at_least_one(&format!("{at}.rounds"), u64::from(self.rounds.unwrap_or(ROUNDS)));
        problems.at_least_one(&format!("{at}.per_class"), self.per_class.unwrap_or(1) as u64);
        let learner = self.base.learner();
        learner.check(&format!("{at}.base.{}", learner.name()), data, problems);
    }

    fn learn(&self, work: &Work<'_>) -> Result<Trained, StageError> {
        let stopwatch = Stopwatch::start();
        if work.data.unlabelled.is_empty() {
            return Err(Box::new(TrainError::NoUnlabelled));
        }
        // An encoder that stays as it is reads every text once for all rounds.
        let known = match &self.base {
            Single::Probe(probe) => {
                let quiet = Quiet { inner: work.ctx, warns: false };
                Some(probe.known(&Work { ctx: &quiet, ..*work })?)
            }
            _ => None,
        };
        let work = &Work { known: known.as_ref().or(work.known), ..*work };
        let mut cost = Cost { encodings: 0, seconds: stopwatch.seconds() };
        let (rounds, mut told, before) = match self.stop {
            Stop::Never => (self.rounds.unwrap_or(ROUNDS), String::new(), Cost::default()),
            Stop::Folds => self.judge(work)?,
        };
        cost += before;
        let train = &work.data.splits.train;
        let mut taken: Vec<Taken> = Vec::new();
        let mut counts = Vec::new();
        for round in 1..=rounds {
            let answer = self.round(work, train, &taken, &[]).answer()?;
            let logits = answer.logits.mapv(f64::from);
            cost += answer.cost;
            let next = self.take(work, &logits, answer.certainty.as_ref(), round);
            if let Some(label) = idle(logits.view()).and_then(|it| work.data.labels().get(it)) {
                work.ctx.warn(&format!(
                    "{NAME}: no text without a label is taken for `{label}`, and as all classes \
                     get equally many, none is learnt from in round {round}"
                ));
            }
            if next == taken {
                break;
            }
            let each = next.len() / work.data.labels().len().max(1);
            work.ctx.note(&format!("round {round}: {each} texts of each class are learnt from"));
            counts.push(each.to_string());
            taken = next;
        }
        let trained = self.round(work, train, &taken, &[]).learn(work.ctx)?;
        let what = match counts.is_empty() {
            true => "no round".to_owned(),
            false => format!("rounds of {} texts of each class", counts.join(", ")),
        };
        told = format!("{what}{told}");
        work.ctx.note(&told);
        Ok(trained.after(told, cost))
    }
}

impl SelfTraining {
    /// Reports what keeps passes under dropout from telling anything.
    fn check_easy(&self, passes: u32, at: &str, problems: &mut Problems) {
        let why = match &self.base {
            Single::FineTune(_) | Single::LpFt(_) => None,
            Single::Probe(_) => {
                Some("a probe's encoder has no dropout, so all passes are the same")
            }
            Single::Contrastive(_) => Some("its loss compares texts, and gives none a weight"),
        };
        if let Some(why) = why {
            let name = self.base.learner().name();
            problems.add(
                at,
                format!("`base: {name}` does not serve: {why}"),
                "take `base: { fine_tune: {} }` or `lp_ft`, or `take: surest`",
            );
        }
        if passes < 2 {
            problems.add(
                &format!("{at}.passes"),
                format!("expected at least 2 passes, found {passes}"),
                "one pass has nothing to agree with",
            );
        }
    }

    /// Returns the texts that a round, from 1, learns from, given what the model before it says.
    fn take(
        &self,
        work: &Work<'_>,
        logits: &Array2<f64>,
        certainty: Option<&Certainty>,
        round: u32,
    ) -> Vec<Taken> {
        let most = self.most(work.data, round);
        match certainty {
            None => choose(logits.view(), most),
            Some(certainty) => {
                let purpose = ["train", NAME, "easy"];
                let mut random = stream(work.ctx.seed(), &purpose, u64::from(round));
                draw(logits.view(), certainty, most, &mut random)
            }
        }
    }

    /// Returns the texts of each class that a round, from 1, takes at most. Folds take as many as
    /// the whole of train does.
    fn most(&self, data: &DataSet, round: u32) -> usize {
        let first = self.per_class.unwrap_or_else(|| {
            let count = |class| data.splits.train.iter().filter(|it| it.class() == class).count();
            FACTOR * (0..data.labels().len()).map(count).min().unwrap_or(0)
        });
        first.saturating_mul(1_usize.checked_shl(round - 1).unwrap_or(usize::MAX))
    }

    /// Returns the training of a round on examples and the texts that are taken. Its model answers
    /// for the examples that are held out, then for the texts without labels.
    fn round<'a>(
        &'a self,
        work: &'a Work<'a>,
        train: &[Example],
        taken: &[Taken],
        held_out: &'a [Example],
    ) -> StandIn<'a> {
        let data = work.data;
        StandIn {
            learner: self.base.learner(),
            work,
            train: with_taken(data, train, taken, NAME),
            weights: weights(train.len(), taken),
            dev: &data.splits.dev,
            asked: [texts(held_out), unlabelled(&data.unlabelled)].concat(),
            passes: match self.take {
                Take::Surest => None,
                Take::Easy(Easy { passes }) => Some(passes),
            },
            // The last training is like the others, and shows what is to be warned of.
            warns: false,
        }
    }

    /// Makes rounds without each fold of train until they gain no more. Returns how many have
    /// gained, what is told, and what the trainings took.
    fn judge(&self, work: &Work<'_>) -> Result<(u32, String, Cost), StageError> {
        let Work { ctx, data, .. } = *work;
        let folds = folds::assign(work, self.folds)?;
        let classes = data.train_classes();
        let count = crate::classifiers::folds::count(&folds);
        let mut parts: Vec<Part> = (0..count).map(|fold| Part::of(data, &folds, fold)).collect();
        let mut logits = Array2::zeros((folds.len(), data.labels().len()));
        let (mut told, mut cost) = (Vec::new(), Cost::default());
        let mut best: Option<(u32, Score)> = None;
        for round in 0..=self.rounds.unwrap_or(ROUNDS) {
            ctx.note(&format!("{NAME}: round {round} in {count} folds"));
            for part in &mut parts {
                if round > 0 {
                    let certainty = part.certainty.as_ref();
                    let next = self.take(work, &part.unlabelled, certainty, round);
                    if next == part.taken {
                        continue;
                    }
                    part.taken = next;
                }
                let answer = self.round(work, &part.train, &part.taken, &part.held_out).answer()?;
                let (answered, held) = (answer.logits.mapv(f64::from), part.places.len());
                for (row, &text) in answered.rows().into_iter().zip(&part.places) {
                    logits.row_mut(text).assign(&row);
                }
                part.unlabelled = answered.slice(s![held.., ..]).to_owned();
                part.certainty = answer.certainty.map(|all| all.from(held));
                cost += answer.cost;
            }
            let found = score(logits.view(), &classes, None);
            told.push(format!("{:.3}, nll {:.3}", found.accuracy, found.nll));
            let beats = |other: &Score| (found.accuracy, -found.nll) > (other.accuracy, -other.nll);
            if !best.as_ref().is_none_or(|(_, other)| beats(other)) {
                break;
            }
            best = Some((round, found));
        }
        let rounds = best.map_or(0, |(round, _)| round);
        let told = format!(" (out of {count} folds, by round: {})", told.join("; "));
        Ok((rounds, told, cost))
    }
}

/// The rounds without a fold of train.
struct Part {
    train: Vec<Example>,
    held_out: Vec<Example>,
    /// The places in train of what is held out.
    places: Vec<usize>,
    taken: Vec<Taken>,
    /// What the last model says of the texts without labels `[M, K]`.
    unlabelled: Array2<f64>,
    /// How sure it is of them, where that is asked for.
    certainty: Option<Certainty>,
}

impl Part {
    fn of(data: &DataSet, folds: &[usize], fold: usize) -> Part {
        let examples = |places: &[usize]| {
            places.iter().map(|&text| data.splits.train[text].clone()).collect::<Vec<Example>>()
        };
        let (places, others) = folds::parted(folds, fold);
        Part {
            train: examples(&others),
            held_out: examples(&places),
            places,
            taken: Vec::new(),
            unlabelled: Array2::zeros((0, data.labels().len())),
            certainty: None,
        }
    }
}
