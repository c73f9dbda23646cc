//! The arguments of every command.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::failure::Failure;
use super::graph::GraphFormat;
use super::seeds::Seeds;
use crate::data::source::{Empty, Quoting, Reading};
use crate::engine::Device;
use crate::pipeline::Override;

/// Runs declarative experiments for fine-tuning pretrained language models on small samples.
#[derive(Debug, Parser)]
#[command(
    name = "pipe",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes:\n  0    success\n  1    a stage failed, or `verify` found damage\n  \
                  2    wrong usage, or an invalid pipeline file or table\n  130  interrupted; \
                  the same command resumes the work\n\nData goes to stdout, everything else to \
                  stderr. NO_COLOR turns colours off; PIPE_HOME sets the folder for downloads."
)]
pub struct Cli {
    /// Print only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 900)]
    pub quiet: bool,
    /// Print more detail
    #[arg(short, long, global = true, display_order = 901)]
    pub verbose: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at a table of texts, and write a first pipeline for it
    Init(InitArgs),
    /// Run a pipeline and print its results
    Run(RunArgs),
    /// Run a pipeline with many parameter values
    Sweep(SweepArgs),
    /// Check a pipeline file without running anything
    Validate(FileArgs),
    /// Print the graph of a pipeline
    Graph(GraphArgs),
    /// Explain why a stage would run or is cached
    Why(WhyArgs),
    /// Predict the texts of a table, or lines from a pipe
    Predict(PredictArgs),
    /// Write a training as artifacts for ONNX Runtime's training API
    Artifacts(ArtifactsArgs),
    /// Print the results of a run
    Show(ShowArgs),
    /// Compare recipes and test whether differences exceed noise
    Compare(CompareArgs),
    /// Write the results of runs as one HTML file
    Report(ReportArgs),
    /// List the runs, newest first
    Ls(LsArgs),
    /// Re-hash the cached outputs of a run and report damage
    Verify(VerifyArgs),
    /// Remove cached outputs that no run uses
    Gc(GcArgs),
    /// Print the JSON Schema of the pipeline file
    Schema(SchemaArgs),
    /// Tell what a model is that `pretrained:` may name
    Model(ModelArgs),
    /// Show which ONNX Runtime is used, install one, or test a device
    Runtime(RuntimeArgs),
    /// Print a completion script for a shell
    Completions { shell: clap_complete::Shell },
}

#[derive(Args, Debug)]
pub struct InitArgs {
    /// The table (csv, tsv, txt, jsonl or parquet), or a folder with tables called train, dev and
    /// test
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// The pipeline file to write; one that exists is an error [default: the name of DATA with
    /// `.yaml`]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The column of the texts [default: the one that looks like it]
    #[arg(long, value_name = "COLUMN")]
    pub text: Option<String>,
    /// The column of the labels [default: the one that looks like it]
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
    #[command(flatten)]
    pub form: TableForm,
}

/// A pipeline file with overrides.
#[derive(Args, Debug)]
pub struct FileArgs {
    /// The pipeline file; `-` reads it from standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Override a value of the file, such as `-S stages.tuned.train.epochs=3`; repeatable
    #[arg(short = 'S', long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<Override>,
}

