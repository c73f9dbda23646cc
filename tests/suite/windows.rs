//! Texts that are longer than the input, read in windows.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use pipe::text::{Combine, Tokenizer, Windows};

use super::project::{Project, TestError, data};

/// Compares with `transformers` (tests/record_windows.py).
#[test]
fn windows_have_the_ids_of_transformers() -> Result<(), TestError> {
    let recorded: Value = serde_json::from_slice(&fs_err::read(data("windows.json"))?)?;
    let texts: Vec<String> = serde_json::from_value(recorded["texts"].clone())?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let cases = recorded["cases"].as_array().ok_or("no cases")?;
    assert!(cases.len() >= 30);
    for case in cases {
        let text = |name: &str| case[name].as_str().ok_or("no text");
        let number = |name: &str| case[name].as_u64().map(|it| it as usize).ok_or("no number");
        let folder = data(text("model")?);
        let mut files = BTreeMap::new();
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            files.insert(name.to_owned(), fs_err::read(Path::new(&folder).join(name))?);
        }
        let config = files.get_mut("tokenizer_config.json").ok_or("no settings")?;
        let mut settings: Value = serde_json::from_slice(config)?;
        settings["truncation_side"] = case["side"].clone();
        *config = serde_json::to_vec(&settings)?;
        let tokenizer = Tokenizer::read(&files, None)?;
        let windows = Windows { stride: number("stride")?, combine: Combine::Mean };
        let found = tokenizer.encode_windows(&texts, number("length")?, Some(windows))?;
        let found: Vec<Vec<Vec<u32>>> =
            found.iter().map(|text| text.all_ids().cloned().collect()).collect();
        let expected: Vec<Vec<Vec<u32>>> = serde_json::from_value(case["windows"].clone())?;
        assert_eq!(found, expected, "{case}");
    }
    Ok(())
}

/// A project whose texts tell their class by their last words alone.
fn late_words() -> Result<Project, TestError> {
    let project = Project::new(1)?;
    let mut table = "text,label\n".to_owned();
    for number in 0..96 {
        let filler = ["the", "a", "and", "it", "we", "they"];
        // Two texts, one of each class, have the same words before the last ones.
        let pair = number / 2;
        let words: Vec<&str> =
            (0..30 + pair % 17).map(|at| filler[(pair * 7 + at * at) % 6]).collect();
        let (word, label) = if number % 2 == 0 { ("good", "up") } else { ("wrong", "down") };
        table += &format!("{} {number} {word} {word},{label}\n", words.join(" "));
    }
    project.write("late.csv", &table)?;
    Ok(project)
}

fn pipeline(model: &str, windows: &str) -> String {
    format!(
        "\
version: 1
stages:
  data: {{ load: {{ path: late.csv, split: {{ dev: 0.25, test: 0.25 }} }} }}
  tuned:
    train:
      data: data
      model: {{ pretrained: \"{model}\", head: mean }}
      epochs: 12
      max_length: 16
      batch_size: 8
      dropout: 0.0
      {windows}
      optimizer: {{ adamw: {{ learning_rate: 3e-3, head_learning_rate: 1e-2 }} }}
  score: {{ evaluate: {{ model: tuned, data: data }} }}
"
    )
}

#[test]
fn all_of_a_long_text_is_learnt_from_and_scored() -> Result<(), TestError> {
    let project = late_words()?;
    let model = data("tiny-bert");
    let accuracy = |windows: &str| -> Result<(f64, String), TestError> {
        project.write("x.yaml", &pipeline(&model, windows))?;
        let said = project.run(&[])?;
        Ok((project.evaluation("score")?.metrics["accuracy"], said.err))
    };
    let (cut, told) = accuracy("")?;
    assert!(told.contains("train texts are truncated to 16 tokens"), "{told}");
    for windows in
        ["windows: { stride: 4 }", "windows: { stride: 4, combine: max }\n      batch_size: 8"]
    {
        let windows = windows.replace("\n      batch_size: 8", "");
        let (whole, told) = accuracy(&windows)?;
        assert!(whole > 0.9 && whole > cut + 0.2, "{windows}: {whole}, cut {cut}");
        assert!(told.contains("of the train split, 48 of 48 texts have more than 16"), "{told}");
        assert!(!told.contains("truncated"), "{told}");
    }
    let again = project.run(&[])?;
    assert!(again.err.contains("cached"), "{}", again.err);
    Ok(())
}

/// The steps are the same in micro-batches, where a text's windows stay together.
#[test]
fn windows_train_alike_in_parts() -> Result<(), TestError> {
    let project = late_words()?;
    let model = data("tiny-bert");
    let mut weights = Vec::new();
    for more in ["", "\n      max_tokens_per_step: 200"] {
        let windows = format!("windows: {{ stride: 4 }}{more}");
        project.write("x.yaml", &pipeline(&model, &windows).replace("epochs: 12", "epochs: 1"))?;
        project.run(&[])?;
        weights.push(project.weights("tuned")?);
    }
    for (name, whole) in &weights[0] {
        for (one, other) in whole.iter().zip(&weights[1][name]) {
            assert!((one - other).abs() < 1e-4, "{name}: {one} {other}");
        }
    }
    Ok(())
}

#[test]
fn windows_that_do_not_fit_are_refused() -> Result<(), TestError> {
    let project = late_words()?;
    let model = data("tiny-bert");
    for (windows, part) in [
        ("windows: { stride: 14 }", "expected less than 14, found 14"),
        ("windows: { step: 4 }", "unknown"),
        ("windows: { combine: sum }", "`sum`"),
        ("backend: training_api\n      windows: { stride: 4 }", "one row for each text"),
    ] {
        let file = pipeline(&model, windows).replace(", head_learning_rate: 1e-2", "");
        project.write("x.yaml", &file)?;
        let said = project.pipe(&["validate", "x.yaml"])?;
        assert_ne!(said.code, Some(0), "{windows}");
        assert!(said.err.contains(part), "{windows}: {}", said.err);
    }
    Ok(())
}
