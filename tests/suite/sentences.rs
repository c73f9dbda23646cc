//! Folders of sentence-transformers against what it said of them itself
//! (tests/record_sentences.py).

use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe::base::report::Silent;
use pipe::engine::backend::binding::Parameters;
use pipe::engine::{Device, Inference, Kernels, Place, Runtime};
use pipe::model::input_layout::InputLayout;
use pipe::model::pretrained::{is_model_file, model_files};
use pipe::model::source::resolve::identity;
use pipe::model::{Dropout, Head, HeadForm, NetworkOptions, Pretrained, Prompt, network};
use pipe::stages::inference::predict;
use pipe::stages::inference::texts::Texts;
use serde_json::{Value, json};

use super::project::{Project, Said, TestError, data};

const NAMES: [&str; 9] =
    ["mean", "cls", "max", "mean-sqrt-len", "weighted-mean", "last", "all", "dense", "prompts"];

fn recorded(name: &str) -> PathBuf {
    Path::new(&data("sentences")).join(name)
}

fn expected(name: &str) -> Result<Value, TestError> {
    json_of(&recorded(name).join("expected.json"))
}

fn json_of(path: &Path) -> Result<Value, TestError> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// A recorded folder with its encoder.
pub fn assembled(name: &str) -> Result<tempfile::TempDir, TestError> {
    let root = tempfile::tempdir()?;
    let said = expected(name)?;
    let text = |field: &str| said[field].as_str().ok_or("not said").map(str::to_owned);
    copy(&recorded(name), root.path())?;
    fs::remove_file(root.path().join("expected.json"))?;
    let below = root.path().join(text("below")?);
    fs::create_dir_all(&below)?;
    for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(Path::new(&data(&text("encoder")?)).join(file), below.join(file))?;
    }
    as_encoder(&below)?;
    Ok(root)
}

/// Takes the classifier out of the configuration of an encoder of the tests.
fn as_encoder(folder: &Path) -> Result<(), TestError> {
    let path = folder.join("config.json");
    let mut config = json_of(&path)?;
    let class = config["architectures"][0].as_str().ok_or("no architecture")?;
    config["architectures"] = json!([class.replace("ForSequenceClassification", "Model")]);
    Ok(fs::write(path, config.to_string())?)
}

fn copy(from: &Path, to: &Path) -> Result<(), TestError> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

/// The embeddings of the recorded texts in one padded batch.
pub fn embeddings(
    folder: &Path,
    texts: &Value,
    kernels: Kernels,
) -> Result<Vec<Vec<f32>>, TestError> {
    let pretrained = Pretrained::read(folder)?;
    let config = &pretrained.config;
    let options = NetworkOptions {
        kernels,
        dropout: Dropout::Off,
        word_rows: config.vocabulary,
        positions_in_graph: false,
        packed: false,
    };
    let embedder = pretrained.embedder(Head::Auto)?;
    let graph = network::embedding(config, &embedder, options)?;
    let runtime = Runtime::get(Device::Cpu, 2, &Silent)?;
    let weights = pretrained.weights.all()?;
    let used = graph.parameters().filter_map(|(name, _)| Some((name, weights.get(name)?)));
    let parameters = Parameters::new(Place::Host, used)?;
    let mut inference = Inference::new(runtime, &graph, &parameters)?;
    let texts: Vec<String> = serde_json::from_value(texts.clone())?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let prompt = pretrained.prompt(&Prompt::Auto, true, folder)?;
    let tokens = Texts::of(&pretrained, prompt, None, None)?.encode(&texts)?;
    let feeds = predict::feeds(InputLayout::of(config), &tokens.iter().collect::<Vec<_>>());
    let found = inference.run(feeds)?;
    assert_eq!(found.shape(), [texts.len(), embedder.width(config.hidden)]);
    Ok(found.outer_iter().map(|row| row.iter().copied().collect()).collect())
}

fn assert_near(name: &str, found: &[Vec<f32>], expected: &Value) -> Result<(), TestError> {
    let expected: Vec<Vec<f64>> = serde_json::from_value(expected.clone())?;
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(expected) {
            let distance = (f64::from(*found) - expected).abs();
            assert!(distance < 1e-5, "{name}: {found} beside {expected}");
        }
    }
    Ok(())
}

#[test]
fn embeddings_are_those_of_sentence_transformers() -> Result<(), TestError> {
    for name in NAMES {
        let folder = assembled(name)?;
        let said = expected(name)?;
        for kernels in [Kernels::Fused, Kernels::Standard] {
            let found = embeddings(folder.path(), &said["texts"], kernels)?;
            assert_near(name, &found, &said["embeddings"])?;
        }
    }
    Ok(())
}