/// The arguments that are part of the cache keys, besides the file.
#[derive(Args, Debug, Default)]
pub struct KeyArgs {
    /// Run once for each of these seeds: `0..4` (both ends included) or `13,21,42`; default: the
    /// file's seed
    #[arg(long, value_name = "SEEDS")]
    pub seeds: Option<Seeds>,
    /// Device to compute on: cpu, cuda, cuda:N, or auto (a GPU if one is usable)
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: Device,
    /// Threads per stage; part of the cache keys, since results depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

#[derive(Args, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    pub file: FileArgs,
    #[command(flatten)]
    pub keys: KeyArgs,
    /// Run nothing; print the stages that would run, with reasons
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Run every stage again, even if it is cached
    #[arg(short, long)]
    pub force: bool,
    /// Run only this stage and the stages that it needs
    #[arg(long, value_name = "STAGE")]
    pub until: Option<String>,
    /// Run up to this many stages at a time; the results are the same for any number
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// Keep running stages that do not depend on a failed one
    #[arg(short, long)]
    pub keep_going: bool,
    #[command(flatten)]
    pub table: TableArgs,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Every trial becomes a row; a failed one carries its error. Re-running the \
                  command resumes it;\nseveral processes can share one sweep; finished work is \
                  reused."
)]
pub struct SweepArgs {
    /// The pipeline file (`-` reads it from standard input); its `sweep` sets the values and the
    /// search method
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The values of a parameter, such as `params.learning_rate=1e-5,2e-5,5e-5`; this replaces the
    /// parameter in the file, or adds it
    #[arg(value_name = "KEY=VALUE,VALUE", value_parser = Override::parameter)]
    pub parameters: Vec<Override>,
    /// Override a value of the file, such as `-S sweep.method=random`; repeatable
    #[arg(short = 'S', long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<Override>,
    /// Run every trial once for each of these seeds: `0..4` (both ends included) or `13,21,42`;
    /// default: the file's seeds
    #[arg(long, value_name = "SEEDS")]
    pub seeds: Option<Seeds>,
    /// Run at most this many trials
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub run_cap: Option<u32>,
    /// Device to compute on: cpu, cuda, cuda:N, or auto; several (`cuda:0,cuda:1`) are assigned to
    /// the workers in turn
    #[arg(long, value_name = "DEVICE", default_value = "cpu", value_delimiter = ',')]
    pub device: Vec<Device>,
    /// GPU numbers, such as `0,1`, one training at a time on each; short for `--device
    /// cuda:0,cuda:1 --jobs 2`
    #[arg(long, value_name = "N,N", value_delimiter = ',', conflicts_with_all = ["device", "jobs"])]
    pub gpus: Vec<u32>,
    /// Threads of the engine, shared by all concurrent trainings; part of the cache keys, since
    /// results depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Run nothing; print the trials, which of them are cached, and the expected time of the others
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Run up to this many trainings at a time; the results are the same for any number
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// Keep running other trials after a failed one; this is the default
    #[arg(short, long, conflicts_with = "fail_fast")]
    pub keep_going: bool,
    /// Stop at the first failed trial
    #[arg(long)]
    pub fail_fast: bool,
    #[command(flatten)]
    pub table: TableArgs,
}

/// The form of a printed table of results.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Table")]
pub struct TableArgs {
    /// Print the rows as JSON
    #[arg(long, conflicts_with_all = ["csv", "md"])]
    pub json: bool,
    /// Print the rows as CSV
    #[arg(long, conflicts_with = "md")]
    pub csv: bool,
    /// Print the table as Markdown
    #[arg(long)]
    pub md: bool,
    /// Sort by a metric (best first), a parameter or a column
    #[arg(long, value_name = "COLUMN")]
    pub sort_by: Option<String>,
    /// Print only the first N
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// Show this metric; repeatable
    #[arg(long, value_name = "METRIC")]
    pub metric: Vec<String>,
    /// Number of decimals [default: 4 in tables, exact in JSON and CSV]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=17))]
    pub precision: Option<u8>,
}

#[derive(Args, Debug)]
pub struct GraphArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: GraphFormat,
}

#[derive(Args, Debug)]
pub struct WhyArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// The stage
    #[arg(value_name = "STAGE")]
    pub stage: String,
    #[command(flatten)]
    pub keys: KeyArgs,
}

#[derive(Args, Debug)]
pub struct ArtifactsArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// The `train` stage
    #[arg(value_name = "STAGE")]
    pub stage: String,
    /// The folder to write to
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// The seed for sampling texts and for the head's initial weights; default: the file's seed
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
}

#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The run: its name, the beginning or the end of it, its folder, or the name of a pipeline for
    /// its newest run
    #[arg(value_name = "RUN", default_value = "latest")]
    pub run: String,
    /// Print the confusion matrix of every evaluation too
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    pub confusion: bool,
    /// Print texts generated by this `augment` stage beside their originals, instead of the results
    #[arg(long, value_name = "STAGE")]
    #[arg(conflicts_with_all = ["confusion", "csv", "md", "metric", "sort_by", "precision"])]
    pub augmented: Option<String>,
    #[command(flatten)]
    pub table: TableArgs,
}

