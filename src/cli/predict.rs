//! `pipe predict`: predicts the texts of a table, or of what comes through a pipe.

use std::io::{self, IsTerminal};
use std::path::Path;

use super::args::{From, PredictArgs, To};
use super::exit::Exit;
use super::failure::Failure;
use super::open::threads;
use super::printer::Printer;
use super::progress::Preparation;
use super::run::catch_interrupts;
use super::trained::{self, Found};
use crate::base::files::TEMPORARY;
use crate::base::report::Report;
use crate::data::PredictedTable;
use crate::data::predicted::WriteError;
use crate::data::source::{Form, Format, Origin, Remark, Unread, WholeTable};
use crate::engine::Runtime;
use crate::predict::Classifier;
use crate::predict::table::{Columns, Done, Ended, Job, of_flags};
use crate::runner::{Interrupt, RunError};
use crate::stages::StageError;

/// Predicts the texts of a table.
pub fn predict(args: &PredictArgs, printer: &Printer) -> Result<Exit, Failure> {
    let origin = origin(args)?;
    let format = format(args, &origin)?;
    let Found { model, what } = trained::find(&args.model, printer)?;
    let columns = columns(args, &model.labels)?;
    let reading = args.form.reading(&args.text)?;
    let preparation = Preparation::new(printer);
    let (device, reason) =
        Runtime::decide(args.device, Some(&preparation as &dyn Report)).map_err(RunError::from)?;
    if let Some(reason) = reason {
        printer.status(&reason);
    }
    let threads = threads(args.threads);
    let opened = Classifier::of(&model, (device, threads), &preparation);
    drop(preparation);
    let mut classifier = opened.map_err(failed)?;
    drop(model);
    let file = match &origin {
        Origin::File(file) => file.display().to_string(),
        Origin::Stdin(_) => "-".to_owned(),
    };
    // What comes through a pipe is waited for, which a request to stop must not wait for.
    let interrupt = match &origin {
        Origin::File(_) => catch_interrupts(printer)?,
        Origin::Stdin(_) => Interrupt::default(),
    };
    if matches!(origin, Origin::Stdin(_)) && io::stdin().is_terminal() {
        printer.status("type a text in a line; Ctrl-D ends");
    }
    let table = WholeTable::open(&origin, &reading).map_err(|error| bad(of_flags(error)))?;
    for remark in &table.remarks {
        match remark {
            Remark::Note(line) => printer.status(line),
            Remark::Warning(line) => printer.warning(line),
        }
    }
    let bar = printer.bar(None);
    let stops = || interrupt.is_asked();
    let silent = crate::base::report::Silent;
    let mut job = Job {
        classifier: &mut classifier,
        columns: &columns,
        file: &file,
        skips: args.skip_bad,
        report: &silent,
        stops: &stops,
    };
    if matches!(origin, Origin::File(_)) {
        bar.set_prefix("predict");
        bar.set_style("{prefix}  {spinner} {elapsed}  {pos} rows  {rate}");
        bar.tick_every(std::time::Duration::from_millis(100));
    }
    let told = |rows: u64| bar.set_done(rows);
    let header = (table.header().map(<[String]>::to_vec), table.quoting());
    let begun = |out| {
        let header = (header.0.as_deref(), header.1);
        PredictedTable::new(args.output.as_deref().unwrap_or(Path::new("-")), format, header, out)
    };
    let outcome = match &args.output {
        None => job.run(table, begun(Err(Box::new(io::stdout()))), &told),
        Some(path) => whole(path, |file| job.run(table, begun(Ok(file)), &told)),
    };
    bar.clear();
    let (done, table) = match outcome {
        Ok(ended) => ended,
        Err(Ended::Write(error)) if error.is_closed() => return Ok(Exit::Success),
        Err(Ended::Stopped) => {
            let left = if args.output.is_some() { "; the file was not written" } else { "" };
            printer.status(&format!("stopped{left}"));
            return Ok(Exit::Interrupted);
        }
        Err(Ended::Table(error)) => return Err(Failure::Other { exit: Exit::Usage, error }),
        Err(Ended::Model(error)) => return Err(failed(error)),
        Err(Ended::Write(error)) => {
            // The disk is no fault of the table.
            let exit = match error {
                WriteError::Taken { .. } | WriteError::LateKey { .. } => Exit::Usage,
                WriteError::Io(_) | WriteError::Unwritable { .. } => Exit::Failed,
            };
            return Err(Failure::Other { exit, error: Box::new(error) });
        }
    };
    tell(&done, &table, &columns, &what, printer);
    match &args.output {
        Some(path) => printer.path(path),
        None => Ok(Exit::Success),
    }
}

/// Writes a file that appears whole or not at all.
fn whole<T>(path: &Path, write: impl FnOnce(fs_err::File) -> Result<T, Ended>) -> Result<T, Ended> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!("{TEMPORARY}{name}"));
    let io = |error: io::Error| Ended::Write(error.into());
    let file = fs_err::File::create(&unfinished).map_err(io)?;
    let written = write(file).and_then(|done| {
        fs_err::File::open(&unfinished).and_then(|file| file.sync_all()).map_err(io)?;
        fs_err::rename(&unfinished, path).map_err(io)?;
        Ok(done)
    });
    if written.is_err() {
        let _ = fs_err::remove_file(&unfinished);
    }
    written
}

