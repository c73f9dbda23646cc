//! `pipe predict` and `pipe::Classifier`: what a model says of texts that nobody has labelled.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fs_err as fs;
use polars::prelude::*;
use serde_json::Value;

use super::project::{Project, TestError, data, repository, wanted};

const STAGES: &[(&str, &str)] = &[
    ("tuned", "epochs: 2"),
    ("mean", "epochs: 2, windows: { stride: 2 }, max_length: 8"),
    ("pairs", "method: { contrastive: {} }, epochs: 2"),
    ("probed", "method: { probe: {} }"),
    ("near", "method: { probe: { classifier: knn } }"),
];

/// A project whose models were trained and scored on a test split.
fn project() -> Result<Project, TestError> {
    let mut text = "version: 1\nstages:\n  data: { load: { path: texts.csv, split: { test: 0.5, \
                    dev: 0.1 } } }\n"
        .to_owned();
    for (name, settings) in STAGES {
        let head = if *name == "mean" { ", head: mean" } else { "" };
        text += &format!(
            "  {name}: {{ train: {{ data: data, model: {{ pretrained: \"{}\"{head} }}, {settings} \
             }} }}\n  {name}_score: {{ evaluate: {{ model: {name}, data: data }} }}\n",
            data("tiny-bert")
        );
    }
    text += "  voted: { ensemble: { models: [tuned, probed] } }\n  voted_score: { evaluate: { model: \
             voted, data: data } }\n";
    let project = Project::with(120, &text)?;
    project.run(&["--threads", "2"])?;
    Ok(project)
}