#[derive(Args, Debug)]
pub struct CompareArgs {
    /// Results to compare: runs (the name, its beginning or end, the folder, or the name of a
    /// pipeline for its newest run), trials (`RUN/trials/3`), or files (`results.parquet`,
    /// `results.csv`)
    #[arg(value_name = "RUN", default_value = "latest")]
    pub runs: Vec<String>,
    /// Compare with this recipe: a stage, a trial's number, a run, or its name in the table
    /// [default: the first]
    #[arg(long, value_name = "RECIPE")]
    pub baseline: Option<String>,
    /// Compare the results of this split [default: test]
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<String>,
    /// Use only these seeds: `0..4` (both ends included) or `13,21,42`
    #[arg(long, value_name = "SEEDS")]
    pub seeds: Option<Seeds>,
    /// Show the parameters that differ, one column each
    #[arg(long)]
    pub only_changed: bool,
    /// Also aggregate recipes by each value of this parameter
    #[arg(long, value_name = "PARAM")]
    pub by: Option<String>,
    /// List texts that the baseline and this recipe [default: the best of the others] predict
    /// differently; `--top` limits their number [default: 20]
    #[arg(long, value_name = "RECIPE", num_args = 0..=1, require_equals = true)]
    #[arg(conflicts_with = "by")]
    pub examples: Option<Option<String>>,
    /// Compare recipes even if they were tested on different rows
    #[arg(long)]
    pub different_tests: bool,
    #[command(flatten)]
    pub table: TableArgs,
}

#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Results to report: runs (the name, its beginning or end, the folder, or the name of a
    /// pipeline for its newest run), trials (`RUN/trials/3`), or files (`results.parquet`,
    /// `results.csv`)
    #[arg(value_name = "RUN", default_value = "latest")]
    pub runs: Vec<String>,
    /// The file to write [default: report.html in the folder of the first run]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Compare by this metric [default: macro_f1]
    #[arg(long, value_name = "METRIC")]
    pub metric: Option<String>,
    /// Compare with this recipe: a stage, a trial's number, a run, or its name in the table
    /// [default: the first]
    #[arg(long, value_name = "RECIPE")]
    pub baseline: Option<String>,
    /// Report on the results of this split [default: test]
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<String>,
    /// Compare recipes even if they were tested on different rows
    #[arg(long)]
    pub different_tests: bool,
}

#[derive(Args, Debug)]
pub struct ModelArgs {
    /// The model: a folder, `pip:NAME[==VERSION]` or `hf:ORG/NAME[@REVISION]`; it is fetched if it
    /// is not here
    #[arg(value_name = "REF")]
    pub reference: String,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct LsArgs {
    /// Print the runs as JSON
    #[arg(long)]
    pub json: bool,
    /// Print only the newest N
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
}

/// A trained model.
#[derive(Args, Debug)]
pub struct ModelChoice {
    /// The model: `RUN:STAGE`, such as `latest:tuned`; a run alone for its only model, or the best
    /// on dev; a folder that `pipe` or `transformers` has written; or an ONNX file with config.json
    /// and tokenizer.json beside it
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// The seed of the run, where it has several
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// The trial of the sweep
    #[arg(long, value_name = "N")]
    pub trial: Option<u64>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Columns and order of the table stay as they are. `prediction` and `probability` \
                  come behind them.\nA line that comes through a pipe is answered at once, so that \
                  other programs can talk with it."
)]
pub struct PredictArgs {
    #[command(flatten)]
    pub model: ModelChoice,
    /// The table: csv, tsv, txt, jsonl or parquet, or one of the texts compressed (`.gz`, `.zst`);
    /// `-` reads standard input [default: -]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The column of the texts
    #[arg(long, value_name = "COLUMN", default_value = "text")]
    pub text: String,
    /// The file to write, whose ending selects the format: csv, tsv, jsonl or parquet
    /// [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write over a file that exists
    #[arg(short, long)]
    pub force: bool,
    /// Tell the probability of every class too, in columns `p/LABEL`
    #[arg(long)]
    pub proba: bool,
    /// Tell the N likeliest classes
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub top: u16,
    /// Tell no class whose probability is less than this
    #[arg(long, value_name = "P")]
    pub threshold: Option<f32>,
    /// What stands there instead of a class [default: nothing]
    #[arg(long = "else", value_name = "LABEL")]
    pub otherwise: Option<String>,
    /// Put this before the names of the new columns
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// Leave the prediction of rows without a text empty, and leave out rows that cannot be read
    #[arg(long)]
    pub skip_bad: bool,
    /// The form of standard input [default: lines]
    #[arg(long, value_name = "FORM")]
    pub from: Option<From>,
    /// The form of standard output [default: that of the input; lines give jsonl]
    #[arg(long, value_name = "FORM")]
    pub to: Option<To>,
    #[command(flatten)]
    pub form: TableForm,
    /// Device to compute on: cpu, cuda, cuda:N, or auto (a GPU if one is usable)
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: Device,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

/// What a file of a table does not say by itself.
#[derive(Args, Clone, Debug, Default)]
pub struct TableForm {
    /// The character between the fields of csv, tsv and txt, or `tab`
    #[arg(long, value_name = "CHARACTER")]
    pub separator: Option<String>,
    /// How fields are quoted in csv, tsv and txt: double or none
    #[arg(long, value_name = "QUOTING", value_parser = quoting)]
    pub quoting: Option<Quoting>,
    /// The encoding of files of text, such as windows-1252
    #[arg(long, value_name = "ENCODING")]
    pub encoding: Option<String>,
}

impl TableForm {
    /// Returns how a table is read, of which the column of the text is named.
    pub fn reading<'a>(&self, text: &'a str) -> Result<Reading<'a>, Failure> {
        let wrong = |flag: &str, value: &str, hint: &str| {
            Failure::usage(format!("`{flag} {value}`"), Some(hint.to_owned()))
        };
        let separator = self.separator.as_deref().map(|value| {
            let hint = "expected one character, or `tab`";
            value.parse().map_err(|()| wrong("--separator", value, hint))
        });
        let encoding = self.encoding.as_deref().map(|value| {
            let hint = "expected an encoding such as `windows-1252`";
            value.parse().map_err(|()| wrong("--encoding", value, hint))
        });
        Ok(Reading {
            text,
            label: None,
            separator: separator.transpose()?,
            quoting: self.quoting,
            encoding: encoding.transpose()?,
            empty: Empty::Drop,
        })
    }
}

