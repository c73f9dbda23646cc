//! The arguments of every command.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::graph::GraphFormat;
use super::seeds::Seeds;
use crate::engine::Device;
use crate::spec::Override;

/// Runs declarative experiments for fine-tuning pretrained language models on small samples.
#[derive(Debug, Parser)]
#[command(
    name = "pipe",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes:\n  0    all went well\n  1    a stage failed, or `verify` found \
                  damage\n  2    bad usage or a bad pipeline file; nothing ran\n  130  \
                  interrupted; the same command goes on where it stopped\n\nData goes to stdout, \
                  everything else to stderr. NO_COLOR turns colours off; PIPE_HOME moves the \
                  folder of downloads."
)]
pub struct Cli {
    /// Say only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 900)]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true, display_order = 901)]
    pub verbose: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline and print its results
    Run(RunArgs),
    /// Run a pipeline with many values of its parameters
    Sweep(SweepArgs),
    /// Check a pipeline file without running anything
    Validate(FileArgs),
    /// Print the graph of a pipeline
    Graph(GraphArgs),
    /// Say why a stage would run, or not
    Why(WhyArgs),
    /// Write a training as artifacts for ONNX Runtime's training API
    Artifacts(ArtifactsArgs),
    /// Print the results of a run
    Show(ShowArgs),
    /// Say which recipe is better, and whether that is more than noise
    Compare(CompareArgs),
    /// Write the results of runs as one HTML file
    Report(ReportArgs),
    /// List the runs, newest first
    Ls(LsArgs),
    /// Digest the cached outputs of a run anew
    Verify(VerifyArgs),
    /// Remove cached outputs that no run uses
    Gc(GcArgs),
    /// Print the JSON Schema of the pipeline file
    Schema(SchemaArgs),
    /// Say which ONNX Runtime is used, install one, or test a device
    Runtime(RuntimeArgs),
    /// Print a completion script for a shell
    Completions { shell: clap_complete::Shell },
}

/// A pipeline file with overrides.
#[derive(Args, Debug)]
pub struct FileArgs {
    /// The pipeline file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Override a value of the file, such as `-S stages.tuned.train.epochs=3`; may be repeated
    #[arg(short = 'S', long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<Override>,
}

/// What besides the file is part of the cache keys.
#[derive(Args, Debug, Default)]
pub struct KeyArgs {
    /// Run once for each of these seeds: `0..4` (both ends included) or `13,21,42`; default: the
    /// file's seed
    #[arg(long, value_name = "SEEDS")]
    pub seeds: Option<Seeds>,
    /// Where to compute: cpu, cuda, cuda:N, or auto (a GPU where one can be used)
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
    /// Run nothing; print what would run, and why
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Run every stage again, cached or not
    #[arg(short, long)]
    pub force: bool,
    /// Run only this stage and what it needs
    #[arg(long, value_name = "STAGE")]
    pub until: Option<String>,
    /// Run up to this many stages at a time; the results are the same for any number
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// After a failure, go on with all that does not depend on it
    #[arg(short, long)]
    pub keep_going: bool,
    #[command(flatten)]
    pub table: TableArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "Trials end as rows: a failed one with its error. The same command goes \
                        on where an earlier one stopped, several at a time\nshare the work, and \
                        what other trials or runs have computed is not computed again.")]
pub struct SweepArgs {
    /// The pipeline file; its `sweep` says which values, chosen how
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The values of a parameter, such as `params.learning_rate=1e-5,2e-5,5e-5`; in place of the
    /// file's, or in addition
    #[arg(value_name = "KEY=VALUE,VALUE", value_parser = Override::parameter)]
    pub parameters: Vec<Override>,
    /// Override a value of the file, such as `-S sweep.method=random`; may be repeated
    #[arg(short = 'S', long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<Override>,
    /// Run every trial once for each of these seeds: `0..4` (both ends included) or `13,21,42`;
    /// default: those of the file
    #[arg(long, value_name = "SEEDS")]
    pub seeds: Option<Seeds>,
    /// Run at most this many trials
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub run_cap: Option<u32>,
    /// Where to compute: cpu, cuda, cuda:N, or auto; several (`cuda:0,cuda:1`) are given to the
    /// workers in turn
    #[arg(long, value_name = "DEVICE", default_value = "cpu", value_delimiter = ',')]
    pub device: Vec<Device>,
    /// The GPUs by number, such as `0,1`, each with one training at a time; short for `--device
    /// cuda:0,cuda:1 --jobs 2`
    #[arg(long, value_name = "N,N", value_delimiter = ',', conflicts_with_all = ["device", "jobs"])]
    pub gpus: Vec<u32>,
    /// Threads of the engine, shared by all trainings that run at a time; part of the cache keys,
    /// since results depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Run nothing; print the trials, what of them is there, and what the others may take
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Run up to this many trainings at a time; the results are the same for any number
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// After a failed trial, go on with the others; this is what a sweep does anyway
    #[arg(short, long, conflicts_with = "fail_fast")]
    pub keep_going: bool,
    /// Stop at the first failed trial
    #[arg(long)]
    pub fail_fast: bool,
    #[command(flatten)]
    pub table: TableArgs,
}

