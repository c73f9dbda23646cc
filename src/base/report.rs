//! Reports of work in progress to an observer.

/// Receives reports of running work. They are for people only and must not change a result.
pub trait Report: Sync {
    /// Reports the progress of measured work. It is called often; the receiver decides how often to
    /// draw.
    fn progress(&self, progress: &Progress<'_>);
    /// Reports one line that a user should see, such as the choice of a backend.
    fn note(&self, line: &str);
    /// Reports one line about a possible problem that does not stop the work.
    fn warn(&self, line: &str);
}

/// The state of measured work at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The current activity, such as `training` or `downloading onnxruntime 1.31.1`.
    pub activity: &'a str,
    /// The amount done, in `unit`s.
    pub done: u64,
    /// The total amount, if known.
    pub total: Option<u64>,
    /// The unit of the amounts: `steps`, `texts`, `bytes`.
    pub unit: &'a str,
    /// Free text beside the bar, such as `loss 0.4312 · lr 5.0e-5`.
    pub detail: &'a str,
}

/// Discards all reports; for tests and for callers that show nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Report for Silent {
    fn progress(&self, _: &Progress<'_>) {}
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}