/// Returns the objects that a command has written.
fn objects(text: &str) -> Result<Vec<Value>, TestError> {
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// A table in another format.
fn frame(file: &Path) -> Result<DataFrame, TestError> {
    Ok(ParquetReader::new(Cursor::new(fs::read(file)?)).finish()?)
}

/// Writes texts with a number behind each, which must come back.
fn table(project: &Project, name: &str, texts: &[String]) -> Result<(), TestError> {
    let mut text = "n,text,other\n".to_owned();
    for (n, own) in texts.iter().enumerate() {
        text += &format!("{n},\"{}\",\"a, \"\"b\"\" {n}\"\n", own.replace('"', "\"\""));
    }
    Ok(project.write(name, &text)?)
}

/// Whatever neighbours a text has, its probabilities are those of `evaluate`, to the last bit with
/// the ONNX Runtime that `pipe` installs. With 1.19.2, one in some thousand texts was rounded
/// otherwise.
#[test]
fn predictions_are_those_of_evaluate() -> Result<(), TestError> {
    let allowed = if std::env::var_os("ORT_DYLIB_PATH").is_some() { 1e-6 } else { 0.0 };
    let same = |one: f32, other: f32| (one - other).abs() <= allowed;
    let project = project()?;
    let stages = STAGES.iter().map(|(name, _)| *name).chain(["voted"]);
    for name in stages {
        let evaluation = project.evaluation(&format!("{name}_score"))?;
        let rows = evaluation.predictions;
        let texts: Vec<String> = rows.iter().map(|row| row.text.clone()).collect();
        table(&project, "all.csv", &texts)?;
        table(&project, "some.csv", &texts[3..10])?;
        table(&project, "one.csv", &texts[7..8])?;
        let all = rows.len();
        for (file, from, count) in [("all.csv", 0, all), ("some.csv", 3, 7), ("one.csv", 7, 1)] {
            let model = format!("latest:{name}");
            let said =
                project.pipe(&["predict", &model, file, "--proba", "--to=jsonl", "--threads=2"])?;
            assert_eq!(said.code, Some(0), "{name}: {}", said.err);
            let found = objects(&said.out)?;
            assert_eq!(found.len(), count, "{name}, {file}");
            for (row, found) in rows[from..].iter().zip(&found) {
                assert_eq!(found["text"], row.text, "{name}, {file}");
                assert_eq!(found["prediction"], evaluation.labels[row.prediction], "{name}");
                for (label, expected) in evaluation.labels.iter().zip(&row.probabilities) {
                    let own = found[format!("p/{label}")].as_f64().ok_or("no probability")?;
                    let own = own as f32;
                    assert!(same(own, *expected), "{name}, {file}: {own}, not {expected}");
                }
            }
        }
        // The same in a program.
        let folder = project.artifact(name)?;
        let mut classifier = pipe::Classifier::open(&folder)?;
        assert_eq!(classifier.labels(), evaluation.labels);
        for (answer, row) in classifier.predict(&texts)?.iter().zip(&rows) {
            assert_eq!(answer.class, row.prediction);
            let mut both = answer.probabilities.iter().zip(&row.probabilities);
            assert!(both.all(|(own, expected)| same(*own, *expected)), "{name}: {answer:?}");
            assert_eq!(answer.probability(), answer.probabilities[row.prediction]);
        }
        assert!(classifier.predict::<&str>(&[])?.is_empty());
    }
    Ok(())
}

/// What the page shows is what is compiled here.
#[test]
#[expect(clippy::print_stdout, reason = "that is what a reader's program does")]
fn the_pages_example_runs() -> Result<(), TestError> {
    fn example() -> Result<(), pipe::ClassifierError> {
        // The example begins.
        let mut classifier = pipe::Classifier::open("models/tickets")?;
        for answer in classifier.predict(&["I was charged twice", "Where is my card?"])? {
            println!("{} ({:.2})", answer.label, answer.probability());
        }
        // The example ends.
        Ok(())
    }
    let error = example().err().ok_or("there is no such folder")?;
    assert_eq!(error.to_string(), "`models/tickets` holds no model");
    assert!(error.help().is_some_and(|help| help.contains("config.json")));
    let own = fs::read_to_string(repository("tests/suite/predict.rs"))?;
    let (_, rest) = own.split_once("// The example begins.\n").ok_or("no beginning")?;
    let (code, _) = rest.split_once("        // The example ends.").ok_or("no end")?;
    let code: Vec<&str> =
        code.lines().map(|line| line.strip_prefix("        ").unwrap_or(line)).collect();
    let page = fs::read_to_string(repository("docs/predict.md"))?;
    assert!(page.contains(&format!("```rust\n{}\n```", code.join("\n"))), "{code:?}");
    Ok(())
}

#[test]
fn tables_keep_their_columns() -> Result<(), TestError> {
    let project = project()?;
    let texts: Vec<String> =
        (0..40).map(|n| format!("{n} café, \"good\"\nand slow {}", "so ".repeat(n % 5))).collect();
    table(&project, "a.csv", &texts)?;
    let run = |arguments: &[&str]| {
        let said = project.pipe(&[&["predict", "latest:tuned"], arguments].concat())?;
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.err);
        Ok::<String, TestError>(said.out)
    };
    // From any format to any other, and back to the first.
    let expected = run(&["a.csv", "--proba"])?;
    assert!(expected.starts_with("n,text,other,prediction,probability,p/"), "{expected}");
    run(&["a.csv", "-o", "b.parquet", "--prefix", "x_"])?;
    let frame = frame(&project.path("b.parquet"))?;
    let names: Vec<&str> = frame.columns().iter().map(|column| column.name().as_str()).collect();
    assert_eq!(names, ["n", "text", "other", "x_prediction", "x_probability"]);
    assert_eq!(frame.column("x_probability")?.dtype(), &DataType::Float32);
    run(&["b.parquet", "-o", "c.jsonl", "--prefix", "y_"])?;
    let lines = fs::read_to_string(project.path("c.jsonl"))?;
    let found = objects(&lines)?;
    for (n, (row, text)) in found.iter().zip(&texts).enumerate() {
        assert_eq!((&row["n"], &row["text"]), (&n.to_string().into(), &text.clone().into()));
        assert_eq!(row["other"], format!("a, \"b\" {n}"));
        assert_eq!(row["x_prediction"], row["y_prediction"]);
        assert_eq!(row["x_probability"], row["y_probability"]);
    }
    assert_eq!(run(&["c.jsonl", "--proba", "--to", "csv"])?.lines().count(), 81);
    run(&["c.jsonl", "-o", "d.tsv", "--prefix", "z_"])?;
    assert_eq!(run(&["d.tsv", "--to", "jsonl", "--quoting", "double"])?.lines().count(), 40);
    // Compressed, in another encoding, with other separators.
    project.shell("gzip -k a.csv")?;
    assert_eq!(run(&["a.csv.gz", "--proba"])?, expected);
    fs::write(project.path("latin.csv"), b"id;text\n7;caf\xe9 was good\n")?;
    let out = run(&["latin.csv", "--encoding", "windows-1252"])?;
    assert!(out.starts_with("id,text,prediction,probability\n7,café was good,"), "{out}");
    // Numbers keep their spelling, members their order.
    project.write("e.jsonl", "{\"z\": 1.50, \"text\": \"good\", \"a\": [1, {}]}\n\n")?;
    let out = run(&["e.jsonl", "--top", "2"])?;
    assert!(
        out.starts_with("{\"z\": 1.50, \"text\": \"good\", \"a\": [1, {}], \"prediction\": \"")
    );
    assert!(out.contains("\"prediction_2\"") && !out.contains("\"prediction_3\""), "{out}");
    // A file of one column, under another name, and a table without rows.
    project.write("f.csv", "review\ngood\nbad\n")?;
    assert_eq!(run(&["f.csv", "--text", "review"])?.lines().count(), 3);
    project.write("g.csv", "text,b\n")?;
    assert_eq!(run(&["g.csv"])?, "text,b,prediction,probability\n");
    Ok(())
}