/// The form of standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum From {
    /// A text in each line
    Lines,
    Csv,
    Tsv,
    Jsonl,
}

/// The form of standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum To {
    Csv,
    Tsv,
    Jsonl,
}

fn quoting(text: &str) -> Result<Quoting, String> {
    match text {
        "double" => Ok(Quoting::Double),
        "none" => Ok(Quoting::None),
        _ => Err("expected `double` or `none`".to_owned()),
    }
}

#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The run: its name, the beginning or the end of it, its folder, or the name of a pipeline for
    /// its newest run
    #[arg(value_name = "RUN", default_value = "latest")]
    pub run: String,
    /// Set damaged outputs aside, so that the next run that needs them computes them again
    #[arg(long)]
    pub repair: bool,
    /// Compute the run or sweep again, with its seeds, threads and device, and compare every output
    /// bit for bit
    #[arg(long, conflicts_with = "repair")]
    pub replay: bool,
    /// Replay this stage alone, on the stored outputs of the others
    #[arg(long, value_name = "STAGE", requires = "replay")]
    pub stage: Option<String>,
}

#[derive(Args, Debug)]
pub struct GcArgs {
    /// Keep outputs younger than this
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub keep_days: u32,
    /// Remove nothing; print what would be removed
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

#[derive(Args, Debug)]
pub struct SchemaArgs {
    /// Print a page that explains every key instead, as Markdown
    #[arg(long)]
    pub markdown: bool,
}

#[derive(Args, Debug)]
pub struct RuntimeArgs {
    #[command(subcommand)]
    pub action: Option<RuntimeAction>,
    /// The device: cpu, cuda, cuda:N or auto
    #[arg(long, value_name = "DEVICE", default_value = "cpu", global = true)]
    pub device: Device,
}

#[derive(Clone, Debug, Subcommand)]
pub enum RuntimeAction {
    /// Install the library now instead of on the first run
    Install {
        /// Install the library for NVIDIA GPUs and any missing CUDA libraries; the same as
        /// `--device cuda`
        #[arg(long)]
        cuda: bool,
    },
    /// Test training on a device: gradients, fifty steps in every precision, dropout, copies
    /// between host and device, and speed
    Check {
        /// Also write the findings to this file, as JSON
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