/// How a table of results is printed.
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
    /// Show this metric; may be repeated
    #[arg(long, value_name = "METRIC")]
    pub metric: Vec<String>,
    /// Decimals of the numbers [default: 4 for people, exact for JSON and CSV]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=17))]
    pub precision: Option<u8>,
}

#[derive(Args, Debug)]
pub struct GraphArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// How to write it
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
    /// The seed that draws the texts and the head's first weights; default: the file's seed
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
}

#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The run: its name, the beginning or the end of it, or its folder
    #[arg(value_name = "RUN", default_value = "latest")]
    pub run: String,
    /// Print the confusion matrix of every evaluation too
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    pub confusion: bool,
    /// Print texts that this `augment` stage made, beside the texts that they were made from, in
    /// place of the results
    #[arg(long, value_name = "STAGE", conflicts_with_all = ["confusion", "csv", "md", "metric", "sort_by", "precision"])]
    pub augmented: Option<String>,
    #[command(flatten)]
    pub table: TableArgs,
}

#[derive(Args, Debug)]
pub struct CompareArgs {
    /// What to compare: runs (the name, the beginning or the end of it, or the folder), trials
    /// (`RUN/trials/3`), or files (`results.parquet`, `results.csv`)
    #[arg(value_name = "RUN", default_value = "latest")]
    pub runs: Vec<String>,
    /// Compare with this recipe: a stage, a trial's number, a run, or the name that the table gives
    /// it [default: the first]
    #[arg(long, value_name = "RECIPE")]
    pub baseline: Option<String>,
    /// Compare the results of this split [default: test]
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<String>,
    /// Use only these seeds: `0..4` (both ends included) or `13,21,42`
    #[arg(long, value_name = "SEEDS")]
    pub seeds: Option<Seeds>,
    /// Show the parameters that differ, each in a column of its own
    #[arg(long)]
    pub only_changed: bool,
    /// Sum recipes up by the values of this parameter too
    #[arg(long, value_name = "PARAM")]
    pub by: Option<String>,
    /// List texts that the baseline and this recipe [default: the best of the others] predict
    /// differently; `--top` says how many [default: 20]
    #[arg(long, value_name = "RECIPE", num_args = 0..=1, require_equals = true, conflicts_with = "by")]
    pub examples: Option<Option<String>>,
    /// Compare recipes that were tested on different rows
    #[arg(long)]
    pub different_tests: bool,
    #[command(flatten)]
    pub table: TableArgs,
}

#[derive(Args, Debug)]
pub struct ReportArgs {
    /// What to report on: runs (the name, the beginning or the end of it, or the folder), trials
    /// (`RUN/trials/3`), or files (`results.parquet`, `results.csv`)
    #[arg(value_name = "RUN", default_value = "latest")]
    pub runs: Vec<String>,
    /// The file to write [default: report.html in the folder of the first run]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Judge by this metric [default: macro_f1]
    #[arg(long, value_name = "METRIC")]
    pub metric: Option<String>,
    /// Compare with this recipe: a stage, a trial's number, a run, or the name that the table gives
    /// it [default: the first]
    #[arg(long, value_name = "RECIPE")]
    pub baseline: Option<String>,
    /// Report on the results of this split [default: test]
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<String>,
    /// Compare recipes that were tested on different rows
    #[arg(long)]
    pub different_tests: bool,
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

#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The run: its name, the beginning or the end of it, or its folder
    #[arg(value_name = "RUN", default_value = "latest")]
    pub run: String,
}

#[derive(Args, Debug)]
pub struct GcArgs {
    /// Keep outputs that are younger than this
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub keep_days: u32,
    /// Remove nothing; say what would be removed
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
    /// For which device: cpu, cuda, cuda:N or auto
    #[arg(long, value_name = "DEVICE", default_value = "cpu", global = true)]
    pub device: Device,
}

#[derive(Clone, Debug, Subcommand)]
pub enum RuntimeAction {
    /// Install the library now, in place of at the first run
    Install {
        /// The library for NVIDIA GPUs, and the CUDA libraries that this machine lacks; the same as
        /// `--device cuda`
        #[arg(long)]
        cuda: bool,
    },
    /// Test training on a device: gradients, fifty steps in every precision, dropout, what is
    /// copied, and speed
    Check {
        /// Write the findings to this file too, as JSON
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
