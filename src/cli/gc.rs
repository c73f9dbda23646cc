//! `pipe gc`: removes cached outputs that no run uses.

use super::args::GcArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use crate::base::home::pipe_home;
use crate::runner::Project;
use crate::runner::gc::{self as collector, Collected};
use crate::runner::record::runs::Unreadable;

/// Removes cached outputs that no run uses, and prints the freed space.
pub fn gc(args: &GcArgs, printer: &Printer) -> Result<Exit, Failure> {
    let project = Project::here()?;
    let Collected { mut freed, blocking } =
        collector::collect(&project, args.keep_days, args.dry_run)?;
    // Without a home there are no downloads.
    if let Ok(home) = pipe_home() {
        freed.extend(collector::collect_downloads(&home, args.dry_run)?);
    }
    let verb = if args.dry_run { "would remove" } else { "removed" };
    for one in &freed {
        printer.status(&format!("{verb} {} ({})", one.what, size(one.bytes)));
    }
    let bytes = freed.iter().map(|one| one.bytes).sum();
    let verb = if args.dry_run { "would free" } else { "freed" };
    printer.status(&format!("{verb} {}", size(bytes)));
    if blocking.is_empty() {
        return Ok(Exit::Success);
    }
    for Unreadable { folder, reason } in &blocking {
        printer.warning(&format!("`{}` cannot be read: {reason}", project.relative(folder)));
    }
    let hint = "bring back what is missing or, if nothing is worth keeping, remove the folder";
    let outputs = "no output was removed, since these runs may use any of them";
    Err(Failure::plain(Exit::Failed, outputs, Some(hint.to_owned())))
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_for_people() {
        let sizes = [0, 999, 1000, 999_960, 2_500_000_000].map(super::size);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "1.0 MB", "2.5 GB"]);
    }
}
