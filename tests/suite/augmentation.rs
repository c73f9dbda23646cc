//! Augmentation from the outside: what the methods make, what is kept of it, and what bad settings
//! and files get.

use std::collections::{BTreeMap, BTreeSet};

use fs_err as fs;
use insta::assert_snapshot;
use ndarray::Axis;
use pipe::base::report::Silent;
use pipe::data::normal::normalise;
use pipe::data::{AugmentationTable, DataSet, Example};
use pipe::engine::backend::binding::{Feed, Parameters};
use pipe::engine::{Device, Inference, Kernels, Place, Runtime};
use pipe::model::input_layout::InputLayout;
use pipe::model::masked::{MaskedHead, ROWS};
use pipe::model::{Dropout, NetworkOptions, Pretrained};
use pipe::stages::inference::predict;
use pipe::text::{TokenizedText, Tokenizer};
use serde_json::Value;

use super::project::{Project, TestError, data, skipped};

/// Every method, each once, with a filter of each kind.
fn pipeline() -> String {
    let keep = format!("{{ pretrained: {}, distance: mahalanobis }}", data("tiny-bert"));
    let near = format!(
        "{{ pretrained: {}, distance: euclidean, quantile: 0.9, nearest_class: false }}",
        data("tiny-bert")
    );
    let own = "command: { run: [sh, own.sh], copies: 2, timeout_seconds: 60 }";
    format!(
        "\
version: 1
stages:
  data: {{ load: {{ path: texts.csv, split: {{ test: 0.3, dev: 0.2 }} }} }}
  words:
    augment:
      data: data
      methods:
        - synonym_replacement: {{ rate: 0.2, synonyms: {{ openoffice: thesaurus.dat }} }}
        - random_insertion: {{ rate: 0.2, synonyms: {{ embeddings: {{ pretrained: {bert}, \
         neighbours: 3 }} }}, stop_words: {{ words: [the, and] }} }}
        - random_swap: {{ copies: 2 }}
        - random_deletion: {{ rate: 0.3, to: 90, seed: 7 }}
        - eda: {{ copies: 1, synonyms: {{ openoffice: thesaurus.dat }} }}
        - aeda
      keep: {keep}
  texts:
    augment:
      data: words
      methods:
        - segment_recombination: {{ segments: {{ windows: 2 }} }}
        - segment_recombination: {{ segments: sentences }}
        - coarse_graining: {{ max_words: 30 }}
        - markov: {{ order: 1 }}
        - hmm: {{ states: 3, rate: 0.5 }}
        - hmm: {{ states: 3, mode: sample, iterations: 5 }}
      keep: {near}
  models:
    augment:
      data: data
      methods:
        - masked_lm: {{ pretrained: {bert}-mlm, top_k: 5 }}
        - masked_lm: {{ pretrained: {roberta}-mlm, action: insert }}
        - masked_lm: {{ pretrained: {bert} }}
        - masked_lm: {{ pretrained: {bert}, action: insert }}
        - {own}
        - chain: {{ methods: [random_swap, {{ masked_lm: {{ pretrained: {bert}-mlm }} }}, aeda] }}
        - mix: {{ copies: 3, methods: [{{ method: random_swap, weight: 2 }}, {{ method: aeda }}] }}
  plain:
    train: {{ data: data, model: {{ pretrained: {bert} }}, budget: {{ steps: 7 }}, batch_size: 8, \
         best_checkpoint: accuracy }}
  augmented:
    train: {{ data: texts, model: {{ pretrained: {bert} }}, budget: {{ steps: 7 }}, batch_size: 4, \
         accumulation: 2 }}
  plain_score: {{ evaluate: {{ model: plain, data: data }} }}
  augmented_score: {{ evaluate: {{ model: augmented, data: texts }} }}
",
        bert = data("tiny-bert"),
        roberta = data("tiny-roberta"),
    )
}

const THESAURUS: &str = "UTF-8\ngood|1\n(adj)|lovely|kind\nslow|1\n(adj)|wrong\nfood|1\n\
                         (noun)|bill|service\nbill|1\n-|food\n";

/// Adds a word to each text, but to every other copy only.
const OWN: &str = r#"sed -n '/"copy":1/s/"text":"/"text":"again /p'"#;

