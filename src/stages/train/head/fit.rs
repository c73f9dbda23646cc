//! Fitting a head to the vectors of texts.
//!
//! Dimensions: `N` texts, `E` width of a vector, `K` classes.

use indexmap::IndexMap;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use super::settings::{Automatic, Calibration, ClassPrior, Classifier, EstimateFrom, HeadSettings};
use crate::base::seed::stream;
use crate::classifiers::choose::{GRID, c_by_folds};
use crate::classifiers::folds::FOLDS;
use crate::classifiers::lda::lda::leave_one_out;
use crate::classifiers::lda::{Lda, Prior, Shrinkage};
use crate::classifiers::neighbours::default_k;
use crate::classifiers::prototypes::{Extra, Prototypes};
use crate::classifiers::{
    Auto, ClassifierError, Kind, Linear, Neighbours, Points, Score, folds, logistic_regression,
    out_of_fold, prior, score, stratified, temperature,
};
use crate::stages::inference::vector_head::VectorHead;
use crate::stages::train::error::TrainError;

/// The factor of cosines with label texts, as in sentence-transformers' losses: they alone would
/// give nearly equal probabilities.
const SCALE: f64 = 20.0;

/// The most classes whose estimated shares are told.
const SHOWN: usize = 8;

/// Texts with their classes, as vectors of length 1.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// `[N, E]`
    pub vectors: ArrayView2<'a, f64>,
    pub classes: &'a [usize],
    pub labels: &'a [String],
    /// The vectors of the label texts `[K, E]`, where there are some.
    pub label_texts: Option<ArrayView2<'a, f64>>,
    /// The vectors of texts without labels `[M, E]`, where they are to be learnt from.
    pub unlabelled: Option<ArrayView2<'a, f64>>,
    /// The place of the original in whose fold each text is; `None` for one that judges nothing.
    pub families: &'a [Option<usize>],
    /// Whether the vectors have learnt from these texts: then what is out of fold is not unseen.
    pub tuned: bool,
    /// How much each text counts; `None` if all count 1.
    pub weights: Option<&'a [f64]>,
    pub seed: u64,
}

/// A fitted head.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    pub map: VectorHead,
    /// What was chosen, and how well it does out of fold.
    pub chosen: String,
}

/// A head before its calibration: the map, the logits of texts that its fit has not seen where they
/// are known, and what is told.
struct Fitted {
    map: VectorHead,
    held_out: Option<Array2<f64>>,
    chosen: String,
    /// Whether the logits hold the shares of the classes in train; else they are those of equal
    /// ones.
    has_shares: bool,
}

