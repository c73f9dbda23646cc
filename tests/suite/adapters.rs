//! Adapters: their networks against what `peft` said of the same ones (tests/record_adapters.py),
//! and what training leaves of them.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use ndarray::ArrayD;
use safetensors::SafeTensors;
use serde_json::{Value, json};

use pipe::engine::backend::binding::Parameters;
use pipe::engine::{
    AdamW, Inference, Kernels, OptimizerConfig, ParameterGroup, Part, Place, Precision, Recipe,
    SessionTrainer, Trainer,
};
use pipe::model::adapters::{Adapter, Ia3, Lora, contract};
use pipe::model::{
    Adapts, Config, Dropout, Head, Network, NetworkOptions, Pretrained, TrainableNetwork, Weights,
};

use super::encoders::{
    Checked, KERNELS, LABELS, feeds, folder, json as recorded, loss_of_update, rows, runtime,
    with_targets, without_dropout,
};
use super::project::{Project, TestError, data, repository, tensors, wanted};

/// A recorded case.
struct Case {
    name: String,
    model: String,
    pretrained: Pretrained,
    whole: Weights,
    adapter: Arc<dyn Adapter>,
    expected: Value,
    /// What begins with a word, without it.
    tensors: BTreeMap<&'static str, Weights>,
}

fn cases() -> Result<Vec<Case>, TestError> {
    let all = recorded("adapters", "expected.json")?;
    let mut cases = Vec::new();
    for expected in all["cases"].as_array().ok_or("no cases")? {
        let model = expected["model"].as_str().ok_or("no model")?.to_owned();
        let name = format!("{model}-{}", expected["case"].as_str().ok_or("no case")?);
        let lora = &expected["adapters"]["lora"];
        let adapter: Arc<dyn Adapter> = match lora {
            Value::Null => Arc::new(Ia3),
            lora => Arc::new(Lora {
                rank: serde_json::from_value(lora["rank"].clone())?,
                alpha: serde_json::from_value(lora["alpha"].clone())?,
                dropout: 0.0,
                targets: serde_json::from_value(lora["targets"].clone())?,
                rank_stabilized: serde_json::from_value(lora["rs"].clone())?,
            }),
        };
        let mut found = BTreeMap::new();
        let file = fs_err::read(folder("adapters").join(format!("{name}.safetensors")))?;
        let file = SafeTensors::deserialize(&file)?;
        for kind in ["adapter", "gradient", "merged"] {
            let mut of_kind = Weights::new();
            for (name, view) in file.tensors() {
                let Some(name) = name.strip_prefix(&format!("{kind}/")) else { continue };
                let (numbers, _) = view.data().as_chunks::<4>();
                let values = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
                let array = ArrayD::from_shape_vec(view.shape().to_vec(), values)?;
                of_kind.insert(name.to_owned(), array);
            }
            found.insert(kind, of_kind);
        }
        let mut pretrained = Pretrained::read(&folder(&model))?;
        let whole = pretrained.weights.take()?;
        let (tensors, expected) = (found, expected.clone());
        cases.push(Case { name, model, pretrained, whole, adapter, expected, tensors });
    }
    assert!(cases.len() > 10, "{}", cases.len());
    Ok(cases)
}

fn network(
    config: &Config,
    kernels: Kernels,
    dropout: Dropout,
    adapter: Option<&Arc<dyn Adapter>>,
) -> Result<Network, TestError> {
    let word_rows = config.vocabulary;
    let options =
        NetworkOptions { kernels, dropout, word_rows, positions_in_graph: false, packed: false };
    let adapter = adapter.map(|adapter| Arc::clone(adapter) as Arc<dyn Adapts>);
    Ok(Network::adapted(config, Head::Auto, LABELS, options, adapter)?)
}

impl Case {
    fn weights(&self) -> Weights {
        let mut weights = self.whole.clone();
        weights.extend(self.tensors["adapter"].clone());
        weights
    }

    fn logits(&self, mut network: Network, weights: &Weights) -> Result<Vec<f32>, TestError> {
        network.graph.output("logits", network.output);
        let batch = recorded(&self.model, "expected.json")?["forward"].clone();
        let mut inference = Inference::new(runtime()?, &network.graph, &bound(weights)?)?;
        Ok(inference.run(feeds(&self.pretrained.config, &batch)?)?.into_iter().collect())
    }