fn project() -> Result<Project, TestError> {
    let project = Project::with(120, &pipeline())?;
    project.write("thesaurus.dat", THESAURUS)?;
    project.write("own.sh", OWN)?;
    Ok(project)
}

#[test]
fn made_texts_are_new_and_know_where_they_come_from() -> Result<(), TestError> {
    let project = project()?;
    project.run(&["-j2"])?;
    for stage in ["words", "texts", "models"] {
        let data = DataSet::read(&project.artifact(stage)?)?;
        let originals: BTreeMap<&str, &Example> = data
            .splits
            .train
            .iter()
            .filter(|example| example.is_original())
            .map(|e| (e.id.as_str(), e))
            .collect();
        assert_eq!(originals.len(), 60);
        let held_out: BTreeSet<String> = data
            .splits
            .dev
            .iter()
            .chain(&data.splits.test)
            .map(|e| normalise(&e.text.joined()))
            .collect();
        assert!(
            data.splits.dev.iter().chain(&data.splits.test).all(|example| example.is_original())
        );
        let mut seen = BTreeSet::new();
        for example in &data.splits.train {
            assert!(
                !held_out.contains(&normalise(&example.text.joined()))
                    && seen.insert(normalise(&example.text.joined())),
                "{example:?}"
            );
            assert!(!example.text.first.trim().is_empty());
            let Some(method) = example.method() else { continue };
            let method: Value = serde_json::from_str(method)?;
            assert!(method.as_object().is_some_and(|method| method.len() == 1));
            assert!(!example.parents().is_empty());
            for parent in example.parents() {
                let parent = originals
                    .get(parent.as_str())
                    .ok_or_else(|| format!("{parent} is no original"))?;
                assert_eq!(parent.target, example.target, "{example:?}");
            }
        }
        for example in &data.splits.train {
            let Some(settings) = example.method().map(serde_json::from_str::<Value>).transpose()?
            else {
                continue;
            };
            if let Some(settings) = settings.get("masked_lm") {
                masks_are_counted(
                    settings,
                    &originals[example.parents()[0].as_str()].text.first,
                    &example.text.first,
                );
            }
        }
        // Every entry made something, and the table counts what is there.
        let table = &data.augmentation;
        let made = data.splits.train.len() - originals.len();
        assert_eq!(table.rows.iter().map(|row| row.kept).sum::<u64>() as usize, made, "{stage}");
        for row in &table.rows {
            assert_eq!(
                row.asked,
                row.unchanged + row.leaks + row.repeats + row.too_far + row.astray + row.kept,
                "{row:?}"
            );
        }
        let entries: BTreeSet<(u64, u64)> =
            table.rows.iter().map(|row| (row.pass, row.entry)).collect();
        for (pass, entry) in entries {
            let kept: u64 = table
                .rows
                .iter()
                .filter(|row| (row.pass, row.entry) == (pass, entry))
                .map(|row| row.kept)
                .sum();
            assert!(kept > 0, "{stage}, pass {pass}, entry {entry}: {:?}", table.rows);
        }
    }
    let words = AugmentationTable::read(&project.artifact("words")?)?;
    assert!(
        words.rows.iter().any(|row| row.too_far + row.astray > 0),
        "the filter lets nothing go: {:?}",
        words.rows
    );

    // Plain and augmented have equal steps, and the table says what became of the texts.
    let rows = project.results()?;
    assert_eq!(rows.iter().map(|row| row.steps).collect::<Vec<_>>(), [7, 7]);
    assert_eq!(rows[0].augmentation, None);
    let summary = rows[1].augmentation.ok_or("no summary")?;
    assert!(summary.generated > 100 && summary.accepted_share.is_some_and(|share| share < 1.0));
    assert!(summary.augmentation_loss.is_some_and(f64::is_finite) && summary.copy_rate.is_some());
    assert_eq!(project.curves("plain")?.0.len(), 7);
    let csv = fs::read_to_string(project.path("runs/latest/augmentation.csv"))?;
    assert!(csv.starts_with("stage,trial,seed,pass,entry,method,class,asked,"), "{csv}");
    assert_eq!(
        csv.lines().filter(|line| line.starts_with("texts,")).count(),
        6 * 3,
        "the second pass alone"
    );

    // A second run executes nothing; other jobs make the same.
    assert!(project.run(&["-j1"])?.err.contains("nothing to do: all 8 stages cached"));
    let again = self::project()?;
    again.run(&["-j1"])?;
    project.outcome()?.assert_same(&again.outcome()?);

    let shown = project.pipe(&["show", "--augmented", "words", "--top", "3"])?;
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    assert!(
        shown.out.contains("  => ") && shown.out.contains("synonym_replacement  60 "),
        "{}",
        shown.out
    );
    let shown: Value =
        serde_json::from_str(&project.pipe(&["show", "--augmented", "models", "--json"])?.out)?;
    assert!(
        shown[0]["method"]["masked_lm"]["top_k"] == 5 && shown[0]["parents"][0]["text"].is_string(),
        "{shown}"
    );
    let shown = project.pipe(&["show", "--augmented", "plain"])?;
    assert!(
        shown.code == Some(2) && shown.err.contains("stage `plain` holds no generated texts"),
        "{}",
        shown.err
    );

    // The program and the thesaurus are part of the key.
    project.write("own.sh", &OWN.replace("again", "anew"))?;
    let said = project.run(&[])?;
    assert!(said.err.contains("models: started"), "{}", said.err);
    assert!(!said.err.contains("words: started"), "{}", said.err);
    Ok(())
}

