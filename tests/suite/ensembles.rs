//! One model of several: ensembles of seeds and of stages, and soups of their weights.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use pipe::stages::Evaluation;

use super::project::{Project, TestError, data, tensors};

const HEAD: &str = "version: 1\nseed: 3\nstages:\n  data: { load: { path: texts.csv, split: { \
                    test: 0.3, dev: 0.2 } } }\n";

/// Returns a training of a tiny model on few texts.
fn training(name: &str, model: &str, settings: &str) -> String {
    let model = data(model);
    format!(
        "  {name}: {{ train: {{ data: data, model: {{ pretrained: {model} }}, batch_size: 8, \
         {settings} }} }}\n"
    )
}

fn stage(name: &str, kind: &str, settings: &str) -> String {
    format!("  {name}: {{ {kind}: {{ {settings} }} }}\n")
}

const QUICK: &str = "epochs: 2, dropout: 0.1, optimizer: { adamw: { learning_rate: 1e-3 } }";

const NEAR: &str = "epochs: 2, optimizer: { adamw: { learning_rate: 1e-3 } }, method: { \
                    contrastive: { classifier: { knn: { k: 3 } } } }";

/// A run's records of a stage: seed, key and outcome.
fn records(project: &Project, stage: &str) -> Result<Vec<(u64, String, String)>, TestError> {
    let provenance = project.provenance()?;
    let stages = provenance["stages"].as_array().ok_or("no stages")?;
    let of_stage = stages.iter().filter(|record| record["stage"] == stage);
    of_stage
        .map(|record| {
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            Ok((record["seed"].as_u64().ok_or("no seed")?, text("key"), text("outcome")))
        })
        .collect()
}

fn evaluation(project: &Project, key: &str) -> Result<Evaluation, TestError> {
    let folder = project.path(".pipe/cache").join(key).join("artifact");
    Ok(Evaluation::read(&folder).map_err(|error| error.to_string())?)
}

/// Returns log-linear pools of probabilities, by text: Π pᵢ^wᵢ / Z.
fn pool(parts: &[(Evaluation, f64)]) -> Vec<Vec<f64>> {
    let rows = parts[0].0.predictions.len();
    let pooled = |row: usize| {
        let classes = parts[0].0.labels.len();
        let product = |class: usize| -> f64 {
            let log = |(part, weight): &(Evaluation, f64)| {
                weight * f64::from(part.predictions[row].probabilities[class]).ln()
            };
            parts.iter().map(log).sum::<f64>().exp()
        };
        let products: Vec<f64> = (0..classes).map(product).collect();
        let sum: f64 = products.iter().sum();
        products.into_iter().map(|product| product / sum).collect()
    };
    (0..rows).map(pooled).collect()
}

