//! `pipe compare` as its users meet it: runs, trials and files, every form, and what bad input
//! gets.

use fs_err as fs;
use insta::assert_snapshot;
use pipe::base::files::AtomicFiles;
use pipe::data::predictions::add_run;
use pipe::data::{Prediction, Tag};
use pipe::results::results::ResultTable;
use pipe::results::row::ResultRow;
use serde_json::Value;

use super::project::{Project, Said, TestError, data};

/// Two recipes on the tiny BERT, run with three seeds.
fn trained() -> Result<Project, TestError> {
    let recipe = |name: &str, rate: &str| {
        let model = data("tiny-bert");
        format!(
            "  {name}:\n    train: {{ data: data, model: {{ pretrained: {model} }}, epochs: 1, \
             optimizer: {{ adamw: {{ learning_rate: {rate} }} }} }}\n  {name}_score: {{ evaluate: \
             {{ model: {name}, data: data }} }}\n"
        )
    };
    let load = "{ load: { path: texts.csv, split: { test: 0.3, dev: 0.1 }, shots: 4 } }";
    let text = format!(
        "version: 1\nname: tiny\nstages:\n  data: {load}\n{}{}",
        recipe("slow", "1e-6"),
        recipe("fast", "1e-2")
    );
    let project = Project::with(80, &text)?;
    project.run(&["--seeds", "0..2", "--threads", "1"])?;
    Ok(project)
}

/// Results of made recipes: a stage with its accuracy at each seed.
fn rows(run: &str, recipes: &[(&str, &[f64])]) -> ResultTable {
    let row = |stage: &str, seed: usize, accuracy: f64| ResultRow {
        run: run.into(),
        pipeline: "made".into(),
        stage: stage.into(),
        seed: seed as u64,
        split: "test".into(),
        n: 100,
        params: [("shots".to_owned(), Value::from(8)), ("rate".to_owned(), Value::from(5e-5))]
            .into(),
        metrics: [("accuracy".to_owned(), accuracy)].into(),
        ..ResultRow::default()
    };
    let each = |&(stage, values): &(&str, &[f64])| {
        let stage = stage.to_owned();
        values
            .iter()
            .enumerate()
            .map(move |(seed, value)| row(&stage, seed, *value))
            .collect::<Vec<_>>()
    };
    ResultTable { rows: recipes.iter().flat_map(each).collect() }
}

const PLAIN: (&str, &[f64]) = ("plain", &[0.71, 0.70, 0.68, 0.73, 0.72]);
const MORE: (&str, &[f64]) = ("more", &[0.76, 0.74, 0.75, 0.78, 0.77]);
const OTHER: (&str, &[f64]) = ("other", &[0.74, 0.66, 0.73, 0.70, 0.73]);

/// A project with a folder `made` of such results.
fn made(recipes: &[(&str, &[f64])]) -> Result<Project, TestError> {
    let project = Project::new(0)?;
    fs::create_dir(project.path("made"))?;
    rows("20260101T000000Z-made-aa11", recipes).write(&project.path("made"))?;
    Ok(project)
}

/// What an error says, the exit code below it.
fn refused(project: &Project, arguments: &[&str]) -> Result<String, TestError> {
    let said = project.pipe(&[&["compare"], arguments].concat())?;
    assert_eq!(said.out, "", "nothing is printed");
    for word in ["panicked", "RUST_BACKTRACE", "internal error", "\u{1b}"] {
        assert!(!said.err.contains(word), "{}", said.err);
    }
    let text = said.err.replace(&project.folder().display().to_string(), "<project>");
    Ok(format!("{text}exit code {}", said.code.ok_or("killed")?))
}

/// What a command prints where no width is given.
fn unlimited(project: &Project, arguments: &[&str]) -> Result<String, TestError> {
    let said = Said::new(project.command(arguments).env_remove("COLUMNS").output()?);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    Ok(said.out)
}

fn json(said: &Said) -> Result<Value, TestError> {
    assert_eq!(said.code, Some(0), "{}", said.err);
    Ok(serde_json::from_str(&said.out)?)
}

