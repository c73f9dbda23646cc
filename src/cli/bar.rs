//! A progress bar. Its texts pass the same door as all text for people.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use crate::base::cut::visible_line;

/// A progress bar on stderr.
#[derive(Clone, Debug)]
pub struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// Adds a bar with the total of its work, if that is known.
    pub(super) fn new(all: &MultiProgress, total: Option<u64>) -> Bar {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        Bar { bar: all.add(bar) }
    }

    /// Sets the text before the bar.
    pub fn set_prefix(&self, text: &str) {
        self.bar.set_prefix(visible_line(text).into_owned());
    }

    /// Sets the text beside the bar.
    pub fn set_message(&self, text: &str) {
        self.bar.set_message(visible_line(text).into_owned());
    }

    /// Sets the layout, a template of `indicatif` with `{rate}` in place of its own rate.
    pub fn set_style(&self, template: &str) {
        let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // The library's own rate has four decimals, which flicker.
            let _ = write!(out, "{:.1}/s", state.per_sec());
        };
        let style = ProgressStyle::with_template(&visible_line(template))
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("rate", rate);
        self.bar.set_style(style);
    }

    /// Sets the total of the work.
    pub fn set_total(&self, total: u64) {
        self.bar.set_length(total);
    }

    /// Sets the amount that is done.
    pub fn set_done(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// Adds one to the amount that is done.
    pub fn add_one(&self) {
        self.bar.inc(1);
    }

    /// Redraws the bar at this interval.
    pub fn tick_every(&self, interval: Duration) {
        self.bar.enable_steady_tick(interval);
    }

    /// Redraws the bar.
    pub fn tick(&self) {
        self.bar.tick();
    }

    /// Removes the bar.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_steer_no_terminal() {
        let bar = Bar::new(&MultiProgress::new(), None);
        bar.set_prefix("a\u{1b}[2J");
        bar.set_message("b\n\u{202e}");
        // A brace would be a place of the template.
        bar.set_style("{prefix} \u{7} {msg}");
        assert_eq!(bar.bar.prefix(), "a\\u{1b}[2J");
        assert_eq!(bar.bar.message(), "b\\n\\u{202e}");
    }
}
