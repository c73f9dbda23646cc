//! What methods share that tune the vectors of texts and then fit a head to them.

use super::contract::{Refusal, Trained, Work};
use crate::base::clock::Stopwatch;
use crate::stages::contract::error::StageError;
use crate::stages::train::encoder::{self, Job};
use crate::stages::train::head::HeadSettings;
use crate::stages::train::objective::Objective;
use crate::stages::train::opened::Opened;
use crate::stages::train::tokens::Tokens;
use crate::stages::train::vectors::Texts;

const WHOLE: &str = "a batch is compared as a whole";
const AFTER: &str = "the head that dev could judge is fitted after the training";
const OWN: &str = "the classifier has its own objective";

/// The settings of `train` that such methods have no use for.
pub(super) const REFUSED: [Refusal; 10] = [
    ("freeze.encoder", "it is the encoder that learns"),
    ("schedule.reduce_on_plateau.monitor", AFTER),
    ("max_tokens_per_step", WHOLE),
    ("loss.label_smoothing", OWN),
    ("loss.r_drop", OWN),
    ("loss.mixup", OWN),
    ("reinitialise", "it needs vectors that already mean something"),
    ("early_stopping", AFTER),
    ("best_checkpoint", AFTER),
    ("artifacts", "artifacts have a loss of their own"),
];

/// The head that is fitted once vectors are tuned.
pub(super) struct Then<'a> {
    /// With the train texts that it is fitted to, and their classes.
    pub work: &'a Work<'a>,
    pub texts: Texts<'a>,
    pub settings: HeadSettings,
}

/// Tunes an encoder by an objective on the tokens of some texts, and fits a head to its vectors.
/// `opening` has run since the method began.
///
/// # Errors
///
/// Fails where the engine does, and where no head can be fitted.
pub(super) fn tune(
    work: &Work<'_>,
    (mut opened, opening): (Opened, Stopwatch),
    (objective, tokens): (&dyn Objective, &Tokens),
    then: &Then<'_>,
) -> Result<Trained, StageError> {
    let Work { ctx, settings, .. } = *work;
    let weights = opened.pretrained.weights.take()?;
    let job = Job {
        settings,
        device: ctx.device(),
        config: &opened.pretrained.config,
        form: &opened.form,
        objective,
        train_tokens: &tokens.train,
        // The head that dev could judge is fitted afterwards.
        dev_tokens: &[],
    };
    let before = opening.seconds();
    let mut tuned = encoder::run(ctx, ctx.runtime()?, &job, weights)?;
    let after = Stopwatch::start();
    let mut summary = tuned.summary(ctx, settings);
    opened.pretrained.weights = std::mem::take(&mut tuned.weights).into();
    let mut vectors = then.texts.vectors(&|texts| opened.reading(texts)?.vectors(ctx))?;
    vectors.tuned = true;
    let head = vectors.fit(then.work, &then.settings)?;
    opened.put_on(&head.map)?;
    let mut curves = tuned.fitted.curves;
    if let Some(last) = curves.0.last_mut() {
        last.dev = vectors.point(then.work, &head)?.dev;
    }
    summary.truncated_share = tokens.truncated_share;
    summary.chosen = head.chosen;
    summary.seconds += before + after.seconds();
    Ok(opened.into_trained(curves, summary, None, tuned.adapter))
}