#[test]
fn a_run_is_compared_by_its_seeds_and_its_texts() -> Result<(), TestError> {
    let project = trained()?;
    let said = project.pipe(&["compare", "--json"])?;
    let comparison = json(&said)?;
    assert_eq!(said.err, "");
    assert_eq!(comparison["metric"], "macro_f1");
    assert_eq!(comparison["baseline"], "slow_score");
    assert_eq!(comparison["test_rows"]["count"], 24);
    let fast = &comparison["recipes"][1];
    assert_eq!(
        (&fast["name"], &fast["seeds"]),
        (&Value::from("fast_score"), &serde_json::json!([0, 1, 2]))
    );
    let items = &fast["against"]["items"];
    assert_eq!(
        (&items["texts"], &items["seeds"], &items["resamples"]),
        (&24.into(), &3.into(), &10_000.into())
    );
    // The difference is that of the table of results, whichever recipe comes first.
    let shown: Value = serde_json::from_str(&project.pipe(&["show", "--json"])?.out)?;
    let mean = |stage: &str| {
        let rows = shown.as_array().into_iter().flatten().filter(|row| row["stage"] == stage);
        rows.filter_map(|row| row["metrics"]["macro_f1"].as_f64()).sum::<f64>() / 3.0
    };
    let difference = |value: &Value| value["against"]["difference"].as_f64().unwrap_or(f64::NAN);
    assert!((difference(fast) - (mean("fast_score") - mean("slow_score"))).abs() < 1e-12);
    let other = json(&project.pipe(&["compare", "--json", "--baseline", "fast_score"])?)?;
    assert!((difference(&other["recipes"][1]) + difference(fast)).abs() < 1e-12);
    // Repeated, it says the same to the last bit.
    assert_eq!(project.pipe(&["compare", "--json"])?.out, said.out);
    // Texts that flip, in every form.
    let flips = json(&project.pipe(&["compare", "--json", "--examples", "--top", "2"])?)?;
    assert_eq!(flips["examples"]["recipe"], "fast_score");
    assert!(flips["examples"]["examples"].as_array().is_some_and(|examples| examples.len() <= 2));
    let csv = project.pipe(&["compare", "--csv", "--examples=fast_score"])?.out;
    assert!(csv.starts_with("id,text,label,baseline,recipe,fixed,broken\n"), "{csv}");
    // One seed: nothing of noise, but what the texts say.
    let one = json(&project.pipe(&["compare", "--json", "--seeds", "1"])?)?;
    assert_eq!(one["recipes"][1]["against"]["verdict"]["kind"], "too_few_seeds");
    assert_eq!(one["recipes"][1]["against"]["p"], Value::Null);
    assert_eq!(one["recipes"][1]["against"]["items"]["texts"], 24);
    assert!(one["notes"].to_string().contains("one seed does not show"));
    Ok(())
}

#[test]
fn runs_trials_and_files_stand_side_by_side() -> Result<(), TestError> {
    let project = trained()?;
    let folder = fs::canonicalize(project.path("runs/latest"))?;
    let run = folder.file_name().ok_or("no name")?.to_string_lossy().into_owned();
    // A trial of a sweep lies in the run's folder and looks like a run.
    let mut table = ResultTable::read(&folder)?;
    for trial in [3u64, 5] {
        let own = folder.join(format!("trials/{trial}"));
        fs::create_dir_all(&own)?;
        for row in &mut table.rows {
            row.trial = Some(trial);
        }
        table.write(&own)?;
    }
    let names = |arguments: &[&str]| -> Result<Vec<String>, TestError> {
        let comparison = json(&project.pipe(&[&["compare", "--json"], arguments].concat())?)?;
        let recipes = comparison["recipes"].as_array().ok_or("no recipes")?;
        Ok(recipes.iter().filter_map(|recipe| recipe["name"].as_str()).map(str::to_owned).collect())
    };
    let plain = ["slow_score", "fast_score"];
    assert_eq!(names(&[])?, plain);
    assert_eq!(names(&[&run])?, plain);
    assert_eq!(names(&[&run[run.len() - 6..]])?, plain);
    assert_eq!(names(&["runs/latest"])?, plain);
    assert_eq!(names(&["runs/latest/results.csv"])?, plain);
    assert_eq!(names(&["latest", "latest"])?, plain, "named twice, it is there once");
    let both = ["slow_score", "fast_score", "slow_score, trial 3", "fast_score, trial 3"];
    assert_eq!(names(&["latest", "latest/trials/3"])?, both);
    assert_eq!(
        names(&["latest/trials/3", "latest/trials/5", "--baseline", "fast_score, trial 5"])?[0],
        "fast_score, trial 5"
    );
    let copy = project.path("elsewhere.parquet");
    fs::copy(folder.join("results.parquet"), &copy)?;
    assert_eq!(names(&["elsewhere.parquet"])?, plain);
    // The same pipeline with other seeds adds to the recipes; changed and with the same seeds, its
    // recipes are others.
    project.run(&["--seeds", "3..4", "--threads", "1"])?;
    assert_eq!(names(&[&run, "latest"])?, plain);
    let seeds = json(&project.pipe(&["compare", "--json", &run, "latest"])?)?;
    assert_eq!(seeds["recipes"][1]["seeds"].as_array().map(Vec::len), Some(5));
    project.run(&["--seeds", "0..2", "--threads", "1", "-S", "stages.fast.train.epochs=2"])?;
    let four = names(&[&run, "latest"])?;
    assert_eq!(four.len(), 4, "{four:?}");
    assert!(four[0].starts_with("slow_score (run "), "{four:?}");
    Ok(())
}

