//! The only reader of the clock. Times are for people and for records; no result depends on them.

use std::time::{Instant, SystemTime};

use jiff::Timestamp;

/// Returns the present moment. A clock beyond the years that can be written (−9999 to 9999) counts
/// as the last or the first of these moments.
pub fn now_utc() -> Timestamp {
    moment(SystemTime::now())
}

fn moment(time: SystemTime) -> Timestamp {
    let nearest = match time < SystemTime::UNIX_EPOCH {
        true => Timestamp::MIN,
        false => Timestamp::MAX,
    };
    Timestamp::try_from(time).unwrap_or(nearest)
}

/// Writes a moment as `2026-01-31T09:05:00.750Z`; milliseconds distinguish runs of the same second.
pub fn text(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Returns the milliseconds of a moment within its second, from 0 to 999.
pub fn millisecond(moment: Timestamp) -> u32 {
    moment.subsec_millisecond().unsigned_abs()
}

/// Writes a moment as `20260131T090500Z`, for names that sort by time.
pub fn compact(moment: Timestamp) -> String {
    moment.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Writes a duration for people: `0.8 s`, `42 s`, `3 min 05 s`, `2 h 07 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match whole {
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..=59 => format!("{whole} s"),
        60..=3599 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Measures a duration.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts at zero.
    #[expect(clippy::disallowed_methods, reason = "the clock itself")]
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// Returns the seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_beyond_all_years_is_no_panic() {
        let far = Duration::from_secs(253_402_300_800);
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(compact(moment(epoch + far)), "99991230T220000Z");
        assert_eq!(moment(epoch + 1000 * far), Timestamp::MAX);
        assert_eq!(moment(epoch - 1000 * far), Timestamp::MIN);
        assert_eq!(moment(epoch), Timestamp::UNIX_EPOCH);
        assert!(!text(Timestamp::MIN).is_empty() && !compact(Timestamp::MIN).is_empty());
    }

    #[test]
    fn writes_times() -> Result<(), jiff::Error> {
        let moment: Timestamp = "2026-01-31T09:05:00.75Z".parse()?;
        assert_eq!(text(moment), "2026-01-31T09:05:00.750Z");
        assert_eq!(compact(moment), "20260131T090500Z");
        let durations = [0.04, 9.94, 9.96, 59.4, 59.6, 125.0, 7620.0].map(duration);
        assert_eq!(
            durations,
            ["0.0 s", "9.9 s", "10 s", "59 s", "1 min 00 s", "2 min 05 s", "2 h 07 min"]
        );
        Ok(())
    }
}
