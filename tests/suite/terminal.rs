//! Labels, texts, names and arguments of others never steer the terminal.

use super::project::{Project, Said, TestError, data};

/// Titles, the clipboard, colours, a cleared screen, marks of direction, and what nobody sees.
const HOSTILE: [&str; 2] =
    ["pos\u{1b}[2J\u{202e}\nmore", "neg\u{1b}]0;t\u{7}\u{9b}31m\u{200b}\tcell"];

fn project() -> Result<Project, TestError> {
    let pipeline = format!(
        "\
version: 1
stages:
  data: {{ load: {{ path: texts.csv, split: {{ test: 0.3, dev: 0.2 }} }} }}
  more: {{ augment: {{ data: data, methods: [ {{ aeda: {{ copies: 1 }} }} ] }} }}
  plain:
    train: {{ data: data, model: {{ pretrained: {0} }}, epochs: 1, batch_size: 16 }}
  tuned:
    train: {{ data: more, model: {{ pretrained: {0} }}, epochs: 2, batch_size: 16 }}
  plain_score: {{ evaluate: {{ model: plain, data: data }} }}
  score: {{ evaluate: {{ model: tuned, data: data }} }}
",
        data("tiny-bert"),
    );
    let project = Project::with(0, &pipeline)?;
    let rows = (0..80).map(|row| {
        let text = format!("good {row} \u{1b}]52;c;cHduZWQ=\u{7} lovely \u{202e} here");
        format!("\"{text}\",\"{}\"\n", HOSTILE[row % 2])
    });
    project.write("texts.csv", &format!("text,label\n{}", rows.collect::<String>()))?;
    Ok(project)
}

/// Fails on whatever a terminal would obey or hide.
fn assert_harmless(said: &Said, what: &str) {
    for text in [&said.out, &said.err] {
        let bad = text.chars().find(|c| {
            (c.is_control() && !"\n\t".contains(*c))
                || matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(bad, None, "{what}: {text:?}");
    }
}

#[test]
fn every_text_for_people_passes_one_door() -> Result<(), TestError> {
    let project = project()?;
    assert_harmless(&project.run(&["-v"])?, "run");
    for arguments in [
        &["show", "-v", "--confusion"][..],
        &["show", "--md"],
        &["show", "--augmented", "more", "-v"],
        &["compare", "latest", "--examples=plain"],
        &["compare", "latest", "--md", "--examples=plain"],
        &["ls"],
        &["verify", "latest", "-v"],
        // Names and arguments.
        &["show", "x\u{1b}[31m\u{202e}"],
        &["show", "--augmented", "m\u{1b}[2J"],
        &["run", "no\u{1b}]0;t\u{7}.yaml"],
        &["run", "x.yaml", "-S", "stages.data.load.\u{1b}[31m=1"],
        &["run", "x.yaml", "-S", "stages.data.load.path=\u{1b}[31m\u{9b}2J"],
        &["run", "x.yaml", "-S", "name=a lot of words before it wraps at the end \u{1b}[31m\u{7}"],
        &["compare", "a\u{9b}31m.csv"],
        // What `clap` quotes.
        &["run", "x.yaml", "--threads", "\u{1b}[31m"],
        &["--\u{1b}]52;c;eA==\u{7}"],
        &["sh\u{202e}ow"],
        &["sweep", "x.yaml", "\u{1b}[2J"],
    ] {
        assert_harmless(&project.pipe(arguments)?, &format!("{arguments:?}"));
    }
    Ok(())
}

#[test]
fn labels_are_shown_and_break_no_table() -> Result<(), TestError> {
    let project = project()?;
    project.run(&["--until", "score"])?;
    let said = project.pipe(&["show", "--confusion"])?;
    assert!(said.out.contains("pos\\u{1b}[2J\\u{202e}\\nmore"), "{}", said.out);
    let said = project.command(&["show", "--confusion"]).env("COLUMNS", "500").output()?;
    let said = Said::new(said);
    let rows = said.out.lines().filter(|line| line.starts_with("│ ")).count();
    assert_eq!(rows, 2 + 3, "{}", said.out);
    Ok(())
}

#[test]
fn data_for_programs_stay_data() -> Result<(), TestError> {
    let project = project()?;
    project.run(&["--until", "score"])?;
    let said = project.pipe(&["show", "--augmented", "more", "--json", "--top", "1"])?;
    let rows: serde_json::Value = serde_json::from_str(&said.out)?;
    assert!(rows[0]["text"].as_str().is_some_and(|text| text.contains("\u{1b}]52;c;")), "{rows}");
    assert!(HOSTILE.iter().any(|label| rows[0]["label"] == *label), "{rows}");
    let said = project.pipe(&["show", "--csv", "--metric", &format!("f1/{}", HOSTILE[0])])?;
    assert!(said.out.contains("\u{1b}[2J"), "{said:?}");
    Ok(())
}
