//! A real encoder: all-mpnet-base-v2 against sentence-transformers and scikit-learn
//! (tests/record_mpnet.py).

use std::path::Path;

use fs_err as fs;
use pipe::engine::Kernels;
use serde_json::{Value, json};

use super::project::{TestError, data, wanted};
use super::sentences::embeddings;

/// Texts of a table of TREC, with the number of each one's class.
fn texts(file: &Path, classes: &[String]) -> Result<Vec<(String, usize)>, TestError> {
    let mut rows = Vec::new();
    for line in fs::read_to_string(file)?.lines().skip(1) {
        let (text, label) = line.rsplit_once(',').ok_or("no label")?;
        let text = match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => text.to_owned(),
        };
        rows.push((text, classes.iter().position(|class| class == label).ok_or("no class")?));
    }
    Ok(rows)
}

fn embedded(folder: &Path, texts: &[(String, usize)]) -> Result<Vec<Vec<f32>>, TestError> {
    let mut all = Vec::new();
    for batch in texts.chunks(32) {
        let texts: Vec<&str> = batch.iter().map(|(text, _)| text.as_str()).collect();
        all.extend(embeddings(folder, &json!(texts), Kernels::Fused)?);
    }
    Ok(all)
}

/// Minimises Σ cross-entropy + ½‖W‖² (scikit-learn's objective with C = 1) by accelerated gradient
/// descent (Nesterov 1983) and returns W `[K, D + 1]`, the intercept last, which is not penalised.
fn logistic_regression(x: &[Vec<f32>], y: &[usize], classes: usize) -> Vec<Vec<f64>> {
    let width = x[0].len() + 1;
    let mut weights = vec![vec![0.0; width]; classes];
    let mut ahead = weights.clone();
    // The largest curvature: half of Σ‖x‖² with the intercept's 1, and the penalty.
    let rate = 1.0 / (x.len() as f64 + 1.0);
    for step in 0..6000 {
        let mut gradient: Vec<Vec<f64>> = ahead
            .iter()
            .map(|row| row.iter().take(width - 1).copied().chain([0.0]).collect())
            .collect();
        for (x, &y) in x.iter().zip(y) {
            for (class, share) in shares(&ahead, x).into_iter().enumerate() {
                let error = share - f64::from(u8::from(class == y));
                for (gradient, x) in gradient[class].iter_mut().zip(x) {
                    *gradient += error * f64::from(*x);
                }
                gradient[class][width - 1] += error;
            }
        }
        let momentum = f64::from(step) / f64::from(step + 3);
        for class in 0..classes {
            for at in 0..width {
                let next = ahead[class][at] - rate * gradient[class][at];
                ahead[class][at] = next + momentum * (next - weights[class][at]);
                weights[class][at] = next;
            }
        }
    }
    weights
}

/// The probabilities of the classes.
fn shares(weights: &[Vec<f64>], x: &[f32]) -> Vec<f64> {
    let scores: Vec<f64> = weights
        .iter()
        .map(|row| {
            let (intercept, row) = (row[row.len() - 1], row.iter());
            row.zip(x).map(|(weight, x)| weight * f64::from(*x)).sum::<f64>() + intercept
        })
        .collect();
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (score - highest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[test]
fn embeddings_and_their_probe_are_those_of_others() -> Result<(), TestError> {
    let Some(folder) = wanted("PIPE_TEST_MPNET", "the folder of all-mpnet-base-v2") else {
        return Ok(());
    };
    let Some(tables) = wanted("PIPE_TEST_DATA", "a folder with `trec/`") else { return Ok(()) };
    let trec = Path::new(&tables).join("trec");
    let recorded: Value = serde_json::from_slice(&fs::read(data("mpnet.json"))?)?;
    let probe = &recorded["logistic_regression"];
    let classes: Vec<String> = serde_json::from_value(probe["classes"].clone())?;
    let mut train = texts(&trec.join("train.csv"), &classes)?;
    train.truncate(200);
    let test = texts(&trec.join("test.csv"), &classes)?;
    let (x, asked) = (embedded(Path::new(&folder), &train)?, embedded(Path::new(&folder), &test)?);
    let expected: Vec<Vec<f64>> = serde_json::from_value(recorded["embeddings"].clone())?;
    assert_eq!(x.len(), expected.len());
    for (text, (found, expected)) in x.iter().zip(&expected).enumerate() {
        assert_eq!(found.len(), 768);
        for (found, expected) in found.iter().zip(expected) {
            let distance = (f64::from(*found) - expected).abs();
            assert!(distance < 1e-5, "text {text}: {found} beside {expected}");
        }
    }
    let labels: Vec<usize> = train.iter().map(|(_, class)| *class).collect();
    let weights = logistic_regression(&x, &labels, classes.len());
    let right = asked.iter().zip(&test).filter(|(x, (_, class))| {
        let shares = shares(&weights, x);
        let best = (0..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b]));
        best == Some(*class)
    });
    assert_eq!(json!(right.count()), probe["right"]);
    Ok(())
}