    /// A trainer of the adapter alone.
    fn trainer(&self, config: &Config, kernels: Kernels) -> Result<SessionTrainer, TestError> {
        let network = network(config, kernels, Dropout::Keyed, Some(&self.adapter))?;
        let TrainableNetwork { network, loss } = TrainableNetwork::new(network, |network| {
            network.graph.weighted_cross_entropy(network.output)
        })?;
        let all = network.graph.parameters().map(|(name, _)| name.to_owned());
        let trainable: Vec<String> = all.filter(|name| network.graph.marks(name).adapter).collect();
        let group = ParameterGroup {
            parameters: trainable.clone(),
            learning_rate: 1e-3,
            weight_decay: 0.01,
            pull: 0.0,
        };
        let optimizer = OptimizerConfig {
            update: Arc::new(AdamW::default()),
            gradient_clip: None,
            groups: vec![group],
        };
        let recipe = Recipe { loss, trainable, optimizer, precision: Precision::Fp32 };
        Ok(SessionTrainer::new(runtime()?, network.graph, bound(&self.weights())?, recipe)?)
    }

    /// Takes in the recorded batch and returns its loss.
    fn step(&self, trainer: &mut SessionTrainer) -> Result<f64, TestError> {
        let step = recorded(&self.model, "expected.json")?["step"].clone();
        let feeds = with_targets(feeds(&self.pretrained.config, &step)?, &step["labels"])?;
        trainer.accumulate(runtime()?, feeds, Part::whole(5))?;
        loss_of_update(trainer, 0.0)
    }
}

fn bound(weights: &Weights) -> Result<Parameters, TestError> {
    Ok(Parameters::new(Place::Host, weights.iter().map(|(name, array)| (name.as_str(), array)))?)
}

fn farthest(found: &[f32], expected: impl IntoIterator<Item = f64>) -> f64 {
    let pairs = found.iter().zip(expected);
    pairs.map(|(found, wanted)| (f64::from(*found) - wanted).abs()).fold(0.0, f64::max)
}

#[test]
fn logits_are_those_of_peft() -> Checked {
    for case in cases()? {
        for kernels in KERNELS {
            let config = &case.pretrained.config;
            let network = network(config, kernels, Dropout::Off, Some(&case.adapter))?;
            let own = network.modules.iter().filter(|module| case.adapter.targets(module));
            assert!(own.count() > 0, "{}", case.name);
            let found = case.logits(network, &case.weights())?;
            let wanted = rows(&case.expected["logits"])?.concat();
            assert_eq!(found.len(), wanted.len());
            let error = farthest(&found, wanted);
            assert!(error < 1e-5, "{} {kernels:?}: {error:e} apart", case.name);
        }
    }
    Ok(())
}

#[test]
fn gradients_are_those_of_peft() -> Checked {
    for case in cases()? {
        for kernels in KERNELS {
            let config = without_dropout(case.pretrained.config.clone());
            let mut trainer = case.trainer(&config, kernels)?;
            let loss = case.step(&mut trainer)?;
            let wanted = case.expected["loss"].as_f64().ok_or("no loss")?;
            assert!((loss - wanted).abs() < 1e-6, "{} {kernels:?}: {loss} {wanted}", case.name);
            let (names, wanted) = (trainer.trainable().to_vec(), &case.tensors["gradient"]);
            assert_eq!(names.len(), wanted.len(), "{}", case.name);
            let norm = |array: &ArrayD<f32>| {
                array.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
            };
            for (index, name) in names.iter().enumerate() {
                let wanted = &wanted[name];
                let error = norm(&(&trainer.gradient(index)? - wanted)) / norm(wanted);
                assert!(error < 1e-5, "{} {kernels:?} {name}: {error:e} apart", case.name);
            }
        }
    }
    Ok(())
}