/// Every line is answered when it has come, so that a program can talk with this one.
#[test]
fn lines_are_answered_at_once() -> Result<(), TestError> {
    let project = project()?;
    let talk = ["predict", "latest:tuned", "--threshold", "1", "--else", "nobody knows"];
    let mut child = project
        .command(&talk)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut into = child.stdin.take().ok_or("no stdin")?;
    let mut from = BufReader::new(child.stdout.take().ok_or("no stdout")?);
    for text in ["good", "a slow \"hour\"", "café"] {
        writeln!(into, "{text}")?;
        into.flush()?;
        let mut line = String::new();
        from.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line)?;
        assert_eq!(
            (&answer["text"], &answer["prediction"]),
            (&text.into(), &"nobody knows".into())
        );
    }
    drop(into);
    assert!(child.wait()?.success());
    // Tables too.
    let lines = "printf 'text,n\\ngood,1\\nbad,2' | ";
    let run = format!("{lines} {} predict latest:tuned --from csv", env!("CARGO_BIN_EXE_pipe"));
    let said = project.shell(&run)?;
    assert!(said.out.starts_with("text,n,prediction,probability\ngood,1,"), "{}", said.out);
    // A reader that goes away is no error.
    let many =
        format!("yes good | head -5000 | {} predict latest:tuned", env!("CARGO_BIN_EXE_pipe"));
    let said = project.shell(&format!("{many} | head -1"))?;
    assert!(!said.err.contains("error"), "{}", said.err);
    Ok(())
}