impl Sample<'_> {
    /// Fits a head.
    ///
    /// # Errors
    ///
    /// Fails where folds are needed and a class has one text alone, where a classifier needs label
    /// texts and there are none, and where a prior does not fit the labels or is to be estimated
    /// without texts.
    pub fn fit(&self, settings: &HeadSettings) -> Result<Head, TrainError> {
        let points = self.points();
        let Fitted { mut map, held_out, mut chosen, has_shares } = match &settings.classifier {
            Classifier::LogisticRegression(own) => self.logistic_regression(own.c, settings)?,
            Classifier::Lda(own) => self.lda(own.shrinkage, settings)?,
            Classifier::Prototypes(own) => self.prototypes(own.label_weight)?,
            Classifier::Knn(own) => self.knn(own.k)?,
            Classifier::ZeroShot => self.zero_shot()?,
            Classifier::Auto => self.auto(settings)?,
        };
        if let (Calibration::Folds, Some(held_out)) = (settings.calibrate, &held_out) {
            let judging = self.judging();
            let found =
                temperature::fit_weighted(held_out.view(), self.classes, judging.as_deref());
            // What knows the texts would have any confidence.
            let found = if self.is_seen() { found.max(1.0) } else { found };
            map = map.tempered(found);
            chosen.push_str(&format!(", temperature {found:.3}"));
        }
        let classes = self.labels.len();
        let from = if has_shares { shares(&points) } else { vec![1.0 / classes as f64; classes] };
        if let Some(to) = self.prior(&settings.prior, &map, &from)? {
            if let ClassPrior::Estimate(_) = settings.prior {
                chosen.push_str(&self.told_of_prior(&to));
            }
            map = map.shifted(&prior::shift(&from, &to).map_err(|error| self.named(error))?);
        }
        Ok(Head { map, chosen })
    }

    /// Returns the head whose class vectors are κ times those of the label texts. κ is such that
    /// the mean margin of the texts is 1, between 5 and 50.
    ///
    /// # Errors
    ///
    /// Fails where there are no label texts.
    pub fn of_label_texts(&self) -> Result<Head, TrainError> {
        let texts = self.label_texts.ok_or(TrainError::NoLabelTexts)?;
        let cosines = self.vectors.dot(&texts.t());
        let margin = |(row, &class): (ArrayView1<'_, f64>, &usize)| {
            let others = row.iter().enumerate().filter(|(other, _)| *other != class);
            row[class] - others.map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max)
        };
        let margins = cosines.rows().into_iter().zip(self.classes).map(margin);
        let mean = margins.sum::<f64>() / self.classes.len().max(1) as f64;
        let factor = if mean > 0.0 { (1.0 / mean).clamp(5.0, 50.0) } else { SCALE };
        let linear = Linear {
            weight: texts.mapv(|value| value * factor),
            bias: Array1::zeros(self.labels.len()),
        };
        Ok(Head {
            map: VectorHead::Linear(linear),
            chosen: format!(
                "the head begins with the vectors of the label texts, times {factor:.1}"
            ),
        })
    }

    /// Returns how much each text counts where it is judged: those that judge nothing count 0.
    fn judging(&self) -> Option<Vec<f64>> {
        let in_folds: Vec<usize> =
            self.families.iter().map(|it| it.unwrap_or(folds::NONE)).collect();
        folds::judging(self.weights, &in_folds)
    }

    /// Says whether what is out of fold has been seen, by the encoder or by what has made texts or
    /// their labels.
    fn is_seen(&self) -> bool {
        self.tuned || self.families.contains(&None)
    }

    fn points(&self) -> Points<'_> {
        Points {
            x: self.vectors,
            labels: self.classes,
            classes: self.labels.len(),
            weights: self.weights,
        }
    }

    /// Returns the fold of each text: as many as asked for, or as the smallest class has texts.
    pub fn folds(&self, asked: Option<usize>) -> Result<Vec<usize>, TrainError> {
        folds_of(self.classes, self.families, self.labels.len(), (asked, self.seed))
            .map_err(|error| self.named(error))
    }

    fn logistic_regression(
        &self,
        c: Automatic,
        settings: &HeadSettings,
    ) -> Result<Fitted, TrainError> {
        let (points, named) = (self.points(), |error| self.named(error));
        let (c, held_out, told) = match c.0 {
            None => {
                let folds = self.folds(settings.folds)?;
                let choice = c_by_folds(&points, &folds, &GRID).map_err(named)?;
                let row = choice.table.iter().find(|row| row.c == choice.c);
                let told = row.map_or_else(String::new, |row| self.out_of(&folds, row.score));
                (choice.c, Some(choice.logits), format!("C {:.3}{told}", choice.c))
            }
            Some(c) if settings.calibrate == Calibration::Folds => {
                let folds = self.folds(settings.folds)?;
                let fit = |part: Points<'_>| logistic_regression::fit(&part, c);
                let logits = out_of_fold(&points, &folds, fit).map_err(named)?;
                let told = self.told_of(&folds, &logits);
                (c, Some(logits), format!("C {c}{told}"))
            }
            Some(c) => (c, None, String::new()),
        };
        let linear = logistic_regression::fit(&points, c).map_err(named)?;
        let map = VectorHead::Linear(linear);
        Ok(Fitted { map, held_out, chosen: told, has_shares: true })
    }

    fn lda(&self, shrinkage: Automatic, settings: &HeadSettings) -> Result<Fitted, TrainError> {
        let (points, named) = (self.points(), |error| self.named(error));
        let wanted = shrinkage.0.map_or(Shrinkage::LedoitWolf, Shrinkage::Given);
        let Lda { linear, shrinkage } = Lda::fit(&points, wanted, Prior::Counts).map_err(named)?;
        let held_out = (settings.calibrate == Calibration::Folds)
            .then(|| leave_one_out(&points, shrinkage, Prior::Counts))
            .transpose()
            .map_err(named)?;
        Ok(Fitted {
            map: VectorHead::Linear(linear),
            held_out,
            chosen: format!("shrinkage {shrinkage:.3}"),
            has_shares: true,
        })
    }

    fn prototypes(&self, weight: f64) -> Result<Fitted, TrainError> {
        let classes: Vec<usize> = (0..self.labels.len()).collect();
        let extra = self.label_texts.map(|x| Extra { x, labels: &classes, weight });
        let fitted = Prototypes::fit(&self.points(), extra).map_err(|error| self.named(error))?;
        let chosen = format!("temperature {:.3}", fitted.temperature);
        let map = VectorHead::Linear(fitted.linear());
        Ok(Fitted { map, held_out: None, chosen, has_shares: false })
    }

    fn knn(&self, k: Option<usize>) -> Result<Fitted, TrainError> {
        let k = k.unwrap_or_else(|| default_k(self.classes, self.labels.len()));
        let fitted = Neighbours::fit(&self.points(), k).map_err(|error| self.named(error))?;
        let chosen = format!("k {k}, temperature {:.3}", fitted.temperature);
        let map = VectorHead::Nearest(fitted);
        Ok(Fitted { map, held_out: None, chosen, has_shares: true })
    }

    /// The nearest label text by cosine.
    fn zero_shot(&self) -> Result<Fitted, TrainError> {
        let texts = self.label_texts.ok_or(TrainError::NoLabelTexts)?;
        let linear = Linear {
            weight: texts.mapv(|value| value * SCALE),
            bias: Array1::zeros(self.labels.len()),
        };
        let map = VectorHead::Linear(linear);
        Ok(Fitted { map, held_out: None, chosen: String::new(), has_shares: false })
    }

    fn auto(&self, settings: &HeadSettings) -> Result<Fitted, TrainError> {
        let (points, named) = (self.points(), |error| self.named(error));
        let folds = self.folds(settings.folds)?;
        let found = Auto::of(&points, &folds).map_err(named)?;
        let Some(best) = found.best() else { return Err(TrainError::NoCandidate) };
        let linear = best.fit(&points).map_err(named)?;
        let told = |score: Score| format!("{:.3}, nll {:.3}", score.accuracy, score.nll);
        let all: Vec<String> = found
            .candidates
            .iter()
            .map(|candidate| format!("{} {}", candidate.kind.name(), told(candidate.score)))
            .collect();
        let where_from = if self.is_seen() { "of texts that were seen" } else { "out of fold" };
        let chosen = format!("{} ({where_from}: {})", best.kind.name(), all.join("; "));
        // It has its temperature already.
        let has_shares = best.kind != Kind::Prototypes;
        let map = VectorHead::Linear(linear);
        Ok(Fitted { map, held_out: None, chosen, has_shares })
    }

    /// Tells how well a head does out of fold, unless the vectors have learnt from the texts.
    fn out_of(&self, folds: &[usize], score: Score) -> String {
        let count = folds::count(folds);
        if self.is_seen() {
            return format!(" (by {count} folds that were seen)");
        }
        format!(" (out of {count} folds: accuracy {:.3}, nll {:.3})", score.accuracy, score.nll)
    }

    fn told_of(&self, folds: &[usize], logits: &Array2<f64>) -> String {
        self.out_of(folds, score(logits.view(), self.classes, self.judging().as_deref()))
    }

    /// Returns the shares of the classes that the head is for, where they are not those of train.
    fn prior(
        &self,
        prior: &ClassPrior,
        map: &VectorHead,
        from: &[f64],
    ) -> Result<Option<Vec<f64>>, TrainError> {
        match prior {
            ClassPrior::Train => Ok(None),
            ClassPrior::Uniform => {
                let classes = self.labels.len();
                Ok(Some(vec![1.0 / classes as f64; classes]))
            }
            ClassPrior::Estimate(EstimateFrom::Unlabelled) => {
                let texts = self.unlabelled.ok_or(TrainError::NoUnlabelled)?;
                let shares = prior::estimate(map.logits(texts).view(), from);
                shares.map(Some).map_err(|error| self.named(error))
            }
            ClassPrior::Given(given) => given_shares(given, self.labels).map(Some),
        }
    }

    fn told_of_prior(&self, shares: &[f64]) -> String {
        let mut ranked: Vec<(&String, f64)> =
            self.labels.iter().zip(shares.iter().copied()).collect();
        ranked.sort_by(|one, other| other.1.total_cmp(&one.1));
        let shown = ranked.iter().take(SHOWN).map(|(label, share)| format!("{label} {share:.3}"));
        let shown: Vec<String> = shown.collect();
        let more = ranked.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let texts = self.unlabelled.map_or(0, |texts| texts.nrows());
        format!(", shares by {texts} texts without labels: {}{more}", shown.join(", "))
    }

    /// Puts the names of classes in place of their numbers.
    fn named(&self, error: ClassifierError) -> TrainError {
        named(error, self.labels)
    }
}

