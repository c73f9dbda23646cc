//! The most memory that the process has had.

use fs_err as fs;

/// Watches how much memory the process has at most from now on.
///
/// The system keeps one such number for the whole process: whatever else runs at the same time is
/// in it, and two watches at a time begin at the later one's start.
#[derive(Debug)]
pub struct Peak(());

impl Peak {
    /// Starts a watch, where the system lets the number begin anew (Linux).
    pub fn start() -> Peak {
        // Where it is refused, the number is that since the start of the process.
        drop(fs::write("/proc/self/clear_refs", "5"));
        Peak(())
    }

    /// Returns the most bytes of memory since the start; `None` where the system does not tell.
    pub fn bytes(&self) -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_large_array_is_seen() {
        let peak = Peak::start();
        let before = peak.bytes().unwrap_or_default();
        let array = vec![1u8; 64 << 20];
        let after = peak.bytes().unwrap_or_default();
        assert!(array.iter().any(|byte| *byte == 1) && after >= before.max(64 << 20));
    }
}
