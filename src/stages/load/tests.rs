//! Tests of `load` as a whole.

use std::collections::BTreeSet;
use std::error::Error;

use super::config::{Duplicates, Load};
use crate::data::{DataSet, Example};
use crate::stages::contract::error::CheckError;
use crate::stages::contract::inputs::Inputs;
use crate::stages::contract::stage::{Fact, Stage};
use crate::stages::test_ctx::TestCtx;

type Outcome = Result<(), Box<dyn Error>>;

fn config(json: &str) -> Result<Load, serde_json::Error> {
    serde_json::from_str(json)
}

fn load(ctx: &TestCtx, json: &str) -> Result<DataSet, String> {
    let load = config(json).map_err(|error| error.to_string())?;
    match load.run(ctx, &Inputs::default()) {
        Ok(output) => {
            let mut inputs = Inputs::default();
            inputs.insert("data", output);
            Ok(inputs.data("data").clone())
        }
        Err(error) => {
            let help = error.help().map(|help| format!(" / {help}"));
            Err(format!("{error}{}", help.unwrap_or_default()))
        }
    }
}

/// A hundred texts: 50 of `a`, 30 of `b`, 20 of `c`.
fn hundred() -> String {
    let label = |row: usize| {
        if row < 50 {
            "a"
        } else if row < 80 {
            "b"
        } else {
            "c"
        }
    };
    (0..100)
        .fold("text,label\n".to_owned(), |csv, row| csv + &format!("text {row},{}\n", label(row)))
}

fn ids(examples: &[Example]) -> BTreeSet<&str> {
    examples.iter().map(|example| example.id.as_str()).collect()
}

fn counts(data: &DataSet, examples: &[Example]) -> Vec<usize> {
    (0..data.labels().len())
        .map(|label| examples.iter().filter(|e| e.class() == label).count())
        .collect()
}