#[test]
fn bad_input_has_a_way_out() -> Result<(), TestError> {
    let project = project()?;
    project.write("a.csv", "text,n\ngood,1\n ,2\nbad,3\n")?;
    project.write("b.jsonl", "{\"text\": \"good\"}\n{\"text\": \"ba\n{\"text\": \"fine\"}\n")?;
    project.write("c.csv", "text,prediction\ngood,1\n")?;
    project.write("d.csv", "txt\ngood\n")?;
    let late = "{\"text\": \"a\"}\n".repeat(1500) + "{\"text\": \"b\", \"late\": 1}\n";
    project.write("e.jsonl", &late)?;
    project.write("f.csv", "text\n\"never closed\n")?;
    project.write("there.csv", "mine")?;
    fs::create_dir(project.path("empty"))?;
    project.write("g.onnx", "no model")?;
    let encoder = data("tiny-bert-mlm");
    let cases: &[(&[&str], &str, &str)] = &[
        (&["latest:tuned", "a.csv"], "row 2 (line 3) of `a.csv` has no text", "`--skip-bad`"),
        (&["latest:tuned", "b.jsonl"], "line 2", "one object per line"),
        (&["latest:tuned", "c.csv"], "has a column `prediction` already", "`--prefix model_`"),
        (&["latest:tuned", "d.csv"], "no column `text`; it has `txt`", "did you mean `txt`"),
        (
            &["latest:tuned", "e.jsonl", "--to", "csv"],
            "row 1501 has the key `late`",
            "-o out.jsonl",
        ),
        (&["latest:tuned", "f.csv"], "a quote opens a field", "stands twice"),
        (&["latest:tuned", "none.csv"], "none.csv", ""),
        (&["latest:tuned", "a.xlsx"], "has the ending `xlsx`", "rename or convert"),
        (&["latest:tuned", "a.csv", "-o", "there.csv"], "exists already", "`--force`"),
        (&["latest:tuned", "a.csv", "-o", "out.html"], "no ending of a table", "`.parquet`"),
        (&["latest:tuned", "a.csv", "-o", "no/out.csv"], "`no` does not exist", "make it"),
        (&["latest:tuned", "a.csv", "--else", "x"], "no class is likely enough", "--threshold"),
        (&["latest:tuned", "a.csv", "--threshold", "2"], "`--threshold 2`", "from 0 to 1"),
        (&["latest:tuned", "a.csv", "--top", "9"], "`--top 9`", "classes"),
        (&["latest:tuned", "a.csv", "--from", "csv"], "what comes through a pipe", "ending"),
        (&["latest:tuned", "--from", "xml"], "invalid value", ""),
        (&["latest:tund", "a.csv"], "has no model `tund`", "did you mean `tuned`"),
        (&["latest:tuned", "a.csv", "--seed", "77"], "has no such model", "seed"),
        (&["latest", "a.csv"], "has 6 models", "not all have scores on dev"),
        (&["nowhere", "a.csv"], "nowhere", ""),
        (&["empty", "a.csv"], "holds no model", "config.json"),
        (&[&encoder, "c.csv"], "no classification head", "has to be trained"),
        (&["g.onnx", "a.csv"], "no config.json beside it", ""),
    ];
    for (arguments, message, hint) in cases {
        let said = project.pipe(&[&["predict"], *arguments].concat())?;
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(message), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(hint), "{arguments:?}: {}", said.err);
        assert!(!said.err.contains("internal error"), "{arguments:?}: {}", said.err);
    }
    assert_eq!(fs::read_to_string(project.path("there.csv"))?, "mine");
    // Nothing half-written is left.
    let run = ["predict", "latest:tuned", "a.csv", "-o", "out.csv"];
    assert_eq!(project.pipe(&run)?.code, Some(2));
    let left = fs::read_dir(project.folder())?.filter_map(Result::ok);
    let left: Vec<String> =
        left.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(!left.iter().any(|name| name.contains("out.csv")), "{left:?}");
    // Passed over where that is asked for.
    let said = project.pipe(&[&run[..], &["--skip-bad"]].concat())?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("prediction is empty: 1; the first is 2 (line 3)"), "{}", said.err);
    let lines = fs::read_to_string(project.path("out.csv"))?;
    assert!(lines.contains("\n\" \",2,,\n") || lines.contains("\n ,2,,\n"), "{lines}");
    let said = project.pipe(&["predict", "latest:tuned", "b.jsonl", "--skip-bad"])?;
    assert_eq!((said.code, said.out.lines().count()), (Some(0), 2), "{}", said.err);
    assert!(said.err.contains("cannot be read: 1; the first is 2"), "{}", said.err);
    Ok(())
}

/// A run alone stands for its best model by dev; test chooses nothing.
#[test]
fn a_run_stands_for_its_best_model_on_dev() -> Result<(), TestError> {
    let bert = data("tiny-bert");
    let train = |settings: &str| {
        format!("{{ train: {{ data: data, model: {{ pretrained: \"{bert}\" }}, {settings} }} }}")
    };
    let text = format!(
        "version: 1\nstages:\n  data: {{ load: {{ path: texts.csv, split: {{ test: 0.2, dev: 0.3 \
         }} }} }}\n  one: {}\n  two: {}\n  a: {{ evaluate: {{ model: one, data: data, split: dev \
         }} }}\n  b: {{ evaluate: {{ model: two, data: data, split: dev }} }}\n",
        train("epochs: 1, optimizer: { adamw: { learning_rate: 1e-9 } }"),
        train("epochs: 25, optimizer: { adamw: { learning_rate: 5e-3 } }"),
    );
    let project = Project::with(160, &text)?;
    project.run(&["--seeds", "3,4"])?;
    project.write("a.csv", "text\ngood\n")?;
    let mut scores = BTreeMap::new();
    for row in project.results()? {
        let model = if row.stage == "a" { "one" } else { "two" };
        scores.insert((model, row.seed), row.metrics["macro_f1"]);
    }
    // Of equal ones the first.
    let best = scores
        .iter()
        .rev()
        .max_by(|one, other| one.1.total_cmp(other.1).then(other.0.1.cmp(&one.0.1)))
        .ok_or("no scores")?;
    let said = project.pipe(&["predict", "latest", "a.csv"])?;
    let told = format!("`{}` (seed {}) is the best of 4 models", best.0.0, best.0.1);
    assert!(said.code == Some(0) && said.err.contains(&told), "{told}: {}", said.err);
    let said = project.pipe(&["predict", "latest:one", "a.csv", "--seed", "3"])?;
    assert!(said.err.contains("predicted by `one` (seed 3)"), "{}", said.err);
    Ok(())
}