/// Returns a given share for each label.
fn given_shares(given: &IndexMap<String, f64>, labels: &[String]) -> Result<Vec<f64>, TrainError> {
    if let Some(name) = given.keys().find(|name| !labels.contains(name)) {
        return Err(TrainError::UnknownPrior { name: name.clone(), labels: labels.join(", ") });
    }
    let share = |label: &String| {
        let missing = || TrainError::MissingPrior { name: label.clone() };
        given.get(label).copied().ok_or_else(missing)
    };
    labels.iter().map(share).collect()
}

/// Puts the names of classes in place of their numbers.
pub fn named(error: ClassifierError, labels: &[String]) -> TrainError {
    let name = |class: usize| labels.get(class).cloned().unwrap_or_default();
    match error {
        ClassifierError::SinglePoint { class } => TrainError::OneText { label: name(class) },
        ClassifierError::TooManyFolds { folds, class, count } => {
            TrainError::ManyFolds { folds, label: name(class), count }
        }
        other => TrainError::Classifier(other),
    }
}

/// Checks before any training that a head could be fitted to texts of these classes.
///
/// # Errors
///
/// Fails where folds are needed and a class is too small for them, where a classifier needs label
/// texts and there are none, and where given shares do not fit the labels.
pub fn check(
    settings: &HeadSettings,
    (classes, families): (&[usize], &[Option<usize>]),
    labels: &[String],
    has_label_texts: bool,
) -> Result<(), TrainError> {
    let by_folds = match &settings.classifier {
        Classifier::LogisticRegression(own) => {
            own.c.0.is_none() || settings.calibrate == Calibration::Folds
        }
        Classifier::Auto => true,
        Classifier::Lda(_)
        | Classifier::Prototypes(_)
        | Classifier::Knn(_)
        | Classifier::ZeroShot => false,
    };
    if by_folds {
        folds_of(classes, families, labels.len(), (settings.folds, 0))
            .map_err(|error| named(error, labels))?;
    }
    if settings.classifier == Classifier::ZeroShot && !has_label_texts {
        return Err(TrainError::NoLabelTexts);
    }
    match &settings.prior {
        ClassPrior::Given(given) => given_shares(given, labels).map(drop),
        _ => Ok(()),
    }
}

