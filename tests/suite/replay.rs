//! `pipe verify --replay` computes a run again and names the first thing that differs.

use std::path::Path;

use fs_err as fs;
use pipe::base::digest::Digest;
use pipe::base::sealed;
use pipe::data::DataSet;
use pipe::runner::cache::entry::Done;
use pipe::runner::record::provenance::Provenance;

use super::project::{Project, TestError, data};

fn pipeline() -> String {
    format!(
        "\
version: 1
params: {{ rate: 1e-3 }}
stages:
  data: {{ load: {{ path: texts.csv, split: {{ test: 0.3, dev: 0.2 }} }} }}
  more: {{ augment: {{ data: data, methods: [random_swap: {{ rate: 0.2, copies: 1 }}] }} }}
  tuned:
    train:
      data: more
      model: {{ pretrained: {} }}
      epochs: 2
      batch_size: 8
      optimizer: {{ adamw: {{ learning_rate: \"${{params.rate}}\" }} }}
  dev_score: {{ evaluate: {{ model: tuned, data: data, split: dev }} }}
  score: {{ evaluate: {{ model: tuned, data: data }} }}
sweep:
  metric: {{ name: dev_score.macro_f1 }}
  parameters: {{ params.rate: {{ values: [1e-4, 1e-3, 1e-2] }} }}
  seeds: [1, 2]
",
        data("tiny-bert")
    )
}

const THREADS: [&str; 2] = ["--threads", "1"];

/// Writes the record of an output anew, as if its files had been stored as they are now.
fn bless(artifact: &Path) -> Result<(), TestError> {
    let record = artifact.with_file_name("done.json");
    let mut done: Done = sealed::open(&fs::read(&record)?)?;
    for (name, file) in &mut done.files {
        let path = artifact.join(name);
        file.size = fs::metadata(&path)?.len();
        file.digest = Digest::of_file(&path)?;
    }
    Ok(fs::write(&record, sealed::seal(&done)?)?)
}

#[test]
fn a_run_is_replayed_bit_for_bit() -> Result<(), TestError> {
    let project = Project::with(60, &pipeline())?;
    // What the command line set is set again, whatever the file says by now.
    project.run(&[&THREADS[..], &["-S", "params.rate=5e-3", "--seeds", "3,4"]].concat())?;
    project.write("x.yaml", "version: 1\nstages: {}\n")?;
    let said = project.pipe(&["verify", "--replay"])?;
    assert!(said.code == Some(0) && said.out.starts_with("identical: 9 outputs"), "{said:?}");
    assert_eq!(fs::read_dir(project.path(".pipe/replays"))?.count(), 0);
    // Nothing of it gets into the cache or among the runs.
    assert_eq!(fs::read_dir(project.path(".pipe/cache"))?.count(), 9);

    let artifact = project.artifact("tuned")?;
    let file = artifact.join("model.safetensors");
    let sound = fs::read(&file)?;
    let mut bytes = sound.clone();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    fs::write(&file, &bytes)?;
    // Verification sees it at once, and the replay where it was made to look sound.
    assert_eq!(project.pipe(&["verify", "--replay"])?.code, Some(1));
    bless(&artifact)?;
    let said = project.pipe(&["verify", "--replay", "--stage", "tuned"])?;
    assert!(
        said.code == Some(1) && said.out.starts_with("different: 1 output differs"),
        "{said:?}"
    );
    assert!(said.err.contains("tuned, seed 3 differs: `model.safetensors`: tensor `"), "{said:?}");
    assert!(said.err.contains("1 of its "), "{said:?}");
    fs::write(&file, &sound)?;
    bless(&artifact)?;

    let artifact = project.artifact("more")?;
    let mut more = DataSet::read(&artifact)?;
    let text = &mut more.splits.train[3].text.first;
    *text = format!("{text} indeed");
    more.write(&artifact)?;
    bless(&artifact)?;
    let said = project.pipe(&["verify", "--replay", "-v"])?;
    assert!(
        said.code == Some(1) && said.out.starts_with("different: 1 output differs"),
        "{said:?}"
    );
    assert!(said.err.contains("more, seed 3 differs: `data.parquet`: row 4, `text`: "), "{said:?}");
    assert!(said.err.contains(" indeed`, replayed `"), "{said:?}");

    // What is gone is not the same.
    fs::remove_dir_all(project.path(".pipe/cache"))?;
    let said = project.pipe(&["verify", "--replay"])?;
    assert!(said.code == Some(1) && said.err.contains("it is no longer stored"), "{said:?}");
    Ok(())
}

#[test]
fn a_replay_says_what_differs_around_the_run() -> Result<(), TestError> {
    let project = Project::with(60, &pipeline())?;
    project.run(&THREADS)?;
    let file = project.path("runs/latest/provenance.json");
    let mut record: Provenance = sealed::open(&fs::read(&file)?)?;
    let runtime = record.runtime.as_mut().ok_or("a runtime")?;
    runtime.version = "1.2.3".to_owned();
    record.machine.cpu = Some("another processor".to_owned());
    fs::write(&file, sealed::seal(&record)?)?;
    let said = project.pipe(&["verify", "--replay"])?;
    assert!(said.code == Some(0) && said.out.starts_with("identical: 5 outputs"), "{said:?}");
    for text in ["version of ONNX Runtime: 1.2.3 then, ", "processor: another processor then, "] {
        assert!(said.err.contains(text), "{said:?}");
    }
    assert!(said.err.contains("the last bits of weights"), "{said:?}");
    // The rows of the file are others by now.
    let texts = fs::read_to_string(project.path("texts.csv"))?;
    project.write("texts.csv", &texts.replacen("the", "a", 1))?;
    let said = project.pipe(&["verify", "--replay"])?;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("data, seed 13 differs: "), "{said:?}");
    assert!(said.err.contains("content of `texts.csv` changed"), "{said:?}");
    let said = project.pipe(&["verify", "--replay", "--stage", "scor"])?;
    assert!(said.code == Some(2) && said.err.contains("did you mean `score`?"), "{said:?}");
    Ok(())
}

#[test]
fn a_replay_leaves_out_what_failed_then() -> Result<(), TestError> {
    let project = Project::with(60, "")?;
    let fails = "command: { run: [sh, -c, \"exit 1\"], copies: 1 }";
    let swap = "random_swap: { rate: 0.2, copies: 1 }";
    project.write("x.yaml", &pipeline().replace(swap, fails))?;
    let said = project.pipe(&[&["run", "x.yaml", "-k"], &THREADS[..]].concat())?;
    assert_eq!(said.code, Some(1), "{said:?}");
    let said = project.pipe(&["verify", "--replay"])?;
    assert!(said.code == Some(0) && said.out.starts_with("identical: 1 output "), "{said:?}");
    Ok(())
}

#[test]
fn changed_curves_of_a_sweep_are_computed_again() -> Result<(), TestError> {
    let project = Project::with(60, &pipeline())?;
    let sweep = [&["sweep", "x.yaml", "--csv"], &THREADS[..]].concat();
    assert_eq!(project.pipe(&sweep)?.code, Some(0));
    let results = project.results()?;
    let mut changed = 0;
    for entry in fs::read_dir(project.path(".pipe/cache"))? {
        let file = entry?.path().join("artifact/curves.parquet");
        if !file.is_file() {
            continue;
        }
        let mut bytes = fs::read(&file)?;
        let middle = bytes.len() / 2;
        // Of the same size, and cut off.
        if changed % 2 == 0 {
            bytes[middle] ^= 1
        } else {
            bytes.truncate(middle)
        }
        fs::write(&file, bytes)?;
        changed += 1;
    }
    assert_eq!(changed, 6);
    fs::remove_dir_all(project.path("runs"))?;
    let said = project.pipe(&sweep)?;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(project.results()?, results);
    assert_eq!(project.pipe(&["verify"])?.code, Some(0));
    Ok(())
}

#[test]
fn a_sweep_is_replayed_with_the_models_that_are_left() -> Result<(), TestError> {
    let project = Project::with(60, &pipeline())?;
    let sweep = [&["sweep", "x.yaml", "-q"], &THREADS[..]].concat();
    // Stopped, widened and shared by another sweep: none of that is damage.
    project.pipe(&[&sweep[..], &["--run-cap", "1"]].concat())?;
    project.pipe(&sweep)?;
    let wider = [&sweep[..], &["params.rate=1e-3,1e-2,2e-2"]].concat();
    assert_eq!(project.pipe(&wider)?.code, Some(0));
    let runs: Vec<String> = fs::read_dir(project.path("runs"))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.contains("-x-"))
        .collect();
    assert!(runs.len() >= 2, "{runs:?}");
    for run in &runs {
        let said = project.pipe(&["verify", run])?;
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.err.contains("0 damaged or missing"), "{said:?}");
    }
    let said = project.pipe(&["verify", "--replay"])?;
    assert!(said.code == Some(0) && said.out.starts_with("identical: "), "{said:?}");
    assert!(said.err.contains("not stored as a whole any more"), "{said:?}");
    Ok(())
}