#[test]
fn merged_weights_are_those_of_peft() -> Checked {
    for case in cases()? {
        let config = &case.pretrained.config;
        let adapted = network(config, Kernels::Fused, Dropout::Off, Some(&case.adapter))?;
        let mut merged = case.weights();
        contract::merge(case.adapter.as_ref(), &adapted.modules, &mut merged)?;
        assert!(merged.keys().eq(case.whole.keys()), "{}", case.name);
        for (name, found) in &merged {
            let Some(wanted) = case.tensors["merged"].get(name) else {
                assert_eq!(*found, case.whole[name], "{} {name}", case.name);
                continue;
            };
            let error = (found - wanted).iter().copied().fold(0f32, |most, it| most.max(it.abs()));
            assert!(error < 1e-6, "{} {name}: {error:e} apart", case.name);
        }
        let plain = network(config, Kernels::Fused, Dropout::Off, None)?;
        let before = case.logits(adapted, &case.weights())?;
        let after = case.logits(plain, &merged)?;
        let error = farthest(&after, before.into_iter().map(f64::from));
        assert!(error < 1e-5, "{}: {error:e} apart", case.name);
    }
    Ok(())
}

/// The masks of an adapter are the same numbers with both kinds of kernels, and those of the
/// network are what they are without one: at its beginning an adapter changes nothing.
#[test]
fn an_adapter_has_masks_of_its_own() -> Checked {
    for mut case in cases()? {
        let expected = &case.expected["adapters"]["lora"];
        if expected.is_null() {
            continue;
        }
        let config = Config {
            hidden_dropout: 0.2,
            attention_dropout: 0.2,
            classifier_dropout: 0.2,
            ..case.pretrained.config.clone()
        };
        let rank = serde_json::from_value(expected["rank"].clone())?;
        let targets = serde_json::from_value(expected["targets"].clone())?;
        let lora = Lora { rank, alpha: 5.0, dropout: 0.3, targets, rank_stabilized: false };
        let without = {
            let still = Lora { dropout: 0.0, ..lora.clone() };
            case.adapter = Arc::new(still);
            let mut trainer = case.trainer(&config, Kernels::Fused)?;
            case.step(&mut trainer)?
        };
        case.adapter = Arc::new(lora);
        let mut losses = Vec::new();
        for kernels in KERNELS {
            losses.push(case.step(&mut case.trainer(&config, kernels)?)?);
        }
        assert!((losses[0] - losses[1]).abs() < 1e-5, "{}: {losses:?}", case.name);
        assert!((losses[0] - without).abs() > 1e-4, "{}: {losses:?} {without}", case.name);

        // With B = 0 the loss is that of the network alone, which has its own masks.
        let ups = case.tensors.get_mut("adapter").ok_or("no adapter")?.iter_mut();
        ups.filter(|(name, _)| name.contains("lora_B")).for_each(|(_, array)| array.fill(0.0));
        let begun = case.step(&mut case.trainer(&config, Kernels::Standard)?)?;
        let mut plain = network(&config, Kernels::Standard, Dropout::Keyed, None)?;
        // In the others, a layer that gives first tokens alone has other masks where keys or values
        // are adapted.
        if ["tiny-modernbert", "tiny-deberta-v2"].contains(&case.model.as_str()) {
            let loss = plain.graph.weighted_cross_entropy(plain.output)?;
            let trainable = vec!["classifier.bias".to_owned()];
            let group = ParameterGroup {
                parameters: trainable.clone(),
                learning_rate: 0.0,
                weight_decay: 0.0,
                pull: 0.0,
            };
            let update = Arc::new(AdamW::default());
            let optimizer = OptimizerConfig { update, gradient_clip: None, groups: vec![group] };
            let recipe = Recipe { loss, trainable, optimizer, precision: Precision::Fp32 };
            let weights = bound(&case.whole)?;
            let mut trainer = SessionTrainer::new(runtime()?, plain.graph, weights, recipe)?;
            let alone = case.step(&mut trainer)?;
            assert!((begun - alone).abs() < 1e-6, "{}: {begun} {alone}", case.name);
        }
    }
    Ok(())
}

/// Builds a pipeline of trainings of the tiny BERT, each a name and its settings.
fn pipeline(stages: &[(&str, &str)]) -> String {
    let mut text = "version: 1\nstages:\n  data: { load: { path: texts.csv, split: { test: 0.2, \
                    dev: 0.1 } } }\n"
        .to_owned();
    for (name, settings) in stages {
        let model = data("tiny-bert");
        text += &format!(
            "  {name}: {{ train: {{ data: data, model: {{ pretrained: {model} }}, epochs: 2, \
             {settings} }} }}\n  {name}_score: {{ evaluate: {{ model: {name}, data: data }} }}\n"
        );
    }
    text
}