/// Says what was done, and what was passed over.
fn tell(done: &Done, table: &WholeTable, columns: &Columns, what: &str, printer: &Printer) {
    printer.status(&format!("texts predicted by {what}: {}", done.rows - done.without_text));
    if let Some(first) = done.first {
        printer.warning(&format!(
            "rows without a text, whose prediction is empty: {}; the first is {first}",
            done.without_text
        ));
    }
    if let Some(first) = table.unread.first() {
        let (count, Unread { place, reason }) = (table.unread.len(), first);
        printer.warning(&format!(
            "rows left out, as they cannot be read: {count}; the first is {place}: {reason}"
        ));
    }
    if let Some(threshold) = columns.threshold {
        let (unsure, otherwise) = (done.unsure, &columns.otherwise);
        printer.status(&format!(
            "no class reaches {threshold}, so that `{otherwise}` stands there: {unsure}"
        ));
    }
}

fn failed(error: StageError) -> Failure {
    Failure::Other { exit: Exit::Failed, error }
}

fn bad(error: crate::data::source::SourceError) -> Failure {
    Failure::Other { exit: Exit::Usage, error: Box::new(error) }
}

/// Returns where the texts come from.
fn origin(args: &PredictArgs) -> Result<Origin, Failure> {
    let file = args.file.as_ref().filter(|file| *file != Path::new("-"));
    match (file, args.from) {
        (Some(file), None) => Ok(Origin::File(file.clone())),
        (Some(_), Some(_)) => {
            let hint = "the ending of the file selects the format".to_owned();
            Err(Failure::usage("`--from` is for what comes through a pipe", Some(hint)))
        }
        (None, from) => Ok(Origin::Stdin(match from.unwrap_or(From::Lines) {
            From::Lines => Form::Lines,
            From::Csv => Form::Table(Format::Csv),
            From::Tsv => Form::Table(Format::Tsv),
            From::Jsonl => Form::Table(Format::JsonLines),
        })),
    }
}

/// Returns the format that is written: that of the file's ending, that which is asked for, or that
/// which is read.
fn format(args: &PredictArgs, origin: &Origin) -> Result<Format, Failure> {
    if let Some(file) = &args.output {
        return format_of_file(args, file);
    }
    let asked = args.to.map(|to| match to {
        To::Jsonl => Format::JsonLines,
        To::Csv => Format::Csv,
        To::Tsv => Format::Tsv,
    });
    let read = match origin {
        Origin::File(file) => Format::of(&file.to_string_lossy()),
        Origin::Stdin(Form::Lines) => Some(Format::JsonLines),
        Origin::Stdin(Form::Table(format)) => Some(*format),
    };
    Ok(asked.or(read).map_or(Format::Csv, |format| match format {
        // Its end is written last, and it is no text.
        Format::Parquet => Format::Csv,
        Format::Text => Format::Tsv,
        format => format,
    }))
}

fn format_of_file(args: &PredictArgs, file: &Path) -> Result<Format, Failure> {
    let shown = file.display();
    if args.to.is_some() {
        let hint = "the ending of the file selects the format".to_owned();
        return Err(Failure::usage("`--to` is for what goes to stdout", Some(hint)));
    }
    let packed = [".gz", ".zst"].iter().any(|it| file.to_string_lossy().ends_with(it));
    let format = Format::of(&file.to_string_lossy()).filter(|_| !packed).ok_or_else(|| {
        let hint = "let its name end in `.csv`, `.tsv`, `.jsonl` or `.parquet`".to_owned();
        Failure::usage(format!("`{shown}` has no ending of a table that is written"), Some(hint))
    })?;
    if file.exists() && !args.force {
        let hint = "name another file, or give `--force`".to_owned();
        return Err(Failure::usage(format!("`{shown}` exists already"), Some(hint)));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let hint = "make it first".to_owned();
        return Err(Failure::usage(
            format!("the folder `{}` does not exist", folder.display()),
            Some(hint),
        ));
    }
    Ok(if format == Format::Text { Format::Tsv } else { format })
}

fn columns(args: &PredictArgs, labels: &[String]) -> Result<Columns, Failure> {
    if let Some(threshold) = args.threshold.filter(|it| !(0.0..=1.0).contains(it)) {
        let hint = "a probability is from 0 to 1".to_owned();
        return Err(Failure::usage(format!("`--threshold {threshold}`"), Some(hint)));
    }
    if args.otherwise.is_some() && args.threshold.is_none() {
        let hint = "add `--threshold`, such as `--threshold 0.6`".to_owned();
        return Err(Failure::usage("`--else` stands where no class is likely enough", Some(hint)));
    }
    if args.top as usize > labels.len() {
        let hint = format!("the model has {} classes", labels.len());
        return Err(Failure::usage(format!("`--top {}`", args.top), Some(hint)));
    }
    Ok(Columns {
        prefix: args.prefix.clone().unwrap_or_default(),
        all: args.proba,
        top: args.top as usize,
        threshold: args.threshold,
        otherwise: args.otherwise.clone().unwrap_or_default(),
    })
}