/// Returns the fold of each text, stratified by class: as many folds as asked for; else the usual
/// number, or as many as the smallest class has originals. A generated text is in the fold of its
/// original, since it would tell what that says; one without an original is in none.
///
/// # Errors
///
/// Fails where a class has one original alone, or fewer than the folds that are asked for.
pub fn folds_of(
    classes: &[usize],
    families: &[Option<usize>],
    count: usize,
    (asked, seed): (Option<usize>, u64),
) -> Result<Vec<usize>, ClassifierError> {
    let is_original = |text: &usize| families[*text] == Some(*text);
    let originals: Vec<usize> = (0..classes.len()).filter(is_original).collect();
    let own: Vec<usize> = originals.iter().map(|&text| classes[text]).collect();
    let folds = asked.unwrap_or_else(|| FOLDS.min(folds::most(&own, count)).max(2));
    let mut random = stream(seed, &["train", "folds"], 0);
    let found = stratified(&own, count, folds, &mut random)?;
    let mut all = vec![folds::NONE; classes.len()];
    for (&text, fold) in originals.iter().zip(found) {
        all[text] = fold;
    }
    let fold = |family: &Option<usize>| family.map_or(folds::NONE, |family| all[family]);
    Ok(families.iter().map(fold).collect())
}

/// Returns the shares of the classes among points.
fn shares(points: &Points<'_>) -> Vec<f64> {
    let mut sums = vec![0.0; points.classes];
    for (point, &class) in points.labels.iter().enumerate() {
        sums[class] += points.weight(point);
    }
    let whole: f64 = sums.iter().sum();
    sums.into_iter().map(|sum| sum / whole).collect()
}