/// A text of l words has max(1, ⌊0.15·l⌋) masks, in place of words that are no stop words or before
/// them.
fn masks_are_counted(settings: &Value, before: &str, after: &str) {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.split(' ').collect(), after.split(' ').collect());
    let masks = (before.len() * 15 / 100).max(1);
    if settings["action"] == "insert" {
        // The tiny model reads 32 tokens; a mask behind them is none.
        let added = after.len() - before.len();
        assert!((1..=masks).contains(&added), "{before:?} {after:?}");
        let mut rest = after.iter();
        assert!(before.iter().all(|word| rest.any(|other| other == word)), "{before:?} {after:?}");
        return;
    }
    assert_eq!(after.len(), before.len(), "{before:?} {after:?}");
    let changed: Vec<&str> = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after)
        .map(|(before, _)| *before)
        .collect();
    assert_eq!(changed.len(), masks, "{before:?} {after:?}");
    let stop_words = ["the", "and", "was", "is", "it", "we", "they"];
    assert!(changed.iter().all(|word| !stop_words.contains(word)), "{before:?} {after:?}");
}

#[test]
fn masked_words_get_the_logits_of_transformers() -> Result<(), TestError> {
    for architecture in [
        "bert",
        "distilbert",
        "roberta",
        "mpnet",
        "electra",
        "albert",
        "modernbert",
        "deberta-v2",
        "deberta-v2-nonlegacy",
        "nomic-bert",
        "gte",
    ] {
        let folder = data(&format!("tiny-{architecture}-mlm"));
        let folder = std::path::Path::new(&folder);
        let pretrained = Pretrained::read_with_masked_head(folder)?;
        let head = MaskedHead::of(&pretrained.config, &pretrained.weights)?;
        assert!(head.is_trained());
        let expected: Value = serde_json::from_slice(&fs::read(folder.join("expected.json"))?)?;
        let tokenizer = Tokenizer::read(&pretrained.files, None)?;
        for kernels in [Kernels::Fused, Kernels::Standard] {
            let word_rows = pretrained.config.vocabulary;
            let options = NetworkOptions {
                kernels,
                dropout: Dropout::Off,
                word_rows,
                positions_in_graph: false,
                packed: false,
            };
            let graph = head.graph(&pretrained.config, options)?;
            let weights = pretrained.weights.all()?;
            let used = graph.parameters().filter_map(|(name, _)| Some((name, weights.get(name)?)));
            let mut inference = Inference::new(
                Runtime::get(Device::Cpu, 2, &Silent)?,
                &graph,
                &Parameters::new(Place::Host, used)?,
            )?;
            let cases = expected["cases"].as_array().ok_or("no cases")?;
            assert!(cases.len() >= 4);
            for case in cases {
                let text = case["text"].as_str().ok_or("no text")?;
                let tokens: Vec<TokenizedText> = tokenizer.encode(&[text], 64)?;
                let ids: Vec<u32> = serde_json::from_value(case["ids"].clone())?;
                assert_eq!(tokens[0].ids, ids, "{architecture}: {text}");
                let places: Vec<i64> = serde_json::from_value(case["mask_positions"].clone())?;
                let mut feeds = predict::feeds(InputLayout::of(&pretrained.config), &[&tokens[0]]);
                feeds.push((ROWS.to_owned(), Feed::I64(vec![places.len()], places)));
                let found = inference.run(feeds)?;
                let wanted: Vec<Vec<f64>> = serde_json::from_value(case["logits"].clone())?;
                assert_eq!(found.shape(), [wanted.len(), word_rows]);
                for (found, wanted) in found.axis_iter(Axis(0)).zip(&wanted) {
                    for (found, wanted) in found.iter().zip(wanted) {
                        assert!(
                            (f64::from(*found) - wanted).abs() < 5e-5,
                            "{architecture} {kernels:?}, {text}: {found} {wanted}"
                        );
                    }
                }
            }
        }
    }
    Ok(())
}