#[test]
fn people_see_a_table_with_notes() -> Result<(), TestError> {
    let project = made(&[PLAIN, MORE, OTHER])?;
    assert_snapshot!(unlimited(&project, &["compare", "made"])?, @r"
    ┌────────┬───────┬───────────────────────────┬──────────────────┬────────────┬───────────────────┬────────┬───────┬────────────┬──────┬────────────┬──────────────────────────┐
    │ recipe ┆ seeds ┆ accuracy (mean ± sd, n−1) ┆    95 % interval ┆ difference ┆ its 95 % interval ┆      p ┆     d ┆ Wilcoxon p ┆ rank ┆ more seeds ┆ verdict                  │
    ╞════════╪═══════╪═══════════════════════════╪══════════════════╪════════════╪═══════════════════╪════════╪═══════╪════════════╪══════╪════════════╪══════════════════════════╡
    │ plain  ┆     5 ┆           0.7080 ± 0.0192 ┆ [0.6841, 0.7319] ┆            ┆                   ┆        ┆       ┆            ┆ 2.60 ┆            ┆ baseline                 │
    │ more   ┆     5 ┆           0.7600 ± 0.0158 ┆ [0.7404, 0.7796] ┆    +0.0520 ┆  [0.0384, 0.0656] ┆ 0.0009 ┆ +4.75 ┆     0.0625 ┆ 1.00 ┆            ┆ better                   │
    │ other  ┆     5 ┆           0.7120 ± 0.0327 ┆ [0.6714, 0.7526] ┆    +0.0040 ┆ [-0.0438, 0.0518] ┆ 0.8276 ┆ +0.10 ┆     0.8750 ┆ 2.40 ┆        114 ┆ not enough seeds to tell │
    └────────┴───────┴───────────────────────────┴──────────────────┴────────────┴───────────────────┴────────┴───────┴────────────┴──────┴────────────┴──────────────────────────┘
    - differences are paired by seed: p of Student's test with Holm's correction, 95 % intervals, d is Cohen's d_z
    - with 5 pairs, Wilcoxon's test cannot give p below 0.0625
    - `more seeds`: additional seeds needed to detect a true difference of one point (0.01) four times in five
    - no test over texts, since predictions of one or both recipes are missing: `more`, `other`
    - ranks of 3 recipes over 5 seeds: Friedman's p 0.0224; mean ranks 1.48 or more apart differ (Nemenyi, 0.05); approximate with so few seeds
    - there are no predictions, so only the number of test rows could be compared
    ");
    for width in ["60", "80", "100", "200"] {
        let said = Said::new(project.command(&["compare", "made"]).env("COLUMNS", width).output()?);
        let width: usize = width.parse()?;
        assert!(
            said.out.lines().all(|line| line.chars().count() <= width),
            "{width}:\n{}",
            said.out
        );
        assert!(said.out.contains("better"), "{}", said.out);
    }
    let markdown =
        ["compare", "made", "--md", "--top", "1", "--sort-by", "accuracy", "--precision", "3"];
    assert_snapshot!(unlimited(&project, &markdown)?, @r"
    | recipe | seeds | accuracy (mean ± sd, n−1) | 95 % interval | difference | its 95 % interval | p | d | Wilcoxon p | rank | verdict |
    | :-- | --: | --: | --: | --: | --: | --: | --: | --: | --: | :-- |
    | plain | 5 | 0.708 ± 0.019 | [0.684, 0.732] |  |  |  |  |  | 2.60 | baseline |
    | more | 5 | 0.760 ± 0.016 | [0.740, 0.780] | +0.052 | [0.038, 0.066] | 0.0009 | +4.75 | 0.0625 | 1.00 | better |

    - 2 of 3 recipes are shown; p is corrected for all of them
    - differences are paired by seed: p of Student's test with Holm's correction, 95 % intervals, d is Cohen's d_z
    - with 5 pairs, Wilcoxon's test cannot give p below 0.0625
    - no test over texts, since predictions of one or both recipes are missing: `more`
    - ranks of 3 recipes over 5 seeds: Friedman's p 0.0224; mean ranks 1.48 or more apart differ (Nemenyi, 0.05); approximate with so few seeds
    - there are no predictions, so only the number of test rows could be compared
    ");
    let csv = project.pipe(&["compare", "made", "--csv"])?;
    assert_eq!(csv.out.lines().count(), 4);
    assert!(csv.err.contains("with 5 pairs, Wilcoxon's test"), "{}", csv.err);
    assert_eq!(project.pipe(&["compare", "made", "--csv", "-q"])?.err, "");
    let rounded = json(&project.pipe(&["compare", "made", "--json", "--precision", "2"])?)?;
    assert_eq!(rounded["recipes"][1]["summary"]["mean"], 0.76);
    assert_eq!(rounded["recipes"][1]["params"]["rate"], 5e-5);
    Ok(())
}

#[test]
fn a_search_is_summed_up_by_its_parameters() -> Result<(), TestError> {
    let project = Project::new(0)?;
    let mut table = rows("20260101T000000Z-made-aa11", &[PLAIN, MORE, OTHER, ("last", &[0.5])]);
    for row in &mut table.rows {
        let trial = ["plain", "more", "other", "last"]
            .iter()
            .position(|stage| *stage == row.stage)
            .ok_or("stage")?;
        row.trial = Some(trial as u64);
        row.stage = "score".into();
        row.params["shots"] = Value::from(if trial == 1 { 16 } else { 8 });
    }
    let last = table.rows.last_mut().ok_or("no row")?;
    (last.error, last.metrics) = (Some("the loss is NaN at step 2".into()), Default::default());
    fs::create_dir(project.path("made"))?;
    table.write(&project.path("made"))?;
    let arguments = [
        "compare",
        "made",
        "--by",
        "params.shots",
        "--only-changed",
        "--baseline",
        "2",
        "--sort-by",
        "accuracy",
    ];
    assert_snapshot!(unlimited(&project, &arguments)?, @r"
    ┌─────────────────────┬───────┬───────┬───────────────────────────┬──────────────────┬────────────┬───────────────────┬────────┬───────┬────────────┬──────┬────────────┬──────────────────────────┐
    │ recipe              ┆ shots ┆ seeds ┆ accuracy (mean ± sd, n−1) ┆    95 % interval ┆ difference ┆ its 95 % interval ┆      p ┆     d ┆ Wilcoxon p ┆ rank ┆ more seeds ┆ verdict                  │
    ╞═════════════════════╪═══════╪═══════╪═══════════════════════════╪══════════════════╪════════════╪═══════════════════╪════════╪═══════╪════════════╪══════╪════════════╪══════════════════════════╡
    │ trial 2             ┆     8 ┆     5 ┆           0.7120 ± 0.0327 ┆ [0.6714, 0.7526] ┆            ┆                   ┆        ┆       ┆            ┆ 2.40 ┆            ┆ baseline                 │
    │ trial 1 [best of 3] ┆    16 ┆     5 ┆           0.7600 ± 0.0158 ┆ [0.7404, 0.7796] ┆    +0.0480 ┆  [0.0103, 0.0857] ┆ 0.0481 ┆ +1.58 ┆     0.0625 ┆ 1.00 ┆            ┆ better                   │
    │ trial 0             ┆     8 ┆     5 ┆           0.7080 ± 0.0192 ┆ [0.6841, 0.7319] ┆    -0.0040 ┆ [-0.0518, 0.0438] ┆ 0.8276 ┆ -0.10 ┆     0.8750 ┆ 2.60 ┆        114 ┆ not enough seeds to tell │
    │ trial 3             ┆     8 ┆     0 ┆                           ┆                  ┆            ┆                   ┆        ┆       ┆            ┆      ┆            ┆ failed                   │
    └─────────────────────┴───────┴───────┴───────────────────────────┴──────────────────┴────────────┴───────────────────┴────────┴───────┴────────────┴──────┴────────────┴──────────────────────────┘

    by shots
    ┌───────┬─────────┬───────────────────────────────────┬─────────────┬──────────┐
    │ shots ┆ recipes ┆ accuracy (mean ± sd over recipes) ┆ best recipe ┆ its mean │
    ╞═══════╪═════════╪═══════════════════════════════════╪═════════════╪══════════╡
    │     8 ┆       2 ┆                   0.7100 ± 0.0028 ┆ trial 2     ┆   0.7120 │
    │    16 ┆       1 ┆                            0.7600 ┆ trial 1     ┆   0.7600 │
    └───────┴─────────┴───────────────────────────────────┴─────────────┴──────────┘
    - differences are paired by seed: p of Student's test with Holm's correction, 95 % intervals, d is Cohen's d_z
    - with 5 pairs, Wilcoxon's test cannot give p below 0.0625
    - `more seeds`: additional seeds needed to detect a true difference of one point (0.01) four times in five
    - no test over texts, since predictions of one or both recipes are missing: `trial 1`, `trial 0`
    - `trial 1` is the best of 3 trials by this metric on test: of its 0.7600, 0.0000 is selection bias if it is chosen for that (bootstrap over seeds); expect 0.7600
    - ranks of 3 recipes over 5 seeds: Friedman's p 0.0224; mean ranks 1.48 or more apart differ (Nemenyi, 0.05); approximate with so few seeds
    - rows left out: 1 failed
    - there are no predictions, so only the number of test rows could be compared
    ");
    let csv = project.pipe(&["compare", "made", "--csv", "--by", "shots", "-q"])?.out;
    assert!(csv.starts_with("param.shots,recipes,mean,deviation,best,best_mean\n8,2,"), "{csv}");
    Ok(())
}

#[test]
fn what_is_named_wrong_is_named_with_what_there_is() -> Result<(), TestError> {
    let project = made(&[PLAIN, MORE])?;
    assert_snapshot!(refused(&project, &["made", "--metric", "acuracy"])?, @r"
    error: there is no metric `acuracy`
      hint: did you mean `accuracy`?
    exit code 2
    ");
    assert_snapshot!(refused(&project, &["made", "--baseline", "mor"])?, @r"
    error: there is no recipe `mor`
      hint: did you mean `more`?
    exit code 2
    ");
    assert_snapshot!(refused(&project, &["made", "--baseline", "nothing like it"])?, @r"
    error: there is no recipe `nothing like it`
      hint: there are `plain`, `more`
    exit code 2
    ");
    assert_snapshot!(refused(&project, &["made", "--split", "dev"])?, @r"
    error: there are no results of split `dev`
      hint: the splits are `test`
    exit code 2
    ");
    assert_snapshot!(refused(&project, &["made", "--seeds", "3..6"])?, @r"
    error: there are no results of the seeds 5, 6
      hint: the seeds are `0`, `1`, `2`, `3`, `4`
    exit code 2
    ");
    assert_snapshot!(refused(&project, &["made", "--by", "shot"])?, @r"
    error: there is no parameter `shot`
      hint: did you mean `shots`?
    exit code 2
    ");
    assert_snapshot!(refused(&project, &["made", "--sort-by", "acuracy"])?, @r"
    error: there is no column to sort by `acuracy`
      hint: did you mean `accuracy`?
    exit code 2
    ");
    assert_snapshot!(refused(&project, &["made", "--examples"])?, @r"
    error: there are no predictions to list texts from: `plain` has none at seed 0
      hint: they are read from `predictions.parquet` beside the results; runs and trials of a sweep have this file
    exit code 2
    ");
    assert_snapshot!(refused(&project, &["latest"])?, @r"
    error: there is no run `latest` in `<project>/runs`
      hint: `pipe run FILE` creates one
    exit code 2
    ");
    assert_snapshot!(refused(&project, &["nope/trials/3"])?, @r"
    error: there is no run `nope` in `<project>/runs`
      hint: `pipe run FILE` creates one
    exit code 2
    ");
    assert_snapshot!(refused(&project, &["nope.csv"])?, @r"
    error: there is no file `nope.csv`
      hint: name a run without a file ending; `pipe ls` lists the runs
    exit code 2
    ");
    assert_snapshot!(refused(&project, &["texts.csv"])?, @r"
    error: `texts.csv` is not a table of results: it has no column `run`
      hint: expected `results.parquet` or `results.csv` as `pipe run` writes them
    exit code 2
    ");
    Ok(())
}

#[test]
fn files_that_are_damaged_are_refused() -> Result<(), TestError> {
    let project = made(&[PLAIN, MORE])?;
    let csv = fs::read_to_string(project.path("made/results.csv"))?;
    project.write("bad.csv", &csv.replacen(",0.7,", ",high,", 1))?;
    assert_snapshot!(refused(&project, &["bad.csv"])?, @r"
    error: `bad.csv` is not a table of results: row 2: `accuracy` is `high`, expected a number
      hint: expected `results.parquet` or `results.csv` as `pipe run` writes them
    exit code 2
    ");
    project.write("bad.csv", &csv.replacen("plain,,2,", "plain,,two,", 1))?;
    assert_snapshot!(refused(&project, &["bad.csv"])?, @r"
    error: `bad.csv` is not a table of results: row 3: `seed` is `two`, expected a whole number
      hint: expected `results.parquet` or `results.csv` as `pipe run` writes them
    exit code 2
    ");
    project.write("bad.csv", "")?;
    assert_snapshot!(refused(&project, &["bad.csv"])?, @r"
    error: `bad.csv` is not a table of results: it is empty
      hint: expected `results.parquet` or `results.csv` as `pipe run` writes them
    exit code 2
    ");
    project.write("bad.csv", csv.lines().next().unwrap_or_default())?;
    assert_snapshot!(refused(&project, &["bad.csv"])?, @r"
    error: there are no results to compare in `bad.csv`
      hint: `pipe ls` lists the runs; complete ones have results
    exit code 2
    ");
    let bytes = fs::read(project.path("made/results.parquet"))?;
    fs::write(project.path("made/results.parquet"), &bytes[..bytes.len() / 2])?;
    for fault in ["has changed since it was written", "is damaged: "] {
        let said = refused(&project, &["made"])?;
        assert!(
            said.starts_with(&format!("error: `made/results.parquet` {fault}"))
                && said.ends_with("exit code 1"),
            "{said}"
        );
        // Without a list of digests, the reader itself finds it.
        let _ = fs::remove_file(project.path("made/digests.json"));
    }
    Ok(())
}

#[test]
fn recipes_on_different_rows_are_refused() -> Result<(), TestError> {
    let project = made(&[PLAIN, MORE])?;
    let mut table = rows("20260102T000000Z-made-bb22", &[MORE]);
    table.rows.iter_mut().for_each(|row| row.n = 50);
    fs::create_dir(project.path("fewer"))?;
    table.write(&project.path("fewer"))?;
    assert_snapshot!(refused(&project, &["made", "fewer"])?, @r"
    error: recipes were tested on different rows: `plain` on 100, `more (run bb22)` on 50
      hint: scores on different texts do not show which recipe is better; `--different-tests` compares them anyway
    exit code 2
    ");
    let said = project.pipe(&["compare", "made", "fewer", "--different-tests"])?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("tested on different rows"), "{}", said.out);
    // The same number of rows, but other texts.
    let predictions = |text: &str| -> Vec<Prediction> {
        let one = |item: usize| Prediction {
            id: format!("row-{item}"),
            text: format!("{text} {item}"),
            label: item % 2,
            prediction: 0,
            probabilities: vec![0.75, 0.25],
        };
        (0..100).map(one).collect()
    };
    let labels = ["no".to_owned(), "yes".to_owned()];
    for (folder, text) in [("a", "one"), ("b", "another")] {
        fs::create_dir(project.path(folder))?;
        rows(&format!("20260102T000000Z-{folder}-cc33"), &[(folder, &[0.5])])
            .write(&project.path(folder))?;
        let tag = Tag { stage: folder.into(), trial: None, seed: 0 };
        let mut files = AtomicFiles::new(&project.path(folder));
        add_run(&mut files, &[(tag, &labels, &predictions(text))])?;
        files.commit()?;
    }
    assert_snapshot!(refused(&project, &["a", "b"])?, @r"
    error: recipes were tested on different rows: `a` at seed 0 on texts 4dc6e704, `b` at seed 0 on texts 3a7f3b57
      hint: scores on different texts do not show which recipe is better; `--different-tests` compares them anyway
    exit code 2
    ");
    Ok(())
}