#[test]
fn a_saved_folder_gives_the_same_embeddings_and_head() -> Result<(), TestError> {
    let labels = ["a".to_owned(), "b".to_owned()];
    for name in NAMES {
        let (folder, saved, said) = (assembled(name)?, tempfile::tempdir()?, expected(name)?);
        let mut model = Pretrained::read(folder.path())?;
        let form = model.form(Head::Auto)?;
        assert_ne!(form, HeadForm::Own, "{name}");
        let begun = model.take_initial_weights(&form, &labels, 7)?;
        model.weights = begun.weights;
        model.write(saved.path(), &form, &labels)?;
        let found = embeddings(saved.path(), &said["texts"], Kernels::Fused)?;
        assert_near(name, &found, &said["embeddings"])?;
        let mut again = Pretrained::read(saved.path())?;
        assert_eq!(again.form(Head::Auto)?, form, "{name}");
        assert_eq!(again.weights.all()?, model.weights.all()?, "{name}");
        let kept = again.take_initial_weights(&form, &labels, 8)?;
        assert!(kept.origin.to_string().ends_with("head kept"), "{name}: {}", kept.origin);
        assert_eq!(kept.weights.all()?, model.weights.all()?, "{name}");
    }
    Ok(())
}

/// A head over a pooling of the user's choice leaves the modules behind.
#[test]
fn a_named_pooling_takes_the_place_of_the_modules() -> Result<(), TestError> {
    let labels = ["a".to_owned(), "b".to_owned()];
    let (folder, saved) = (assembled("dense")?, tempfile::tempdir()?);
    let mut model = Pretrained::read(folder.path())?;
    let form = model.form(Head::Max)?;
    let begun = model.take_initial_weights(&form, &labels, 7)?;
    assert!(begun.origin.to_string().contains("2_Dense.linear"), "{}", begun.origin);
    assert!(begun.origin.to_string().contains("head drawn anew"), "{}", begun.origin);
    model.weights = begun.weights;
    model.write(saved.path(), &form, &labels)?;
    assert!(!saved.path().join("2_Dense").exists());
    let again = Pretrained::read(saved.path())?;
    assert_eq!(again.form(Head::Auto)?, form);
    Ok(())
}