/// A folder without what `pipe` adds, and the ONNX file in it, say the same.
#[test]
fn folders_of_others_are_read() -> Result<(), TestError> {
    let project = project()?;
    let texts: Vec<String> = ["good", "a slow hour", "never again"].map(str::to_owned).to_vec();
    table(&project, "a.csv", &texts)?;
    let run = |model: &str| {
        let said = project.pipe(&["predict", model, "a.csv", "--proba"])?;
        assert_eq!(said.code, Some(0), "{model}: {}", said.err);
        Ok::<String, TestError>(said.out)
    };
    let own = project.artifact("tuned")?;
    let expected = run("latest:tuned")?;
    assert_eq!(run(&own.display().to_string())?, expected);
    assert_eq!(run(&own.join("model.onnx").display().to_string())?, expected);
    let copy: PathBuf = project.path("copy");
    fs::create_dir(&copy)?;
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        if own.join(name).is_file() {
            fs::copy(own.join(name), copy.join(name))?;
        }
    }
    assert_eq!(run(&copy.display().to_string())?, expected);
    // Weights that do not go with the classes that config.json names.
    let config = fs::read_to_string(copy.join("config.json"))?;
    let mut config: Value = serde_json::from_str(&config)?;
    config["id2label"] = serde_json::json!({"0": "a", "1": "b", "2": "c", "3": "d", "4": "e"});
    config["label2id"] = Value::Null;
    fs::write(copy.join("config.json"), config.to_string())?;
    let said = project.pipe(&["predict", &copy.display().to_string(), "a.csv"])?;
    assert!(said.code == Some(2) && said.err.contains("no classification head"), "{}", said.err);
    Ok(())
}

/// Needs a Python with torch and transformers, which `PIPE_TEST_PYTHON` names.
#[test]
fn a_classifier_of_transformers_is_used_as_it_is() -> Result<(), TestError> {
    let Some(python) = wanted("PIPE_TEST_PYTHON", "a Python with torch and transformers") else {
        return Ok(());
    };
    let project = Project::new(10)?;
    let script = "\
import sys, json, torch, transformers
torch.manual_seed(1)
config = transformers.AutoConfig.from_pretrained(sys.argv[1], id2label={0: 'no', 1: 'yes', 2: 'who'}, label2id={'no': 0, 'yes': 1, 'who': 2})
model = transformers.AutoModelForSequenceClassification.from_pretrained(sys.argv[1], config=config).eval()
torch.nn.init.normal_(model.classifier.weight, std=2.0)
model.save_pretrained('theirs')
tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
tokenizer.save_pretrained('theirs')
for text in ['good', 'a slow hour', 'never again']:
    with torch.no_grad():
        print(json.dumps(model(**tokenizer(text, return_tensors='pt')).logits.softmax(-1)[0].tolist()))
";
    project.write("a.py", script)?;
    project.write("a.csv", "text\ngood\na slow hour\nnever again\n")?;
    let output = std::process::Command::new(python)
        .args(["a.py", &data("tiny-bert")])
        .env("HF_HUB_OFFLINE", "1")
        .current_dir(project.folder())
        .output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = project.pipe(&["predict", "theirs", "a.csv", "--proba", "--to", "jsonl"])?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let expected = String::from_utf8(output.stdout)?;
    for (found, expected) in objects(&said.out)?.iter().zip(expected.lines()) {
        let expected: Vec<f64> = serde_json::from_str(expected)?;
        for (label, expected) in ["no", "yes", "who"].iter().zip(expected) {
            let own = found[format!("p/{label}")].as_f64().ok_or("no probability")?;
            assert!((own - expected).abs() < 1e-5, "{found}: {expected}");
        }
    }
    Ok(())
}