/// Runs or checks a pipeline of one `augment` stage and what follows, and returns the error.
fn failure(project: &Project, methods: &str, more: &str) -> Result<String, TestError> {
    project.write(
        "x.yaml",
        &format!(
            "\
version: 1
stages:
  data: {{ load: {{ path: texts.csv, split: {{ test: 0.3 }} }} }}
  more:
    augment:
      data: data
      methods: {methods}
{more}"
        ),
    )?;
    let said = project.pipe(&["run", "x.yaml"])?;
    assert_ne!(said.code, Some(0), "{}", said.err);
    assert!(!said.err.contains("panicked"), "{}", said.err);
    let error = said
        .err
        .lines()
        .skip_while(|line| !line.starts_with("error"))
        .collect::<Vec<_>>()
        .join("\n");
    let folder = project.folder().display().to_string();
    Ok(error
        .replace(&format!("{}/", fs::canonicalize(project.folder())?.display()), "")
        .replace(&format!("{folder}/"), ""))
}

#[test]
fn bad_settings_are_found_before_anything_runs() -> Result<(), TestError> {
    let project = Project::new(40)?;
    let bert = data("tiny-bert");
    let methods = "
        - eda: { rate: 1.5, copies: 2, to: 9 }
        - random_deletion: { rate: 0 }
        - chain: { methods: [aeda: { copies: 2 }] }
        - mix: { methods: [{ weight: 0, method: { markov: { order: 4 } } }] }
        - synonym_replacement: { stop_words: { language: xx } }
      keep: { quantile: 95 }";
    let more = format!(
        "  tuned: {{ train: {{ data: more, model: {{ pretrained: {bert} }}, epochs: 3, budget: {{ \
         steps: 10 }}, early_stopping: {{}} }} }}
  score: {{ evaluate: {{ model: tuned, data: more, split: train }} }}
"
    );
    let found = failure(&project, methods, &more)?;
    let problems: Vec<&str> = found.lines().filter(|line| line.starts_with("error")).collect();
    assert_snapshot!(problems.join("\n"), @r"
    error: `rate` is 1.5; expected a share above 0 and at most 1
    error: `to` and `copies` both set the number of texts
    error: `rate` is 0; expected a share above 0 and at most 1
    error: `copies` is set inside `chain`, which sets it for all its methods
    error: `weight` is 0; expected a number above 0
    error: `order` is 4; expected 1, 2 or 3
    error: there is no list of stop words for `xx`
    error: `quantile` is 95; expected a share above 0 and at most 1
    ");
    let found = failure(&project, "[aeda]", &more)?;
    let problems: Vec<&str> = found.lines().filter(|line| line.starts_with("error")).collect();
    assert_snapshot!(problems.join("\n"), @r"
    error: `budget` and `epochs` both set the length of the training
    error: `budget` gives every run the same steps, but `early_stopping` removes some of them
    error: the data set has no dev split, and test data must not drive any choice
    ");
    let more = more.replace(", epochs: 3, budget: { steps: 10 }, early_stopping: {}", "");
    let found = failure(&project, "[aeda]", &more)?;
    assert!(found.starts_with("error: the train split of `more` holds generated texts"), "{found}");
    assert!(!project.path("runs").exists());
    Ok(())
}

#[test]
fn bad_files_and_programs_are_told() -> Result<(), TestError> {
    let project = Project::new(40)?;
    project.write("broken.dat", "UTF-8\ngood|2\n(adj)|kind\n")?;
    project.write("fails.sh", "echo 'no such language' >&2\nexit 4\n")?;
    project.write("hangs.sh", "exec sleep 60\n")?;
    project.write("chats.sh", "echo Loading the model\n")?;
    let synonyms = |source: &str| format!("[synonym_replacement: {{ synonyms: {source} }}]");
    // Only what hangs runs into its limit, however slow the machine is.
    let command =
        |run: &str, limit: u64| format!("[command: {{ run: {run}, timeout_seconds: {limit} }}]");
    let mut found = String::new();
    for methods in [
        synonyms("{ openoffice: none.dat }"),
        synonyms("{ openoffice: broken.dat }"),
        synonyms("{ wordnet: . }"),
        synonyms("{ embeddings: { pretrained: nowhere } }"),
        command("[sh, fails.sh]", 300),
        command("[sh, hangs.sh]", 1),
        command("[sh, chats.sh]", 300),
        command("[no-such-program]", 300),
    ] {
        found.push_str(&failure(&project, &methods, "")?);
        found.push_str("\n\n");
    }
    assert_snapshot!(found, @r#"
    error: stage `more` cannot run
      caused by: there is no thesaurus `none.dat`
      hint: relative paths start at the pipeline file's folder; `pipe` looked for `./none.dat`

    error: stage `more` failed
      caused by: `broken.dat`, line 2: found `good|2`; expected as many meanings as the entry declares
      hint: expected the `.dat` file of a MyThes thesaurus, version 2, not its `.idx`

    error: stage `more` cannot run
      caused by: there is no WordNet file `./index.noun`
      hint: relative paths start at the pipeline file's folder; `pipe` looked for `././index.noun`

    error: stage `more` cannot run
      caused by: the model folder `./nowhere` does not exist
      hint: relative folders start at the pipeline file's folder; write packages as `pip:NAME` and models of the hub as `hf:ORG/NAME`

    error: stage `more` failed
      caused by: `sh fails.sh` failed (exit status: 4); its last messages:
          no such language
      hint: run it by hand: it reads one JSON object per line from its standard input

    error: stage `more` failed
      caused by: `sh hangs.sh` had not finished after 1 s and was stopped
      hint: the program should exit when its standard input ends; `timeout_seconds` gives it more time

    error: stage `more` failed
      caused by: `sh chats.sh` printed an invalid answer on line 1: expected value at line 1 column 1
          Loading the model
      hint: expected one JSON object per line: {"id": "…", "copy": 1, "text": "…"}

    error: stage `more` failed
      caused by: cannot start `no-such-program`
      caused by: No such file or directory (os error 2)
      hint: programs are looked up on the PATH; write `./NAME` for one beside the pipeline file, which must be executable
    "#);
    // The loaded data alone is in the cache.
    assert_eq!(fs::read_dir(project.path(".pipe/cache"))?.count(), 1);
    Ok(())
}

#[test]
fn generated_texts_are_not_loaded_as_originals() -> Result<(), TestError> {
    let project = Project::new(40)?;
    project.write(
        "x.yaml",
        "version: 1\nstages:\n  data: { load: { path: texts.csv, split: { test: 0.3 } } }\n  \
         more: { augment: { data: data, methods: [aeda] } }\n",
    )?;
    project.run(&[])?;
    fs::copy(project.artifact("more")?.join("data.parquet"), project.path("more.parquet"))?;
    fs::copy(project.artifact("data")?.join("data.parquet"), project.path("plain.parquet"))?;
    let load = |name: &str| {
        project.pipe(&[
            "run",
            "x.yaml",
            "--until",
            "data",
            "-S",
            &format!("stages.data.load.path={name}"),
        ])
    };
    let said = load("more.parquet")?;
    assert!(
        said.code == Some(1)
            && said.err.contains("more.parquet` holds 28 generated texts; expected original ones"),
        "{}",
        said.err
    );
    assert_eq!(load("plain.parquet")?.code, Some(0));
    Ok(())
}

/// The file's folder is where a program is looked for and runs, wherever `pipe` is started; what it
/// leaves behind ends with it.
#[cfg(target_os = "linux")]
#[test]
fn a_program_beside_the_file_is_found_from_anywhere() -> Result<(), TestError> {
    let project = Project::new(40)?;
    fs::create_dir(project.path("sub"))?;
    fs::rename(project.path("texts.csv"), project.path("sub/texts.csv"))?;
    project.write(
        "sub/own.sh",
        "#!/bin/sh\nsleep 300 > /dev/null 2>&1 &\necho $! > left\nsed \
         's/\"text\":\"/\"text\":\"again /'\n",
    )?;
    assert!(
        std::process::Command::new("chmod")
            .arg("+x")
            .arg(project.path("sub/own.sh"))
            .status()?
            .success()
    );
    project.write(
        "sub/x.yaml",
        "version: 1\nstages:\n  data: { load: { path: texts.csv, split: { test: 0.3 } } }\n  \
         more: { augment: { data: data, methods: [command: { run: [./own.sh] }] } }\n",
    )?;
    let said = project.pipe(&["run", "sub/x.yaml"])?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        is_gone(&fs::read_to_string(project.path("sub/left"))?),
        "what the program left goes on"
    );
    Ok(())
}

/// Ctrl-C ends the program too, and leaves nothing half-written.
#[cfg(target_os = "linux")]
#[test]
fn an_interruption_ends_the_program() -> Result<(), TestError> {
    let project = Project::new(40)?;
    project
        .write("own.sh", "sleep 300 &\necho $! > started.part\nmv started.part started\nwait\n")?;
    project.write(
        "x.yaml",
        "version: 1\nstages:\n  data: { load: { path: texts.csv, split: { test: 0.3 } } }\n  \
         more: { augment: { data: data, methods: [command: { run: [sh, own.sh] }] } }\n",
    )?;
    let mut child =
        project.command(&["run", "x.yaml"]).stderr(std::process::Stdio::null()).spawn()?;
    while !project.path("started").exists() {
        assert!(child.try_wait()?.is_none(), "it ended before the program began");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()?
            .success()
    );
    assert_eq!(child.wait()?.code(), Some(130));
    assert!(is_gone(&fs::read_to_string(project.path("started"))?), "the program goes on");
    assert_eq!(fs::read_dir(project.path(".pipe/cache"))?.count(), 1, "the loaded data alone");
    Ok(())
}

/// Says whether a process is gone, or ended and nobody has asked about it yet.
#[cfg(target_os = "linux")]
fn is_gone(process: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{}/stat", process.trim())).unwrap_or_default();
    state.is_empty() || state.contains(") Z ")
}

/// The dictionaries that Debian packages, where they are installed.
#[test]
fn real_dictionaries_are_read() -> Result<(), TestError> {
    let project = Project::new(40)?;
    for (source, package, place) in [
        ("wordnet", "wordnet-base", "/usr/share/wordnet"),
        ("openoffice", "mythes-en-us", "/usr/share/mythes/th_en_US_v2.dat"),
    ] {
        if !std::path::Path::new(place).exists() {
            skipped(&format!("install Debian's {package}"));
            continue;
        }
        project.write(
            "x.yaml",
            &format!(
                "version: 1\nstages:\n  data: {{ load: {{ path: texts.csv, split: {{ test: 0.3 }} \
                 }} }}\n  more:\n    augment:\n      data: data\n      methods: \
                 [synonym_replacement: {{ synonyms: {{ {source}: {place} }} }}]\n"
            ),
        )?;
        project.run(&[])?;
        let data = DataSet::read(&project.artifact("more")?)?;
        assert!(
            data.augmentation.rows.iter().all(|row| row.kept > 0),
            "{source}: {:?}",
            data.augmentation.rows
        );
    }
    Ok(())
}