fn assert_near(found: &Evaluation, expected: &[Vec<f64>]) {
    assert_eq!(found.predictions.len(), expected.len());
    for (row, expected) in found.predictions.iter().zip(expected) {
        for (found, expected) in row.probabilities.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}

fn of_seeds() -> String {
    [
        HEAD.to_owned(),
        training("tuned", "tiny-bert", QUICK),
        stage("voted", "ensemble", "of: tuned, seeds: 3"),
        stage("score", "evaluate", "model: voted, data: data"),
        stage("alone", "evaluate", "model: tuned, data: data"),
    ]
    .concat()
}

/// The trainings under other seeds are those of runs with these seeds, and are kept for them.
#[test]
fn an_ensemble_of_seeds_pools_the_trainings_of_these_seeds() -> Result<(), TestError> {
    let project = Project::with(80, &of_seeds())?;
    let said = project.run(&["--threads", "1"])?;
    let trainings = records(&project, "tuned")?;
    assert_eq!((trainings.len(), trainings[0].0), (3, 3), "{}", said.err);
    let voted = project.evaluation("score")?;
    let rows = project.results()?;
    let row = |stage: &str| rows.iter().find(|row| row.stage == stage).ok_or("no row");
    let (all, one) = (row("score")?, row("alone")?);
    assert_eq!((rows.len(), &all.method[..]), (2, "ensemble"));
    assert_eq!(all.encodings, one.encodings.map(|count| 3 * count));
    assert_eq!(all.steps, 3 * one.steps);
    let summary = |stage: &str| -> Result<serde_json::Value, TestError> {
        let file = project.artifact(stage)?.join("training.json");
        Ok(serde_json::from_slice(&fs_err::read(file)?)?)
    };
    let seconds = |of: &serde_json::Value| of["summary"]["seconds"].as_f64().unwrap_or_default();
    assert!(seconds(&summary("voted")?) > seconds(&summary("tuned")?));

    let listed: Vec<String> = trainings.iter().map(|(seed, ..)| seed.to_string()).collect();
    project.run(&["--threads", "1", "--until", "alone", "--seeds", &listed.join(",")])?;
    for ((_, key, outcome), (_, first, _)) in records(&project, "tuned")?.iter().zip(&trainings) {
        assert_eq!((outcome.as_str(), key), ("cached", first));
    }
    let parts: Result<Vec<_>, TestError> = records(&project, "alone")?
        .iter()
        .map(|(_, key, _)| Ok((evaluation(&project, key)?, 1.0 / 3.0)))
        .collect();
    let parts = parts?;
    assert_ne!(parts[0].0.predictions, parts[1].0.predictions, "seeds make a difference");
    assert_near(&voted, &pool(&parts));

    // What an ensemble reads is kept, explained and found again.
    project.pipe(&["gc", "--keep-days", "0"])?;
    let again = project.run(&["--threads", "1"])?;
    assert!(again.err.contains("nothing to do"), "{}", again.err);
    let planned = project.run(&["--threads", "1", "--dry-run"])?;
    let other = format!("tuned (seed {})", trainings[1].0);
    assert!(planned.out.contains(&other), "{}", planned.out);
    let graph = project.pipe(&["graph", "x.yaml"])?;
    assert_eq!(graph.out.matches("of").count(), 1, "{}", graph.out);
    project.write("x.yaml", &of_seeds().replace("epochs: 2", "epochs: 1"))?;
    let why = project.pipe(&["why", "x.yaml", "voted", "--threads", "1"])?;
    assert!(why.out.contains(&other) && why.out.contains("`epochs`: 2 -> 1"), "{}", why.out);
    Ok(())
}

#[test]
fn killed_ensembles_end_as_undisturbed_ones() -> Result<(), TestError> {
    let pipeline = of_seeds().replace("epochs: 2", "epochs: 8")
        + &stage(
            "soup",
            "ensemble",
            "of: tuned, seeds: 3, combine: { greedy_soup: { data: data } }",
        );
    let (calm, killed) = (Project::with(80, &pipeline)?, Project::with(80, &pipeline)?);
    for milliseconds in [100, 500, 900] {
        let mut command = killed.command(&["run", "x.yaml", "--threads", "1"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        sleep(Duration::from_millis(milliseconds));
        child.kill()?;
        child.wait()?;
    }
    killed.run(&["--threads", "1"])?;
    calm.run(&["--threads", "1", "-j", "2"])?;
    calm.outcome()?.assert_same(&killed.outcome()?);
    Ok(())
}

#[test]
fn models_that_differ_in_all_but_labels_are_pooled_by_their_weights() -> Result<(), TestError> {
    let pipeline = [
        HEAD.to_owned(),
        training("tuned", "tiny-bert", QUICK),
        training("other", "tiny-roberta", "method: { probe: {} }").replace("batch_size: 8, ", ""),
        stage("voted", "ensemble", "models: [tuned, other], weights: [3, 1]"),
        stage("nested", "ensemble", "models: [voted, other]"),
        stage("score", "evaluate", "model: voted, data: data"),
        stage("of_nested", "evaluate", "model: nested, data: data"),
        stage("one", "evaluate", "model: tuned, data: data"),
        stage("two", "evaluate", "model: other, data: data"),
    ]
    .concat();
    let project = Project::with(80, &pipeline)?;
    project.run(&["--threads", "1"])?;
    let [one, two] = [project.evaluation("one")?, project.evaluation("two")?];
    let parts = [(one, 0.75), (two, 0.25)];
    let voted = project.evaluation("score")?;
    assert_near(&voted, &pool(&parts));
    let [(_, _), two] = parts;
    let nested = project.evaluation("of_nested")?;
    assert_near(&nested, &pool(&[(voted, 0.5), (two.0, 0.5)]));
    // Each of its folders is a model of its own.
    let folder = project.artifact("voted")?.join("members");
    for (place, stage) in ["tuned", "other"].into_iter().enumerate() {
        let (own, first) = (folder.join(place.to_string()), project.artifact(stage)?);
        for file in ["model.onnx", "model.safetensors", "tokenizer.json"] {
            assert!(fs_err::read(own.join(file))? == fs_err::read(first.join(file))?, "{file}");
        }
    }
    Ok(())
}

type Tensors = BTreeMap<String, Vec<f32>>;

fn mean(parts: &[Tensors]) -> Tensors {
    let values = |name: &String, place: usize| {
        let sum: f64 = parts.iter().map(|part| f64::from(part[name][place])).sum();
        (sum / parts.len() as f64) as f32
    };
    let all = |(name, own): (&String, &Vec<f32>)| {
        (name.clone(), (0..own.len()).map(|place| values(name, place)).collect())
    };
    parts[0].iter().map(all).collect()
}

#[test]
fn soups_are_means_of_weights_that_dev_chooses() -> Result<(), TestError> {
    let rate = |rate: &str| QUICK.replace("1e-3", rate).replace("epochs: 2", "epochs: 16");
    // One has learnt nothing, and one has been thrown far away.
    let rates = [("good", "1e-3"), ("fast", "3e-3"), ("still", "1e-9"), ("wild", "3")];
    let greedy = |metric: &str| {
        format!(
            "models: [wild, good, still, fast], combine: {{ greedy_soup: {{ data: data{metric} }} \
             }}"
        )
    };
    let mut pipeline = HEAD.to_owned();
    for (name, value) in rates {
        pipeline += &training(name, "tiny-bert", &rate(value));
        let on_dev = format!("model: {name}, data: data, split: dev");
        pipeline += &stage(&format!("of_{name}"), "evaluate", &on_dev);
    }
    pipeline += &stage("uniform", "ensemble", "models: [good, fast, still], combine: uniform_soup");
    pipeline += &stage("greedy", "ensemble", &greedy(""));
    pipeline += &stage("by_loss", "ensemble", &greedy(", metric: loss"));
    pipeline += &stage("score", "evaluate", "model: greedy, data: data, split: dev");
    pipeline += &stage("of_loss", "evaluate", "model: by_loss, data: data, split: dev");
    pipeline += &stage("twice", "evaluate", "model: uniform, data: data");
    let project = Project::with(120, &pipeline)?;
    project.run(&["--threads", "1"])?;
    let weights = |name: &str| -> Result<Tensors, TestError> { project.weights(name) };
    let three = [weights("good")?, weights("fast")?, weights("still")?];
    assert_eq!(weights("uniform")?, mean(&three));
    for (soup, scored, metric) in [("greedy", "score", "accuracy"), ("by_loss", "of_loss", "nll")] {
        let file = fs_err::read(project.artifact(soup)?.join("training.json"))?;
        let training: serde_json::Value = serde_json::from_slice(&file)?;
        let told = training["summary"]["chosen"].as_str().ok_or("nothing told")?;
        let taken = told.split(['(', ')']).nth(1).ok_or("no list")?.to_owned();
        let names: Vec<String> = taken.split(", ").map(|name| name.replace('`', "")).collect();
        assert!(!names.contains(&"wild".to_owned()), "{told}");
        let parts: Result<Vec<Tensors>, TestError> =
            names.iter().map(|name| weights(name)).collect();
        assert_eq!(weights(soup)?, mean(&parts?), "{told}");
        let better = |one: f64, two: f64| if metric == "nll" { one <= two } else { one >= two };
        let value = project.evaluation(scored)?.metrics[metric];
        for (name, _) in rates {
            let alone = project.evaluation(&format!("of_{name}"))?.metrics[metric];
            assert!(better(value, alone), "{told}");
        }
        // An ordinary model, whose training is that of all.
        let encodings = training["summary"]["encodings"].as_u64().ok_or("no count")?;
        let file = fs_err::read(project.artifact("good")?.join("training.json"))?;
        let one: serde_json::Value = serde_json::from_slice(&file)?;
        assert_eq!(Some(encodings), one["summary"]["encodings"].as_u64().map(|one| 4 * one));
        assert_eq!(training["summary"]["parameters"], one["summary"]["parameters"]);
        assert!(tensors(&project.artifact(soup)?.join("model.safetensors"))?.len() > 10);
    }
    Ok(())
}

/// The dev texts that have chosen a soup are as good as learnt from.
#[test]
fn what_chose_a_soup_is_not_scored() -> Result<(), TestError> {
    let soup =
        "models: [tuned, again], combine: { greedy_soup: { data: more, duplicates: allow } }";
    let pipeline = [
        HEAD.to_owned(),
        "  more: { load: { path: texts.csv, split: { test: 0.1, dev: 0.6 } } }\n".to_owned(),
        training("tuned", "tiny-bert", QUICK),
        training("again", "tiny-bert", &QUICK.replace("1e-3", "2e-3")),
        stage("soup", "ensemble", soup),
        stage("alone", "evaluate", "model: tuned, data: data"),
        stage("score", "evaluate", "model: soup, data: data"),
    ];
    let project = Project::with(60, &pipeline.concat())?;
    let said = project.pipe(&["run", "x.yaml", "--keep-going"])?;
    assert!(said.err.contains("alone: done") && !said.err.contains("score: done"), "{}", said.err);
    assert!(said.err.contains("stage `score` failed"), "{}", said.err);
    Ok(())
}

#[test]
fn models_that_do_not_go_together_are_refused() -> Result<(), TestError> {
    let said = |stages: &str, command: &str| -> Result<String, TestError> {
        let pipeline = [
            HEAD.to_owned(),
            "  bare: { load: { path: texts.csv, split: { test: 0.3 } } }\n".to_owned(),
            "  more: { load: { path: more.csv, split: { test: 0.3, dev: 0.2 } } }\n".to_owned(),
            training("tuned", "tiny-bert", QUICK),
            training("again", "tiny-bert", &QUICK.replace("1e-3", "2e-3")),
            training("short", "tiny-bert", &format!("{QUICK}, max_length: 8")),
            training("mean", "tiny-bert", QUICK).replace("tiny-bert }", "tiny-bert, head: mean }"),
            training("roberta", "tiny-roberta", QUICK),
            training("others", "tiny-bert", QUICK).replace("data: data", "data: more"),
            training("near", "tiny-bert", NEAR),
            training("nearer", "tiny-bert", &NEAR.replace("1e-3", "2e-3")),
            stage("voted", "ensemble", "models: [tuned, mean]"),
            stage("it", "ensemble", stages),
        ]
        .concat();
        let project = Project::with(60, &pipeline)?;
        let texts = fs_err::read_to_string(project.path("texts.csv"))?;
        project.write("more.csv", &texts.replace(",neutral", ",other"))?;
        let said = project.pipe(&[command, "x.yaml"])?;
        assert_ne!(said.code, Some(0), "{stages}");
        Ok(said.err.replace(['│', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" "))
    };
    for (stages, wants) in [
        ("models: [tuned]", "expected from 2 to 16 models, found 1"),
        ("{}", "expected from 2 to 16 models, found 0"),
        ("models: [tuned, tuned]", "`tuned` is listed twice"),
        ("models: [tuned, nothing]", "unknown stage `nothing`"),
        ("models: [tuned, data]", "expected a trained model, found a data set"),
        ("of: tuned, seeds: 1", "expected from 2 to 16 seeds, found 1"),
        ("of: tuned, seeds: 17", "expected from 2 to 16 seeds, found 17"),
        ("of: nothing", "unknown stage `nothing`"),
        ("of: voted", "`voted` is no `train` stage that other seeds could change"),
        ("of: tuned, models: [tuned, mean]", "both say which models are combined"),
        ("models: [tuned, mean], seeds: 3", "`seeds` belongs to `of`"),
        ("of: tuned, weights: [1, 2]", "differ by chance alone count the same"),
        ("models: [tuned, mean], weights: [1]", "expected 2 weights, found 1"),
        ("models: [tuned, mean], weights: [1, 0]", "expected a number above 0, found 0"),
        (
            "models: [tuned, again], weights: [1, 2], combine: uniform_soup",
            "a soup is the mean of its models",
        ),
        ("models: [tuned, mean], combine: uniform_soup", "begins with another `model` than"),
        ("models: [tuned, roberta], combine: uniform_soup", "begins with another `model` than"),
        ("models: [tuned, short], combine: uniform_soup", "begins with another `max_length` than"),
        ("models: [tuned, voted], combine: uniform_soup", "`voted` is no `train` stage"),
        (
            "models: [tuned, again], combine: { greedy_soup: { data: bare } }",
            "`bare` has no dev split, which a greedy soup chooses by",
        ),
        ("models: [tuned, again], combine: { greedy_soup: {} }", "missing"),
    ] {
        let found = said(stages, "validate")?;
        assert!(found.contains(wants), "{stages}: {found}");
    }
    for (stages, wants) in [
        ("models: [tuned, others]", "the classes of `tuned` are"),
        (
            "models: [near, nearer], combine: uniform_soup",
            "`near` counts its nearest train texts, whose vectors have no mean",
        ),
        ("models: [tuned, again], combine: { greedy_soup: { data: more } }", "those of `more` are"),
    ] {
        let found = said(stages, "run")?;
        assert!(found.contains(wants), "{stages}: {found}");
    }
    Ok(())
}
