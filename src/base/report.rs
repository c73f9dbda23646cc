//! How work in progress speaks to whoever watches it.

/// Receives what a piece of work tells while it goes on. Everything is for people: nothing here may
/// change a result.
pub trait Report: Sync {
    /// Says where a measured piece of work stands. Called often; the receiver draws as often as it
    /// likes.
    fn progress(&self, progress: &Progress<'_>);
    /// Says one line that a user should see, such as the choice of a backend.
    fn note(&self, line: &str);
    /// Says one line about something that may be wrong and does not stop the work.
    fn warn(&self, line: &str);
}

/// A moment of a measured piece of work.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// What is being done, such as `training` or `downloading onnxruntime 1.31.1`.
    pub activity: &'a str,
    /// How much is done, in `unit`s.
    pub done: u64,
    /// How much there is, where it is known.
    pub total: Option<u64>,
    /// What is counted: `steps`, `texts`, `bytes`.
    pub unit: &'a str,
    /// Free text beside the bar, such as `loss 0.4312 · lr 5.0e-5`.
    pub detail: &'a str,
}

/// Drops everything; for tests and for callers that show nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Report for Silent {
    fn progress(&self, _: &Progress<'_>) {}
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}