const RATE: &str = "optimizer: { adamw: { learning_rate: 5e-3, head_learning_rate: 1e-2 } }";

/// The names of the weights that a training changed.
fn changed(project: &Project, stage: &str) -> Result<Vec<String>, TestError> {
    let file = format!("{}/model.safetensors", data("tiny-bert"));
    let (before, after) = (tensors(file.as_ref())?, project.weights(stage)?);
    assert!(before.keys().eq(after.keys()), "the weights are those of an ordinary model");
    let is_other = |(name, values): &(String, Vec<f32>)| *values != before[name];
    Ok(after.into_iter().filter(is_other).map(|(name, _)| name).collect())
}

#[test]
fn what_adapters_train_is_what_changes() -> Result<(), TestError> {
    let project = Project::with(
        80,
        &pipeline(&[
            ("lora", &format!("adapters: lora, {RATE}")),
            ("all", &format!("adapters: {{ lora: {{ targets: all_linear }} }}, {RATE}")),
            ("ia3", &format!("adapters: ia3, {RATE}")),
            ("bitfit", &format!("adapters: bitfit, {RATE}")),
            (
                "parts",
                &format!(
                    "adapters: {{ lora: {{ targets: [key], rs: true }} }}, {RATE}, \
                          max_tokens_per_step: 60"
                ),
            ),
        ]),
    )?;
    project.run(&["--threads", "1"])?;
    let file = format!("{}/model.safetensors", data("tiny-bert"));
    let sizes = tensors(file.as_ref())?;
    let head = |name: &str| name.starts_with("classifier") || name.contains("pooler");
    let ends = |name: &str, ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let of_head: usize = sizes.iter().filter(|(name, _)| head(name)).map(|it| it.1.len()).sum();
    let of_biases: usize = sizes
        .iter()
        .filter(|(name, _)| name.ends_with("bias") && !head(name))
        .map(|it| it.1.len())
        .sum();
    type Trained<'a> = (&'a str, &'a dyn Fn(&str) -> bool, usize);
    let square = 2 * 8 * 64;
    let trained: [Trained<'_>; 5] = [
        ("lora", &|name| ends(name, &["query.weight", "value.weight"]), 2 * square),
        (
            "all",
            &|name| name.ends_with("weight") && name.contains("layer.") && !name.contains("Norm"),
            4 * square + 2 * 2 * 8 * 80,
        ),
        (
            "ia3",
            &|name| {
                let both = ["key.weight", "key.bias", "value.weight", "value.bias"];
                ends(name, &both)
                    || name.ends_with("output.dense.weight") && !name.contains("attention")
            },
            2 * (32 + 32 + 48),
        ),
        ("bitfit", &|name| name.ends_with("bias"), of_biases),
        ("parts", &|name| name.ends_with("key.weight"), square),
    ];
    for (stage, is_trained, parameters) in trained {
        let expected: Vec<&String> =
            sizes.keys().filter(|name| head(name) || is_trained(name)).collect();
        let found = changed(&project, stage)?;
        // The bias of keys shifts all scores alike, so it only has the gradient of rounding.
        let is_sure = |name: &&String| !name.ends_with("key.bias");
        let found: Vec<&String> = found.iter().filter(is_sure).collect();
        let expected: Vec<&String> = expected.into_iter().filter(is_sure).collect();
        assert_eq!(found, expected, "{stage}");
        let training = project.artifact(stage)?.join("training.json");
        let training: Value = serde_json::from_slice(&fs_err::read(training)?)?;
        let summary = &training["summary"];
        assert_eq!(summary["trainable_parameters"], parameters + of_head, "{stage}");
        assert_eq!(summary["parameters"], sizes.values().map(Vec::len).sum::<usize>(), "{stage}");
        assert_eq!(
            summary["backend"],
            if stage == "bitfit" { summary["backend"].clone() } else { json!("session") }
        );
        assert!(!project.artifact(stage)?.join("adapter").exists());
    }
    let curves = project.curves("lora")?.0;
    let (first, last) = (curves.first().ok_or("none")?, curves.last().ok_or("none")?);
    assert!(last.loss < first.loss, "{} {}", first.loss, last.loss);
    Ok(())
}