#[test]
fn every_file_of_a_module_counts() -> Result<(), TestError> {
    let folder = assembled("all")?;
    let root = folder.path();
    for name in [
        "modules.json",
        "config_sentence_transformers.json",
        "0_Transformer/sentence_bert_config.json",
        "0_Transformer/config.json",
        "1_Pooling/config.json",
        "2_Dense/model.safetensors",
    ] {
        assert!(is_model_file(name), "{name}");
    }
    for name in ["onnx/model.safetensors", "1_Pooling/a/config.json", "a_b/config.json", "1_/x"] {
        assert!(!is_model_file(name), "{name}");
    }
    let files = |root: &Path| -> Result<Vec<PathBuf>, TestError> {
        let files = model_files(root)?.into_iter();
        Ok(files
            .map(|file| file.strip_prefix(root).map(Path::to_owned))
            .collect::<Result<_, _>>()?)
    };
    assert_eq!(
        files(root)?,
        [
            "0_Transformer/config.json",
            "0_Transformer/model.safetensors",
            "0_Transformer/tokenizer.json",
            "0_Transformer/tokenizer_config.json",
            "modules.json",
            "1_Pooling/config.json"
        ]
        .map(PathBuf::from)
    );
    let folder = assembled("dense")?;
    let root = folder.path();
    let mut known = vec![identity(".", root, None)?];
    for (name, text) in [
        ("1_Pooling/config.json", r#"{"pooling_mode": "max"}"#),
        ("2_Dense/config.json", "{}"),
        ("2_Dense/model.safetensors", "other"),
        ("config_sentence_transformers.json", "{}"),
        ("sentence_bert_config.json", "{}"),
        ("modules.json", r#"[{"type": "sentence_transformers.models.Transformer", "path": ""}]"#),
    ] {
        fs::write(root.join(name), text)?;
        let now = identity(".", root, None)?;
        assert!(!known.contains(&now), "{name}");
        known.push(now);
    }
    Ok(())
}

/// A pipeline over a model folder, with more settings of `model`.
fn project(model: &Path, settings: &str) -> Result<Project, TestError> {
    let pipeline = format!(
        "version: 1\nstages:\n  data: {{ load: {{ path: texts.csv, split: {{ test: 0.3 }}, shots: \
         4 }} }}\n  tuned: {{ train: {{ data: data, model: {{ pretrained: \"{}\"{settings} }}, \
         epochs: 1 }} }}\n  score: {{ evaluate: {{ model: tuned, data: data }} }}\n",
        model.display()
    );
    Project::with(40, &pipeline)
}

fn failed(project: &Project, words: &[&str]) -> Result<(), TestError> {
    let said: Said = project.pipe(&["run", "x.yaml"])?;
    assert_ne!(said.code, Some(0), "{}", said.err);
    for words in words {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
    Ok(())
}

#[test]
fn what_is_taken_is_said_and_kept() -> Result<(), TestError> {
    let folder = assembled("prompts")?;
    let project = project(folder.path(), "")?;
    let said = project.run(&[])?;
    for words in ["head over mean, normalised", "prompt `we open: `"] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
    let tuned = project.artifact("tuned")?;
    let record = json_of(&tuned.join("training.json"))?;
    assert_eq!(record["preparation"], json!({ "prompt": "we open: ", "lowers": true }));
    assert_eq!(record["max_length"], 12);
    let prompts = json_of(&tuned.join("config_sentence_transformers.json"))?;
    assert_eq!(prompts["default_prompt_name"], "query");
    assert_eq!(prompts["prompts"]["document"], "");
    for (settings, prompt, default) in [
        (", prompt: none", Value::Null, Value::Null),
        (", prompt: { named: long }", json!("they waited again, "), json!("long")),
        (", prompt: { text: \"it was \" }", json!("it was "), json!("trained")),
    ] {
        let project = super::sentences::project(folder.path(), settings)?;
        project.run(&[])?;
        let tuned = project.artifact("tuned")?;
        let record = json_of(&tuned.join("training.json"))?;
        assert_eq!(record["preparation"]["prompt"], prompt, "{settings}");
        let prompts = json_of(&tuned.join("config_sentence_transformers.json"))?;
        assert_eq!(prompts["default_prompt_name"], default, "{settings}");
        // Whoever goes on from it has the same prompt.
        let again = Pretrained::read(&tuned)?;
        let found = again.prompt(&Prompt::Auto, true, &tuned)?;
        assert_eq!(json!(found), prompt, "{settings}");
    }
    Ok(())
}

#[test]
fn what_is_not_read_is_an_error_with_a_way_out() -> Result<(), TestError> {
    let folder = assembled("prompts")?;
    let none = project(folder.path(), ", prompt: { named: passage }")?;
    failed(
        &none,
        &["has no prompt `passage`; its prompts: `document`, `long`, `query`", "prompt: { text:"],
    )?;
    let pooling = folder.path().join("1_Pooling/config.json");
    fs::write(&pooling, r#"{"pooling_mode": "mean", "include_prompt": false}"#)?;
    failed(&project(folder.path(), "")?, &["leaves prompts out of the pooling", "`prompt: none`"])?;
    project(folder.path(), ", prompt: none")?.run(&[])?;
    project(folder.path(), ", head: mean")?.run(&[])?;
    for (config, words) in [
        (r#"{"pooling_mode": "spread"}"#, "`pooling_mode: \"spread\"`"),
        (r#"{"pooling_mode": ["mean", 3]}"#, "`pooling_mode: 3`"),
    ] {
        fs::write(&pooling, config)?;
        failed(&project(folder.path(), "")?, &[words, "name a pooling"])?;
    }
    project(folder.path(), ", head: mean")?.run(&[])?;
    let dense = assembled("dense")?;
    let path = dense.path().join("2_Dense/config.json");
    let whole = json_of(&path)?;
    for (field, value, words) in [
        ("activation_function", json!("torch.nn.SiLU"), "`activation_function: SiLU`"),
        ("use_residual", json!(true), "`use_residual: true`"),
        ("module_input_name", json!("token_embeddings"), "`module_input_name: token_embeddings`"),
        ("in_features", json!(32), "has `in_features: 32`; what is below it has 64"),
        ("out_features", json!(5), "has `in_features: 12`; what is below it has 5"),
        ("in_features", Value::Null, "no `in_features`"),
    ] {
        let mut changed = whole.clone();
        changed[field] = value;
        fs::write(&path, changed.to_string())?;
        failed(&project(dense.path(), "")?, &[words])?;
    }
    fs::write(&path, whole.to_string())?;
    let weights = dense.path().join("2_Dense/model.safetensors");
    fs::rename(&weights, dense.path().join("2_Dense/pytorch_model.bin"))?;
    failed(
        &project(dense.path(), "")?,
        &["cannot be read as weights of PyTorch", "nothing in the"],
    )?;
    let modules = dense.path().join("modules.json");
    for (text, words) in [
        ("{}", "no list of modules"),
        ("[]", "it lists no module"),
        (r#"[{"type": "x.Transformer", "path": "../x"}]"#, "the path of a module is `../x`"),
        (r#"[{"type": "mine.Transformer", "path": ""}]"#, "it begins with `mine.Transformer`"),
        (r#"[{"type": "sentence_transformers.models.Transformer", "path": ""}]"#, "no pooling"),
        (
            r#"[{"type": "sentence_transformers.models.Transformer", "path": ""},
                {"type": "sentence_transformers.models.LSTM", "path": "1_LSTM"}]"#,
            "it has the module `sentence_transformers.models.LSTM`",
        ),
    ] {
        fs::write(&modules, text)?;
        failed(&project(dense.path(), "")?, &[words])?;
    }
    Ok(())
}

#[test]
fn a_reference_is_told_of() -> Result<(), TestError> {
    let project = Project::new(4)?;
    for name in ["prompts", "dense"] {
        let folder = assembled(name)?;
        copy(folder.path(), &project.path(name))?;
    }
    project.write("dense/README.md", "---\nlicense: mit\n---\n# A model\n")?;
    let said = |reference: &str| -> Result<String, TestError> {
        let said = project.pipe(&["model", reference])?;
        assert_eq!(said.code, Some(0), "{}", said.err);
        Ok(said.out)
    };
    insta::assert_snapshot!(said("prompts")?, @r"
    model                   prompts
    folder                  prompts
    architecture            roberta (RobertaModel)
    parameters              26 563 (0.1 MiB)
    layers × width × heads  2 × 32 × 4
    vector                  mean, normalised; 32 wide
    prompts                 long `they waited again, `, query `we open: ` (default)
    tokenizer               BPE, 288 words, lower case
    longest text            32 tokens; max_seq_length 12
    head                    linear over mean, normalised; drawn anew
    has seen                nothing that `pipe` knows of
    licence                 not told by the files here
    can be trained on       yes
    ");
    insta::assert_snapshot!(said("dense")?, @r"
    model                   dense
    folder                  dense
    architecture            bert (BertModel)
    parameters              21 871 (0.1 MiB)
    layers × width × heads  2 × 32 × 4
    vector                  mean + cls, dense 64 to 12 with tanh, dense 12 to 8, normalised; 8 wide
    prompts                 none
    tokenizer               WordPiece, 115 words, lower case
    longest text            32 tokens; max_seq_length 32
    head                    linear over mean + cls, dense 64 to 12 with tanh, dense 12 to 8, normalised; drawn anew
    has seen                nothing that `pipe` knows of
    licence                 mit
    can be trained on       yes
    ");
    let classifier = data("tiny-bert");
    let said_of_classifier = said(&classifier)?.replace(&classifier, "FOLDER");
    insta::assert_snapshot!(said_of_classifier, @r"
    model                   FOLDER
    folder                  FOLDER
    architecture            bert (BertForSequenceClassification)
    parameters              20 995 (0.1 MiB)
    layers × width × heads  2 × 32 × 4
    vector                  mean; 32 wide (no modules.json)
    prompts                 none
    tokenizer               WordPiece, 115 words, lower case
    longest text            32 tokens
    head                    the architecture's own; trained for negative, neutral, positive
    has seen                nothing that `pipe` knows of
    licence                 not told by the files here
    can be trained on       yes
    ");
    let json: Value = serde_json::from_str(&project.pipe(&["model", "--json", "dense"])?.out)?;
    assert_eq!(json["encoder"]["vector_width"], 8);
    assert_eq!(json["licence"], "mit");
    project.write("dense/config.json", r#"{"model_type": "gpt2", "architectures": ["GPT2"]}"#)?;
    let other = said("dense")?;
    for line in [
        "architecture       gpt2 (GPT2)",
        "can be trained on  no: `dense/config.json` has the architecture `gpt2`",
        "hint               its sizes have other names",
    ] {
        assert!(other.contains(line), "{line}: {other}");
    }
    for (reference, words) in [
        ("nowhere", "the model folder `nowhere` does not exist"),
        ("pip:-x", "`pip:-x` is not a model reference"),
        ("hf:a/b/c", "`hf:a/b/c` is not a model reference"),
        (".", "has no `config.json`"),
    ] {
        let said = project.pipe(&["model", reference])?;
        assert_eq!(said.code, Some(2), "{reference}");
        assert!(said.err.contains(words) && said.err.contains("hint"), "{}", said.err);
    }
    Ok(())
}
