//! Learning rate schedules by step, with the definitions of `transformers`.

use super::config::Schedule;

/// Returns what the learning rate is multiplied with at step `step` (from 0) of `total`.
///
/// The warm-up takes ⌈share · total⌉ steps and starts at 0, as in `transformers.get_*_schedule_with_warmup`. A plateau schedule has no
/// factor of its own here; see [`super::plateau`].
pub fn factor(schedule: &Schedule, step: u64, total: u64) -> f64 {
    let share = match schedule {
        Schedule::Constant(settings) | Schedule::Linear(settings) | Schedule::Cosine(settings) => settings.warmup,
        Schedule::Polynomial(settings) => settings.warmup,
        Schedule::None | Schedule::ReduceOnPlateau(_) => return 1.0,
    };
    let warmup = (share * total as f64).ceil() as u64;
    if step < warmup {
        return step as f64 / warmup.max(1) as f64;
    }
    let progress = (step - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
    match schedule {
        Schedule::Linear(_) => (1.0 - progress).max(0.0),
        Schedule::Cosine(_) => (0.5 * (1.0 + (std::f64::consts::PI * progress).cos())).max(0.0),
        Schedule::Polynomial(settings) => {
            if progress > 1.0 {
                settings.end
            } else {
                (1.0 - settings.end) * (1.0 - progress).powf(settings.power) + settings.end
            }
        }
        Schedule::Constant(_) | Schedule::None | Schedule::ReduceOnPlateau(_) => 1.0,
    }
}