/// A training that pauses goes on with its adapter.
#[test]
fn a_paused_training_of_an_adapter_goes_on() -> Result<(), TestError> {
    let settings = |stop: &str| {
        format!("adapters: {{ lora: {{ targets: all_linear }} }}, dropout: 0.1, {stop}{RATE}")
    };
    let whole = Project::with(80, &pipeline(&[("it", &settings(""))]))?;
    whole.run(&["--threads", "1"])?;
    let paused = Project::with(80, &pipeline(&[("it", &settings("stop_after: 1, "))]))?;
    paused.pipe(&["run", "x.yaml", "--threads", "1"])?;
    paused.write("x.yaml", &pipeline(&[("it", &settings(""))]))?;
    paused.run(&["--threads", "1"])?;
    assert_eq!(whole.weights("it")?, paused.weights("it")?);
    assert_eq!(whole.curves("it")?.0.len(), paused.curves("it")?.0.len());
    Ok(())
}

#[test]
fn what_no_adapter_can_do_is_said() -> Result<(), TestError> {
    let said_of = |model: &str, settings: &str, runs: bool| -> Result<String, TestError> {
        let pipeline = pipeline(&[("it", settings)]).replace("tiny-bert", model);
        let project = Project::with(40, &pipeline)?;
        let said = project.pipe(&[if runs { "run" } else { "validate" }, "x.yaml"])?;
        assert_ne!(said.code, Some(0), "{settings}");
        // Messages are wrapped.
        Ok(said.err.replace(['│', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let said = |settings: &str, runs: bool| said_of("tiny-bert", settings, runs);
    for (model, settings, wants) in [
        (
            "tiny-nomic-bert",
            "adapters: { ia3: { save: true } }",
            "the layers of NomicBert in other",
        ),
        (
            "tiny-bert, head: mean",
            "adapters: { lora: { save: true } }",
            "the head is not the architecture's own",
        ),
        ("tiny-modernbert", "adapters: bitfit", "the encoder has no biases"),
    ] {
        let found = said_of(model, settings, true)?;
        assert!(found.contains(wants), "{model} {settings}: {found}");
    }
    for (settings, runs, wants) in [
        (
            "adapters: { lora: { targets: [q_lin] } }",
            true,
            "there are `attention.self.query`, `attention.self.key`, `attention.self.value`, \
             `attention.output.dense`, `intermediate.dense`, `output.dense`",
        ),
        ("adapters: { lora: { rank: 40 } }", true, "has only 32 outputs and 32 inputs"),
        ("adapters: { lora: { rank: 0 } }", false, "expected at least 1, found 0"),
        ("adapters: { lora: { dropout: 1.0 } }", false, "expected a share from 0 to below 1"),
        ("adapters: { lora: { alpha: 0 } }", false, "expected a number above 0"),
        ("adapters: { lora: { targets: [] } }", false, "no layer is named"),
        ("adapters: { lora: { targets: query } }", false, "expected `all_linear` or a list"),
        ("adapters: lora, method: probe", false, "has no use for `adapters`"),
        ("adapters: lora, freeze: encoder", false, "`adapters` already says what is trained"),
        ("adapters: bitfit, artifacts: x", false, "the artifacts already fix this setting"),
        (
            "adapters: ia3, backend: training_api",
            false,
            "the training API trains networks without adapters here",
        ),
    ] {
        let found = said(settings, runs)?;
        assert!(found.contains(wants), "{settings}: {found}");
    }
    Ok(())
}

#[test]
fn a_rate_of_full_fine_tuning_is_warned_of() -> Result<(), TestError> {
    let rate = |rate: &str| format!("optimizer: {{ adamw: {{ learning_rate: {rate} }} }}");
    let project = Project::with(
        40,
        &pipeline(&[
            ("low", &format!("adapters: lora, {}", rate("5e-5"))),
            ("high", &format!("adapters: lora, {}", rate("1e-4"))),
            ("usual", "adapters: lora"),
            ("biases", "adapters: bitfit"),
        ]),
    )?;
    let said = project.run(&["--threads", "1"])?;
    assert_eq!(said.err.matches("that of full fine-tuning").count(), 1, "{}", said.err);
    // Where none is given, the kind has its own.
    for (stage, rate) in [("usual", 5e-4), ("biases", 1e-3)] {
        let curves = project.curves(stage)?.0;
        assert_eq!(curves.first().ok_or("no steps")?.learning_rate, rate, "{stage}");
    }
    Ok(())
}

/// The vectors of contrastive tuning come through an adapter as logits do.
#[test]
fn contrastive_tuning_takes_adapters() -> Result<(), TestError> {
    let lora = "adapters: { lora: { targets: [value] } }, method: contrastive";
    let project = Project::with(80, &pipeline(&[("it", lora)]))?;
    project.run(&["--threads", "1"])?;
    let file = format!("{}/model.safetensors", data("tiny-bert"));
    let (before, after) = (tensors(file.as_ref())?, project.weights("it")?);
    let mut compared = 0;
    for (name, values) in &after {
        assert!(!name.contains("lora"), "{name}");
        let Some((_, old)) = before.iter().find(|(old, _)| old.ends_with(name.as_str())) else {
            continue;
        };
        if name.contains("layer.") {
            assert_eq!(values != old, name.ends_with("value.weight"), "{name}");
            compared += 1;
        }
    }
    assert_eq!(compared, 32);
    Ok(())
}

/// Needs a Python with torch, transformers and peft, which `PIPE_TEST_PEFT_PYTHON` names.
#[test]
fn peft_reads_a_saved_adapter() -> Result<(), TestError> {
    let wants = "a Python with torch, transformers and peft";
    let Some(python) = wanted("PIPE_TEST_PEFT_PYTHON", wants) else { return Ok(()) };
    let lora = "{ lora: { targets: all_linear, save: true } }";
    let models = [
        ("bert", "tiny-bert", lora),
        ("bert_ia3", "tiny-bert", "{ ia3: { save: true } }"),
        ("roberta", "tiny-roberta", lora),
        ("distilbert", "tiny-distilbert", lora),
        ("electra", "tiny-electra", lora),
        ("mpnet", "tiny-mpnet", lora),
        ("albert", "tiny-albert", lora),
        ("deberta", "tiny-deberta-v2", lora),
        ("modernbert", "tiny-modernbert", lora),
        ("modernbert_ia3", "tiny-modernbert", "{ ia3: { save: true } }"),
    ];
    let mut pipeline = "version: 1\nstages:\n  data: { load: { path: texts.csv, split: { test: \
                        0.3 }, shots: 6 } }\n"
        .to_owned();
    for (name, model, adapters) in models {
        let model = data(model);
        pipeline += &format!(
            "  {name}: {{ train: {{ data: data, model: {{ pretrained: {model} }}, epochs: 2, \
             max_length: 24, adapters: {adapters}, {RATE} }} }}\n  {name}_score: {{ evaluate: \
             {{ model: {name}, data: data }} }}\n"
        );
    }
    let project = Project::with(80, &pipeline)?;
    project.run(&[])?;
    for (name, model, _) in models {
        let predictions = project.evaluation(&format!("{name}_score"))?.predictions;
        let texts: Vec<&str> = predictions.iter().map(|row| row.text.as_str()).collect();
        let mut child = Command::new(&python)
            .arg(repository("tests/open_in_peft.py"))
            .args([data(model).as_ref(), project.artifact(name)?.join("adapter").as_os_str()])
            .env("HF_HUB_OFFLINE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let asked = json!({ "texts": texts, "max_length": 24 });
        child.stdin.take().ok_or("no stdin")?.write_all(asked.to_string().as_bytes())?;
        let output = child.wait_with_output()?;
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let rows: Vec<Vec<f64>> = serde_json::from_slice(&output.stdout)?;
        assert_eq!(rows.len(), predictions.len());
        for (row, found) in predictions.iter().zip(&rows) {
            let error = farthest(&row.probabilities, found.iter().copied());
            assert!(error < 1e-5, "{name}: {error:e} apart");
        }
    }
    Ok(())
}