#[test]
fn the_split_is_stratified_and_leaves_the_run_seed_alone() -> Outcome {
    let (one, two) = (TestCtx::new(1)?, TestCtx::new(2)?);
    let json = r#"{"path": "a.csv", "split": {"test": 0.3, "dev": 0.1}, "shots": 4}"#;
    one.file("a.csv", &hundred())?;
    two.file("a.csv", &hundred())?;
    let (first, second) = (load(&one, json)?, load(&two, json)?);
    assert_eq!(first.labels(), ["a", "b", "c"]);
    assert_eq!(counts(&first, &first.splits.test), [15, 9, 6]);
    assert_eq!(counts(&first, &first.splits.dev), [5, 3, 2]);
    assert_eq!(counts(&first, &first.splits.train), [4, 4, 4]);
    assert_eq!((&first.splits.test, &first.splits.dev), (&second.splits.test, &second.splits.dev));
    assert_ne!(first.splits.train, second.splits.train);
    assert_eq!(first, load(&one, json)?);
    let whole = load(&one, r#"{"path": "a.csv", "split": {"test": 0.3, "dev": 0.1}}"#)?;
    assert_eq!(counts(&whole, &whole.splits.train), [30, 18, 12]);
    assert!(ids(&first.splits.train).is_subset(&ids(&whole.splits.train)));
    let all: BTreeSet<&str> = [&whole.splits.train, &whole.splits.dev, &whole.splits.test]
        .into_iter()
        .flat_map(|s| ids(s))
        .collect();
    assert_eq!(all.len(), 100);
    let other = load(&one, r#"{"path": "a.csv", "split": {"test": 0.3, "dev": 0.1, "seed": 1}}"#)?;
    assert_ne!(ids(&other.splits.test), ids(&whole.splits.test));
    let example = &whole.splits.test[0];
    let row: usize = example.id.trim_start_matches("row-").parse()?;
    assert_eq!(example.text.to_string(), format!("text {}", row - 1));
    assert!(one.said().contains("12 train, 10 dev and 30 test texts of 3 classes"));
    Ok(())
}

#[test]
fn more_shots_keep_the_fewer_ones() -> Outcome {
    let ctx = TestCtx::new(7)?;
    ctx.file("a.csv", &hundred())?;
    let shots = |n: usize| {
        load(&ctx, &format!(r#"{{"path": "a.csv", "split": {{"test": 20}}, "shots": {n}}}"#))
    };
    let (few, more) = (shots(4)?, shots(8)?);
    assert!(ids(&few.splits.train).is_subset(&ids(&more.splits.train)));
    assert_eq!((few.splits.test.len(), few.splits.dev.len()), (20, 0));
    Ok(())
}

#[test]
fn given_files_keep_their_splits() -> Outcome {
    let ctx = TestCtx::new(1)?;
    ctx.file("train.csv", "text,label\none,b\ntwo,a\none,b\n")?;
    ctx.file("test.jsonl", "{\"text\": \"three\", \"label\": \"a\"}\n")?;
    let json = r#"{"files": {"train": "train.csv", "test": "test.jsonl"}}"#;
    let data = load(&ctx, json)?;
    assert_eq!(
        data.splits.train.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(),
        ["train-1", "train-2", "train-3"]
    );
    assert_eq!(
        (data.splits.test[0].id.as_str(), data.splits.test[0].class(), data.splits.dev.len()),
        ("test-1", 0, 0)
    );
    assert!(ctx.said().contains("duplicate texts kept within one file: 1"), "{}", ctx.said());
    assert!(ctx.said().contains("test has no row of class `b`"), "{}", ctx.said());
    ctx.file("test.jsonl", "{\"text\": \"three\", \"label\": \"c\"}\n")?;
    let message = load(&ctx, json).err().unwrap_or_default();
    assert!(
        message
            .starts_with("test has the label `c` in row 1, which train lacks / train has `a`, `b`"),
        "{message}"
    );
    Ok(())
}

#[test]
fn equal_texts_are_found_across_splits_and_before_one() -> Outcome {
    let ctx = TestCtx::new(1)?;
    ctx.file("train.csv", "text,label\nWhere is  my card?,a\ntwo,b\n")?;
    ctx.file("test.csv", "text,label\nfour,b\nwhere is my CARD?,a\n")?;
    let files = r#"{"files": {"train": "train.csv", "test": "test.csv"}, "duplicates": "HOW"}"#;
    let message = load(&ctx, &files.replace("HOW", "error")).err().unwrap_or_default();
    assert!(
        message.contains("  test 2 (line 3) and train 1 (line 2): \"where is my CARD?\""),
        "{message}"
    );
    let dropped = load(&ctx, &files.replace("HOW", "drop")).err().unwrap_or_default();
    assert!(
        dropped.contains("only one class, `b`"),
        "train lost its text, test kept it: {dropped}"
    );
    let allowed = load(&ctx, &files.replace("HOW", "allow"))?;
    assert_eq!((allowed.splits.train.len(), allowed.splits.test.len()), (2, 2));
    assert!(ctx.said().contains("duplicate texts kept, possibly in both train and test: 1"));

    ctx.file("one.csv", "text,label\nx,a\ny,b\nX ,b\nz,a\n")?;
    let message = load(&ctx, r#"{"path": "one.csv"}"#).err().unwrap_or_default();
    assert!(
        message
            .starts_with("duplicate texts: 1, such as\n  row 1 (line 2) and row 3 (line 4): \"x\""),
        "{message}"
    );
    let kept = load(&ctx, r#"{"path": "one.csv", "duplicates": "drop"}"#)?;
    assert_eq!(
        kept.splits.train.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(),
        ["row-1", "row-2", "row-4"]
    );
    assert!(ctx.said().contains("duplicate texts with different labels: 1"));
    Ok(())
}

#[test]
fn signs_that_cannot_be_seen_hide_no_text() -> Outcome {
    let ctx = TestCtx::new(1)?;
    ctx.file("train.csv", "text,label\nmy card is lost,a\ntwo,b\n")?;
    let files = r#"{"files": {"train": "train.csv", "test": "test.csv"}}"#;
    for sign in ['\u{200b}', '\u{ad}', '\u{feff}', '\u{200e}', '\u{2060}', '\u{fe0f}'] {
        ctx.file("test.csv", &format!("text,label\nmy ca{sign}rd is lost,a\nfour,b\n"))?;
        let message = load(&ctx, files).err().unwrap_or_default();
        let escaped = sign.escape_unicode();
        let expected = format!(
            "  test 1 (line 2) and train 1 (line 2): \"my ca{escaped}rd is lost\" and \"my card is \
             lost\""
        );
        assert!(message.contains(&expected), "{message}");
    }
    Ok(())
}

#[test]
fn labels_that_look_alike_are_said() -> Outcome {
    let ctx = TestCtx::new(1)?;
    ctx.file("a.csv", "text,label\n1,Spam\n2,spam \n3,ham\n4,ham\u{200b}\n5,spam\n6,NaN\n")?;
    let data = load(&ctx, r#"{"path": "a.csv"}"#)?;
    assert_eq!(data.labels(), ["NaN", "Spam", "ham", "ham\u{200b}", "spam"]);
    let said = ctx.said();
    assert!(said.contains(": `Spam` (1 row), `spam` (2 rows)"), "{said}");
    assert!(said.contains(": `ham` (1 row), `ham\\u{200b}` (1 row)"), "{said}");
    assert!(said.contains("the label `NaN` (1 row) looks like a missing value"), "{said}");
    ctx.file("train.csv", "text,label\n1,Spam\n2,ham\n")?;
    ctx.file("test.csv", "text,label\n3,spam\n")?;
    let files = r#"{"files": {"train": "train.csv", "test": "test.csv"}}"#;
    let message = load(&ctx, files).err().unwrap_or_default();
    assert!(message.contains("`spam` in row 1 (line 2), which train lacks"), "{message}");
    assert!(message.contains("train has `Spam`; write both in the same way"), "{message}");
    Ok(())
}

#[test]
fn rows_without_a_text_are_counted_by_split() -> Outcome {
    let ctx = TestCtx::new(1)?;
    ctx.file("train.csv", "text,label\none,a\n,b\n \u{200b},a\ntwo,b\n")?;
    ctx.file("test.csv", "text,label\nthree,a\n,b\n")?;
    let json = |empty: &str| {
        format!(r#"{{"files": {{"train": "train.csv", "test": "test.csv"}}, "empty": "{empty}"}}"#)
    };
    let message = load(&ctx, &json("error")).err().unwrap_or_default();
    assert!(message.contains("no text in row 2 (line 3)"), "{message}");
    let data = load(&ctx, &json("drop"))?;
    assert_eq!((data.splits.train.len(), data.splits.test.len()), (2, 1));
    assert_eq!(data.splits.train[1].id, "train-4");
    assert!(ctx.said().contains("rows without a text left out: 1 of test, 2 of train"));
    let one = load(&ctx, r#"{"path": "train.csv", "empty": "drop", "split": {"test": 0.0}}"#)?;
    assert_eq!(one.splits.train.len(), 2);
    assert!(ctx.said().contains("rows without a text left out, before the split: 2"));
    Ok(())
}

#[test]
fn what_is_not_there_is_named() -> Outcome {
    let ctx = TestCtx::new(1)?;
    ctx.file("a.csv", "text,label\none,a\ntwo,a\nthree,b\nfour,b\n")?;
    let message = |json: &str| load(&ctx, json).err().unwrap_or_default();
    let few = message(r#"{"path": "a.csv", "split": {"test": 0.5}, "shots": 2}"#);
    assert!(
        few.starts_with("`shots` asks for 2 rows of class `a`; train has 1 / ask for at most 1"),
        "{few}"
    );
    let empty = message(r#"{"path": "a.csv", "split": {"dev": 0.1}}"#);
    assert!(empty.starts_with("the dev split would be empty: 0.1 of 4 rows"), "{empty}");
    let large = message(r#"{"path": "a.csv", "split": {"test": 3}}"#);
    assert!(large.starts_with("`split.test` asks for 3 rows; at most 2 can be given"), "{large}");
    load(&ctx, r#"{"path": "a.csv", "split": {"test": 0.7}}"#)?;
    assert!(ctx.said().contains("test has 2 rows instead of 3"), "{}", ctx.said());
    ctx.file("one.csv", "text,label\none,a\ntwo,a\n")?;
    assert!(message(r#"{"path": "one.csv"}"#).starts_with("there is only one class, `a`"));
    assert!(message(r#"{"path": "a.csv", "label": "lable"}"#).contains("did you mean `label`?"));
    let missing = config(r#"{"path": "b.csv"}"#)?.externals(ctx.folder.path(), None);
    assert!(missing.err().is_some_and(|error| error.to_string() == "there is no file `b.csv`"));
    Ok(())
}

#[test]
fn files_stand_in_the_externals_with_their_digests() -> Outcome {
    let ctx = TestCtx::new(1)?;
    ctx.file("a.csv", "one")?;
    ctx.file("b.csv", "two")?;
    let load = config(r#"{"files": {"train": "a.csv", "dev": "b.csv"}}"#)?;
    let before = load.externals(ctx.folder.path(), None).map_err(|error| error.to_string())?;
    assert_eq!(before.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["a.csv", "b.csv"]);
    ctx.file("b.csv", "three")?;
    let after = load.externals(ctx.folder.path(), None).map_err(|error| error.to_string())?;
    assert!(before[0] == after[0] && before[1] != after[1]);
    Ok(())
}

#[test]
fn the_configuration_is_checked_before_anything_runs() -> Outcome {
    let problems = |json: &str| -> Result<Vec<String>, serde_json::Error> {
        let errors: Vec<CheckError> = config(json)?.check(&[]).err().unwrap_or_default();
        Ok(errors.into_iter().map(|error| error.field).collect())
    };
    assert_eq!(problems(r#"{"path": "a.csv"}"#)?, Vec::<String>::new());
    assert_eq!(problems("{}")?, [""]);
    assert_eq!(
        problems(r#"{"path": "a", "files": {"train": "b"}, "split": {"test": 0.5}}"#)?,
        ["files", "split"]
    );
    assert_eq!(
        problems(r#"{"path": "a", "split": {"test": -0.5, "dev": 1.5}, "shots": 0}"#)?,
        ["split.test", "split.dev", "shots"]
    );
    assert_eq!(problems(r#"{"path": "a", "split": {"test": 1}}"#)?, ["split.test"]);
    assert_eq!(problems(r#"{"path": "a", "split": {"test": 0.6, "dev": 0.4}}"#)?, ["split"]);
    assert_eq!(
        problems(r#"{"path": "a", "dev_shots": 3, "text": "x", "label": "x"}"#)?,
        ["label", "dev_shots"]
    );
    assert!(config(r#"{"path": "a", "shot": 3}"#).is_err());
    assert_eq!(
        problems(
            r#"{"path": "a.csv", "separator": ";;", "encoding": "utf-9", "quoting": "none"}"#
        )?,
        ["separator", "encoding"]
    );
    assert_eq!(
        problems(
            r#"{"path": "a.pq", "separator": "tab", "encoding": "latin1", "quoting": "double"}"#
        )?,
        ["separator", "quoting", "encoding"]
    );
    assert_eq!(
        problems(r#"{"files": {"train": "a.jsonl", "test": "b.tsv.gz"}, "separator": ","}"#)?,
        Vec::<String>::new()
    );
    assert!(config(r#"{"path": "a", "quoting": "single"}"#).is_err());
    assert!(config(r#"{"path": "a", "empty": "keep"}"#).is_err());
    Ok(())
}

#[test]
fn what_is_known_beforehand_follows_the_configuration() -> Outcome {
    let fact = |json: &str| -> Result<(bool, bool, bool), Box<dyn Error>> {
        let load = config(json)?;
        match load.check(&[]) {
            Ok(Fact::Data(data)) => Ok((data.has_dev, data.has_test, load.uses_seed())),
            other => Err(format!("{other:?}").into()),
        }
    };
    assert_eq!(fact(r#"{"path": "a"}"#)?, (false, false, false));
    assert_eq!(fact(r#"{"path": "a", "split": {"test": 0.2}, "shots": 8}"#)?, (false, true, true));
    assert_eq!(
        fact(r#"{"files": {"train": "a", "dev": "b"}, "dev_shots": 1}"#)?,
        (true, false, true)
    );
    assert_eq!(config(r#"{"path": "a"}"#)?.duplicates, Duplicates::Error);
    Ok(())
}

fn unlabelled(data: &DataSet) -> Vec<(&str, &str)> {
    data.unlabelled.iter().map(|text| (text.id.as_str(), text.text.first.as_str())).collect()
}

#[test]
fn texts_without_labels_stand_nowhere_else() -> Outcome {
    let ctx = TestCtx::new(1)?;
    ctx.file("train.csv", "text,label\none,a\ntwo,b\n")?;
    ctx.file("test.csv", "text,label\nthree,a\n")?;
    // Another column is no matter, and there is none for labels.
    ctx.file("pool.csv", "number,text\n1,ONE\n2,four\n3,five\n4,Four\n")?;
    let json = |more: &str| {
        format!(
            r#"{{"files": {{"train": "train.csv", "test": "test.csv"}},
                 "unlabelled": {{"path": "pool.csv"}}{more}}}"#
        )
    };
    let data = load(&ctx, &json(""))?;
    assert_eq!(unlabelled(&data), [("unlabelled-2", "four"), ("unlabelled-3", "five")]);
    let told = "texts without labels left out: 1 in train, 1 copies of others";
    assert!(ctx.said().contains(told), "{}", ctx.said());
    ctx.file("pool.csv", "number,text\n1,ONE\n2,four\n3,  Three\n")?;
    let message = load(&ctx, &json("")).err().unwrap_or_default();
    assert!(
        message.starts_with(
            "texts without labels that stand in test or dev: 1, such as\n  unlabelled-3, in test: \
             \"  Three\" / what has learnt from a text"
        ),
        "{message}"
    );
    let dropped = load(&ctx, &json(r#", "duplicates": "drop""#))?;
    assert_eq!(unlabelled(&dropped), [("unlabelled-2", "four")]);
    assert!(ctx.said().contains("left out: 1 in train, 1 in test or dev"), "{}", ctx.said());
    let kept = load(&ctx, &json(r#", "duplicates": "allow""#))?;
    assert_eq!(unlabelled(&kept).len(), 2);
    assert!(ctx.said().contains("that stand in test or dev too: 1"), "{}", ctx.said());
    ctx.file("pool.csv", "text\none\n")?;
    let message = load(&ctx, &json("")).err().unwrap_or_default();
    assert!(message.starts_with("none of 1 texts without labels is left"), "{message}");
    for (name, content) in
        [("pool.jsonl", "{\"text\": \"six\", \"n\": 1}\n"), ("pool.txt", "text\nsix\n")]
    {
        ctx.file(name, content)?;
        let data = load(&ctx, &json("").replace("pool.csv", name))?;
        assert_eq!(unlabelled(&data), [("unlabelled-1", "six")], "{name}");
    }
    ctx.file("pool.jsonl", "{\"body\": \"six\"}\n")?;
    let message = load(&ctx, &json("").replace("pool.csv", "pool.jsonl")).err().unwrap_or_default();
    assert!(message.contains("no column `text`; it has `body`"), "{message}");
    Ok(())
}

#[test]
fn what_shots_leave_over_forgets_its_labels() -> Outcome {
    let (one, two) = (TestCtx::new(1)?, TestCtx::new(2)?);
    let json = r#"{"path": "a.csv", "split": {"test": 20}, "shots": 4,
                   "unlabelled": {"rest": true, "path": "pool.tsv"}}"#;
    let mut drawn = Vec::new();
    for ctx in [&one, &two] {
        ctx.file("a.csv", &hundred())?;
        ctx.file("pool.tsv", "number\ttext\n1\tother\n")?;
        let data = load(ctx, json)?;
        let texts = unlabelled(&data);
        assert_eq!((texts.len(), texts[0]), (69, ("unlabelled-1", "other")));
        let train = ids(&data.splits.train);
        let rest: BTreeSet<&str> = texts.iter().skip(1).map(|(id, _)| *id).collect();
        assert!(rest.is_disjoint(&train) && rest.is_disjoint(&ids(&data.splits.test)));
        drawn.push(rest.into_iter().map(str::to_owned).collect::<Vec<_>>());
    }
    assert_ne!(drawn[0], drawn[1], "the draw is that of the seed");
    Ok(())
}

#[test]
fn the_source_of_texts_without_labels_is_checked() -> Outcome {
    let fields = |json: &str| -> Result<Vec<String>, serde_json::Error> {
        let errors = config(json)?.check(&[]).err().unwrap_or_default();
        Ok(errors.into_iter().map(|error| error.field).collect())
    };
    assert_eq!(fields(r#"{"path": "a.csv", "unlabelled": {}}"#)?, ["unlabelled"]);
    assert_eq!(fields(r#"{"path": "a.csv", "unlabelled": {"rest": true}}"#)?, ["unlabelled.rest"]);
    let short = config(r#"{"path": "a.csv", "unlabelled": "pool.csv"}"#)?;
    assert_eq!(short, config(r#"{"path": "a.csv", "unlabelled": {"path": "pool.csv"}}"#)?);
    assert_eq!(short, config(&serde_json::to_string(&short)?)?);
    let sound = config(r#"{"path": "a.csv", "shots": 2, "unlabelled": {"rest": true}}"#)?;
    let fact = sound.check(&[]);
    assert!(matches!(&fact, Ok(Fact::Data(data)) if data.unlabelled), "{fact:?}");
    Ok(())
}
