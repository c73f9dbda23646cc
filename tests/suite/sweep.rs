//! Sweeps from the outside: the same table whatever the number of workers, the kills and the
//! processes.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use fs_err as fs;
use pipe::results::row::ResultRow;
use serde_json::Value;

use super::project::{Project, Said, TestError, data};

/// Two rates and two batch sizes, on a tiny model that takes a moment for each.
fn pipeline(epochs: u32, sweep: &str) -> String {
    format!(
        "\
version: 1
seed: 1
params: {{ rate: 1e-3 }}
stages:
  data: {{ load: {{ path: texts.csv, split: {{ test: 0.3, dev: 0.2 }} }} }}
  tuned:
    train:
      data: data
      model: {{ pretrained: {} }}
      epochs: {epochs}
      batch_size: 8
      optimizer: {{ adamw: {{ learning_rate: \"${{params.rate}}\" }} }}
  dev_score: {{ evaluate: {{ model: tuned, data: data, split: dev }} }}
  score: {{ evaluate: {{ model: tuned, data: data }} }}
sweep:
{sweep}",
        data("tiny-bert")
    )
}

const GRID: &str = "  metric: { name: dev_score.macro_f1 }
  parameters:
    params.rate: { values: [1e-4, 1e-3, 1e-2] }
    stages.tuned.train.batch_size: { values: [4, 8] }
  seeds: [1, 2]
";

fn adaptive(method: &str) -> String {
    format!(
        "  method: {{ {method} }}
  metric: {{ name: dev_score.nll }}
  parameters:
    params.rate: {{ min: 1e-4, max: 3e-2, distribution: log_uniform_values }}
    stages.tuned.train.batch_size: {{ min: 4, max: 12, q: 4 }}
  seeds: [1, 2]
"
    )
}

fn sweep(project: &Project, arguments: &[&str]) -> Result<Said, TestError> {
    let said = project.pipe(&[&["sweep", "x.yaml", "--threads", "1"], arguments].concat())?;
    if said.code != Some(0) {
        return Err(format!("exit code {:?}: {}", said.code, said.err).into());
    }
    Ok(said)
}

fn start(project: &Project, arguments: &[&str]) -> Result<Child, TestError> {
    let mut command =
        project.command(&[&["sweep", "x.yaml", "--threads", "1"], arguments].concat());
    Ok(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

fn kill(mut child: Child) -> Result<Said, TestError> {
    child.kill()?;
    Ok(Said::new(child.wait_with_output()?))
}

/// The keys of all stages that were computed in a project, each as often as it was.
fn computed(project: &Project) -> Result<Vec<String>, TestError> {
    let mut keys = Vec::new();
    for entry in fs::read_dir(project.path("runs"))? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        for line in fs::read_to_string(entry.path().join("events.jsonl"))?.lines() {
            let event: Value = serde_json::from_str(line)?;
            if event["event"] == "stage_finished" {
                keys.push(event["key"].as_str().ok_or("no key")?.to_owned());
            }
        }
    }
    Ok(keys)
}

fn once_each(keys: &[String]) -> bool {
    keys.iter().collect::<BTreeSet<_>>().len() == keys.len()
}

#[test]
fn a_grid_shares_what_its_parameters_do_not_touch() -> Result<(), TestError> {
    let project = Project::with(90, &pipeline(2, GRID))?;
    let said = sweep(&project, &["-j", "2", "--csv"])?;
    let rows = project.results()?;
    // 6 trials × 2 seeds × 2 evaluations.
    assert_eq!(rows.len(), 24);
    assert_eq!(said.out.lines().count(), 25);
    let keys = computed(&project)?;
    // The data once, and for each trial and seed a model and two evaluations.
    assert!(once_each(&keys));
    assert_eq!(keys.len(), 1 + 12 * 3);
    let seeds: BTreeMap<u64, BTreeSet<u64>> = rows.iter().fold(BTreeMap::new(), |mut of, row| {
        of.entry(row.trial.unwrap_or(99)).or_default().insert(row.seed);
        of
    });
    assert_eq!(seeds.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert!(seeds.values().all(|seeds| seeds.iter().eq([1, 2].iter())), "{seeds:?}");
    let rates: Vec<f64> = rows
        .iter()
        .filter(|row| row.seed == 1 && row.split == "dev")
        .filter_map(|row| row.params["rate"].as_f64())
        .collect();
    assert_eq!(rates, [1e-4, 1e-4, 1e-3, 1e-3, 1e-2, 1e-2]);
    // Each trial has the tables of a run of its own.
    for trial in 0..6 {
        let folder = project.path(&format!("runs/latest/trials/{trial}"));
        let of_trial = pipe::results::results::ResultTable::read(&folder)?.rows;
        assert!(of_trial.iter().all(|row| row.trial == Some(trial)) && of_trial.len() == 4);
        assert!(
            folder.join("predictions.parquet").is_file() && folder.join("curves.parquet").is_file()
        );
    }
    assert_eq!(project.pipe(&["verify"])?.code, Some(0));
    // Only the best trial's models take room, unless all are asked for.
    assert_eq!(models(&project)?, 2);
    sweep(&project, &["-S", "sweep.keep_models=all", "--seeds", "3"])?;
    assert_eq!(models(&project)?, 2 + 6);
    Ok(())
}

/// How many trained models the cache holds.
fn models(project: &Project) -> Result<usize, TestError> {
    let mut count = 0;
    for entry in fs::read_dir(project.path(".pipe/cache"))? {
        count += usize::from(entry?.path().join("artifact/model.safetensors").is_file());
    }
    Ok(count)
}

#[test]
fn widening_a_sweep_runs_only_what_is_missing() -> Result<(), TestError> {
    let project = Project::with(60, &pipeline(1, GRID))?;
    sweep(&project, &["--run-cap", "2"])?;
    assert_eq!(computed(&project)?.len(), 1 + 2 * 2 * 3);
    sweep(&project, &[])?;
    assert_eq!(computed(&project)?.len(), 1 + 6 * 2 * 3);
    // The best trial's models are still there, so that it runs alone from the cache.
    let best = project.provenance()?["sweep"]["best"]["values"].clone();
    let set: Vec<String> = best
        .as_object()
        .ok_or("no best")?
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let alone = ["--threads", "1", "--seeds", "1,2", "-S", &set[0], "-S", &set[1]];
    let said = project.run(&alone)?;
    assert!(said.err.contains(": 0 computed, "), "{}", said.err);
    sweep(&project, &["--seeds", "1..3"])?;
    assert_eq!(computed(&project)?.len(), 1 + 6 * 3 * 3);
    sweep(
        &project,
        &["params.rate=1e-3,5e-3", "stages.tuned.train.batch_size=8", "--seeds", "1,2"],
    )?;
    assert_eq!(project.results()?.len(), 2 * 2 * 2);
    let keys = computed(&project)?;
    assert_eq!(keys.len(), 1 + 6 * 3 * 3 + 2 * 3);
    assert!(once_each(&keys));
    // The same command once more has nothing to do and the same folder.
    let before = project.provenance()?;
    sweep(&project, &[])?;
    let folder = project.provenance()?["run"].clone();
    sweep(&project, &[])?;
    assert_ne!(before["run"], folder);
    assert_eq!(project.provenance()?["run"], folder);
    assert_eq!(computed(&project)?.len(), keys.len());
    Ok(())
}

#[test]
fn any_number_of_workers_gives_the_same_trials() -> Result<(), TestError> {
    let methods = [
        "tpe: { trials: 8, startup_trials: 3, pending: 3 }",
        "gp: { trials: 6, startup_trials: 3 }",
        "asha: { trials: 8, min_epochs: 1, reduction: 2 }",
        "hyperband: { min_epochs: 1, reduction: 2, sample: tpe }",
        "random: { trials: 5 }",
    ];
    for method in methods {
        let file = pipeline(4, &adaptive(method));
        let (alone, many) = (Project::with(60, &file)?, Project::with(60, &file)?);
        sweep(&alone, &["-j", "1"])?;
        sweep(&many, &["-j", "8"])?;
        assert_eq!(alone.results()?, many.results()?, "{method}");
        assert!(once_each(&computed(&many)?), "{method}");
    }
    Ok(())
}

#[test]
fn a_killed_sweep_ends_as_an_undisturbed_one() -> Result<(), TestError> {
    for sweep_of in [GRID.to_owned(), adaptive("asha: { trials: 9, min_epochs: 1, reduction: 2 }")]
    {
        let file = pipeline(8, &sweep_of);
        let (calm, killed) = (Project::with(120, &file)?, Project::with(120, &file)?);
        sweep(&calm, &["-j", "2"])?;
        let mut said = Vec::new();
        for milliseconds in [0, 120, 350, 600] {
            let child = start(&killed, &["-j", "2"])?;
            sleep(Duration::from_millis(milliseconds));
            said.push(kill(child)?);
        }
        let before = computed(&killed)?.len();
        assert!(before > 0, "{said:?}");
        let last = sweep(&killed, &["-j", "2"])?;
        assert_eq!(killed.results()?, calm.results()?);
        let keys = computed(&killed)?;
        assert!(once_each(&keys), "something that was finished ran once more");
        assert!(keys.len() > before, "the sweep was over before the last attempt: {}", last.err);
        // All attempts went on in one folder.
        let runs = killed.pipe(&["ls"])?.out;
        assert_eq!(runs.lines().count(), 2, "{runs}");
        assert!(runs.contains("  complete  "), "{runs}");
    }
    Ok(())
}

#[test]
fn two_processes_share_a_sweep() -> Result<(), TestError> {
    for sweep_of in [GRID.to_owned(), adaptive("tpe: { trials: 8, startup_trials: 3 }")] {
        let project = Project::with(90, &pipeline(4, &sweep_of))?;
        let first = start(&project, &["--csv"])?;
        let second = start(&project, &["--csv"])?;
        let (first, second) =
            (Said::new(first.wait_with_output()?), Said::new(second.wait_with_output()?));
        assert_eq!((first.code, second.code), (Some(0), Some(0)), "{}\n{}", first.err, second.err);
        assert!(once_each(&computed(&project)?), "a cell ran twice");
        // But for the name of the run, which is the first column, the tables are the same.
        let rows = |said: &Said| -> Vec<String> {
            said.out.lines().filter_map(|line| Some(line.split_once(',')?.1.to_owned())).collect()
        };
        assert_eq!(rows(&first), rows(&second));
        let shares: Vec<usize> = [&first, &second]
            .iter()
            .map(|said| {
                said.err.matches("\ntrial ").count() + usize::from(said.err.starts_with("trial "))
            })
            .collect();
        assert!(shares.iter().all(|&share| share > 0), "one of them did nothing: {shares:?}");
    }
    Ok(())
}

#[test]
fn a_failed_trial_is_a_row_with_its_error() -> Result<(), TestError> {
    let values = "  metric: { name: dev_score.macro_f1 }
  parameters:
    params.rate: { values: [1e-3, 1e30, 1e-2] }
";
    let project = Project::with(60, &pipeline(1, values))?;
    let said = project.pipe(&["sweep", "x.yaml", "--threads", "1"])?;
    assert_eq!(said.code, Some(1), "{}", said.err);
    let rows = project.results()?;
    assert_eq!(rows.len(), 6);
    let failed: Vec<&ResultRow> = rows.iter().filter(|row| row.error.is_some()).collect();
    assert!(
        failed.iter().all(|row| row.trial == Some(1) && row.metrics.is_empty())
            && failed.len() == 2
    );
    let error = failed[0].error.clone().unwrap_or_default();
    assert!(error.contains("with learning rate 1e30"), "{error}");
    assert!(
        said.err.contains("warning: trial 1 (params.rate=1e30) failed: stage `tuned` failed"),
        "{}",
        said.err
    );
    assert!(said.err.contains("ended, with failed trials: 3 trials"), "{}", said.err);
    // The others stand, and a failure is tried again, and only that.
    let before = computed(&project)?.len();
    let again = project.pipe(&["sweep", "x.yaml", "--threads", "1"])?;
    assert_eq!((again.code, computed(&project)?.len()), (Some(1), before));
    let fast = Project::with(60, &pipeline(1, values))?;
    let said = fast.pipe(&["sweep", "x.yaml", "--threads", "1", "--fail-fast"])?;
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert_eq!(fast.results()?.len(), 4);
    Ok(())
}

#[test]
fn a_promoted_trial_goes_on_from_where_it_paused() -> Result<(), TestError> {
    let file = pipeline(4, &adaptive("asha: { trials: 4, min_epochs: 2, reduction: 2 }"));
    let project = Project::with(60, &file)?;
    sweep(&project, &[])?;
    let rows = project.results()?;
    let stopped = rows.iter().filter(|row| row.stopped_epoch == Some(2)).count();
    let whole: Vec<&ResultRow> = rows.iter().filter(|row| row.stopped_epoch.is_none()).collect();
    assert!(stopped > 0 && !whole.is_empty(), "{rows:?}");
    let events = fs::read_to_string(project.path("runs/latest/events.jsonl"))?;
    assert!(events.contains("resuming after epoch 2 of 4"), "{events}");
    // What is trained in two parts is what is trained in one.
    let apart = Project::with(60, &file)?;
    for row in whole.iter().filter(|row| row.split == "test") {
        let rate = format!("params.rate={}", row.params["rate"]);
        let size = format!(
            "stages.tuned.train.batch_size={}",
            row.params["stages.tuned.train.batch_size"]
        );
        apart.run(&[
            "--threads",
            "1",
            "-S",
            &rate,
            "-S",
            &size,
            "--seeds",
            &row.seed.to_string(),
        ])?;
        let alone = apart.results()?;
        let same = alone.iter().find(|alone| alone.stage == row.stage).ok_or("no row")?;
        assert_eq!(same.metrics, row.metrics);
    }
    // Nothing is left of the state that trials paused with.
    let left = fs::read_dir(project.path(".pipe/work")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
    Ok(())
}

#[test]
fn a_dry_run_tells_what_would_run_and_what_it_may_take() -> Result<(), TestError> {
    let project = Project::with(60, &pipeline(1, GRID))?;
    let said = project.pipe(&["sweep", "x.yaml", "--threads", "1", "-n"])?;
    assert_eq!(said.code, Some(0));
    assert_eq!(
        said.err,
        "dry run: 6 trials; 37 stages would run\nexpected: unknown, since the cache holds no run \
         of this file yet\n"
    );
    sweep(&project, &["--run-cap", "2", "--seeds", "1"])?;
    let said = project.pipe(&["sweep", "x.yaml", "--threads", "1", "-n"])?;
    insta::assert_snapshot!(said.out, @r"
    trial 0  params.rate=1e-4 stages.tuned.train.batch_size=4   run 1 of 2 seeds
    trial 1  params.rate=1e-4 stages.tuned.train.batch_size=8   run 1 of 2 seeds
    trial 2  params.rate=0.001 stages.tuned.train.batch_size=4  run
    trial 3  params.rate=0.001 stages.tuned.train.batch_size=8  run
    trial 4  params.rate=0.01 stages.tuned.train.batch_size=4   run
    trial 5  params.rate=0.01 stages.tuned.train.batch_size=8   run
    ");
    assert!(
        said.err.starts_with("dry run: 6 trials; 30 stages would run\nexpected: "),
        "{}",
        said.err
    );
    assert!(
        said.err.ends_with(", from the times of earlier runs\n") && !said.err.contains("unknown"),
        "{}",
        said.err
    );
    Ok(())
}

/// What `pipe validate` says of a sweep.
fn refused(project: &Project, sweep_of: &str) -> Result<String, TestError> {
    project.write("x.yaml", &pipeline(2, sweep_of))?;
    let said = project.pipe(&["validate", "x.yaml"])?;
    assert_eq!(said.code, Some(2), "{sweep_of}: {}", said.out);
    // The message and the hint are what matters; the place is looked at once below.
    let lines = said
        .err
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("error:") || line.starts_with("hint:"));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// Everything that a sweep sets must make a difference.
#[test]
fn what_reaches_nothing_is_refused() -> Result<(), TestError> {
    let project = Project::with(60, "")?;
    let model = data("tiny-bert");
    let parameters = "  parameters: { params.rate: { values: [1e-3, 1e-2] } }\n";
    let unused = pipeline(2, parameters).replace("rate: 1e-3 }", "rate: 1e-3, lr: 1e-3 }");
    project.write("x.yaml", &unused.replace("params.rate: { values", "params.lr: { values"))?;
    let said = project.pipe(&["sweep", "x.yaml", "-n"])?;
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("nothing refers to the parameter `lr`"), "{}", said.err);
    project.write("x.yaml", &pipeline(2, parameters))?;
    let said = project.pipe(&["sweep", "x.yaml", "-n", "params.rte=1e-3,1e-2"])?;
    assert!(said.err.contains("did you mean `params.rate`?"), "{}", said.err);
    // The command line puts something in the place of the only reference.
    let rate = "stages.tuned.train.optimizer.adamw.learning_rate";
    let said = project.pipe(&["sweep", "x.yaml", "-n", "-S", &format!("{rate}=1e-3")])?;
    let message = "error: nothing refers to `params.rate`, so its trials would be the same";
    assert!(said.code == Some(2) && said.told(message), "{}", said.err);
    let said = project.pipe(&["sweep", "x.yaml", "-n", "-S", "params.rate=1"])?;
    let message = "error: every trial of the sweep sets `params.rate`, so this has no effect";
    assert!(said.code == Some(2) && said.told(message), "{}", said.err);
    // A run of one trial alone sets what the sweep sets.
    for set in ["params.rate=1".to_owned(), format!("{rate}=1e-3")] {
        let said = project.pipe(&["run", "x.yaml", "-n", "-S", &set])?;
        assert_eq!(said.code, Some(0), "{}", said.err);
    }
    let whole = format!("{{ data: data, epochs: 2, model: {{ pretrained: {model} }} }}");
    let covered = refused(
        &project,
        &format!(
            "  parameters:\n    stages.tuned.train.epochs: {{ values: [1, 2] }}\n    \
             stages.tuned.train: {{ values: [{whole}] }}\n"
        ),
    )?;
    assert!(
        covered.starts_with(
            "error: `stages.tuned.train` comes after `stages.tuned.train.epochs` and sets it too"
        ),
        "{covered}"
    );
    let goal = |metric: &str| refused(&project, &format!("  metric: {{ {metric} }}\n{parameters}"));
    assert_eq!(
        goal("name: dev_score.nll, goal: maximize")?,
        "error: less of `dev_score.nll` is better\nhint: leave out `goal`, which is `minimize` here"
    );
    assert_eq!(
        goal("name: tuned.dev_accuracy, goal: minimize")?,
        "error: more of `tuned.dev_accuracy` is better\n\
         hint: leave out `goal`, which is `maximize` here"
    );
    let sound = format!("  metric: {{ name: tuned.dev_loss, goal: minimize }}\n{parameters}");
    project.write("x.yaml", &pipeline(2, &sound))?;
    assert_eq!(project.pipe(&["validate", "x.yaml"])?.code, Some(0));
    // What every trial sets stands in the place of the only reference; what some set does not.
    let both = "  parameters:\n    params.rate: { values: [1e-3, 1e-2] }\n    \
                stages.tuned.train.batch_size: { values: [8, 16] }\n    \
                stages.tuned.train.optimizer.adamw.learning_rate: { values: [1e-4] WHEN }\n";
    project.write("x.yaml", &pipeline(2, &both.replace(" WHEN", "")))?;
    let said = project.pipe(&["sweep", "x.yaml", "-n"])?;
    let message = "error: nothing beside what the sweep sets refers to `params.rate`, so its \
                   trials would be the same";
    assert!(said.code == Some(2) && said.told(message), "{}", said.err);
    let some = both.replace(" WHEN", ", when: { stages.tuned.train.batch_size: 8 }");
    project.write("x.yaml", &pipeline(2, &some))?;
    let said = project.pipe(&["sweep", "x.yaml", "-n"])?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    Ok(())
}

#[test]
fn bad_sweeps_are_refused_with_the_way_out() -> Result<(), TestError> {
    let project = Project::with(60, "")?;
    let parameters = "\n  parameters: { params.rate: { values: [1e-3, 1e-2] } }\n";
    let of_metric = |metric: &str| format!("  metric: {{ name: {metric} }}{parameters}");
    let of_parameters = |parameters: &str| {
        format!("  method: {{ random: {{ trials: 3 }} }}\n  parameters: {{ {parameters} }}\n")
    };
    let cases = [
        format!("  method: bayes{parameters}"),
        format!("  method: {{ tpee: {{ trials: 3 }} }}\n{}", of_metric("dev_score.nll")),
        format!("  method: {{ tpe: {{ trial: 3 }} }}\n{}", of_metric("dev_score.nll")),
        format!("  method: {{ tpe: {{ trials: 3 }} }}{parameters}"),
        of_metric("dev_score.macro_f2"),
        of_metric("score.macro_f1"),
        of_metric("dev_scor.macro_f1"),
        of_metric("accuracy"),
        of_metric("data.rows"),
        of_parameters("params.rat: { values: [1] }"),
        of_parameters("stages.tunde.train.epochs: { values: [1] }"),
        of_parameters("stages.tuned.train.epoch: { values: [1] }"),
        of_parameters("stages.tuned.train.epochs: { values: [1, none] }"),
        of_parameters("seed: { values: [1, 2] }"),
        of_parameters("rate: { values: [1, 2] }"),
        of_parameters("params.rate: {}"),
        of_parameters("params.rate: { min: 0.2, max: 0.1 }"),
        of_parameters("params.rate: { min: 0, max: 0.1, distribution: log_uniform_values }"),
        of_parameters("params.rate: { min: -9.5, max: -2.5, distribution: log_uniform }"),
        of_parameters("params.rate: { min: 0.1, max: 0.2, distribution: lognormal }"),
        format!("  method: {{ asha: {{ min_epochs: 2 }} }}\n{}", of_metric("dev_score.nll")),
    ];
    let mut told = String::new();
    for case in &cases {
        told.push_str(&refused(&project, case)?);
        told.push('\n');
    }
    insta::assert_snapshot!(told, @r#"
    error: unknown `bayes`; expected one of `grid`, `random`, `quasi_random`, `tpe`, `gp`, `asha`,
    error: unknown `tpee`; expected one of `grid`, `random`, `quasi_random`, `tpe`, `gp`, `asha`,
    hint: did you mean `tpe`?
    error: unknown key `trial`
    hint: did you mean `trials`?
    error: the method needs a `metric` to optimise
    hint: possible metrics include `tuned.dev_macro_f1`, `tuned.dev_accuracy`, `tuned.dev_loss`,
    error: `dev_score` has no figure `macro_f2`
    hint: did you mean `macro_f1`?
    error: `score.macro_f1` reads test, which must not drive any choice
    hint: scores that drive a choice are no longer an unbiased estimate; use an evaluation of dev:
    error: there is no stage `dev_scor`
    hint: possible metrics include `tuned.dev_macro_f1`, `tuned.dev_accuracy`, `tuned.dev_loss`,
    error: `accuracy` does not name its stage
    hint: possible metrics include `tuned.dev_macro_f1`, `tuned.dev_accuracy`, `tuned.dev_loss`,
    error: `data` has no figure `rows`
    hint: possible metrics include `tuned.dev_macro_f1`, `tuned.dev_accuracy`, `tuned.dev_loss`,
    error: the file has no `params.rat`
    hint: did you mean `params.rate`?
    error: there is no stage `tunde`
    hint: did you mean `tuned`?
    error: with `1`: unknown key `epoch`
    hint: did you mean `epochs`?
    error: with `"none"`: expected a whole number, found the text `none`
    error: `seed` cannot be a parameter of a sweep
    hint: seeds are not mixed with parameters: every trial runs with the same `seeds`
    error: the file has no `rate`
    hint: write `params.rate`
    error: `params.rate` has no values
    hint: list `values`, or give `min` and `max`
    error: expected `min` below `max`, found 0.2 and 0.1
    error: a logarithm needs a `min` above 0, found 0
    hint: start at the smallest useful value, such as 1e-6; to include 0, list `values`
    error: `log_uniform` is ambiguous
    hint: in some tools `min` and `max` are values, in others exponents of e; use `log_uniform_values`
    error: unknown `lognormal`; expected one of `uniform`, `int_uniform`, `log_uniform_values`,
    hint: did you mean `normal`?
    error: a training of 2 epochs cannot end early if it is first compared after 2
    hint: raise `epochs`, or lower `min_epochs` of the sweep
    "#);
    Ok(())
}
