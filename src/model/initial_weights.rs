//! The weights that a training begins with: a folder's, with its head where it serves, and new ones
//! for the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ndarray::Axis;

use super::error::ModelError;
use super::init;
use super::network::Network;
use super::pretrained::Pretrained;
use super::pretrained_head::Fit;
use super::sentences::HeadForm;
use super::weights::Tensors;

/// The weights of a whole network, and where they are from.
#[derive(Clone, Debug)]
pub struct InitialWeights {
    /// Those of the folder are not read yet.
    pub weights: Tensors,
    /// The form of the head that they are for.
    pub form: HeadForm,
    pub origin: Origin,
}

/// Where the weights of a network are from. Its text is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The number of tensors that are the folder's.
    pub loaded: usize,
    pub head: HeadOrigin,
    /// The tensors that were drawn.
    pub drawn: Vec<String>,
    /// The tensors of the folder that nothing uses.
    pub ignored: Vec<String>,
}

/// Where the weights of a classification head are from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadOrigin {
    /// The folder has none.
    New,
    /// The folder's.
    Kept,
    /// The folder's, with its rows in the order of the data's classes.
    Permuted,
    /// New, because the folder's does not serve, for this reason.
    Replaced(String),
    /// It is fitted to the vectors of train texts.
    Fitted,
}

impl Pretrained {
    /// Takes the weights out and completes them for a network with a head for these classes. What
    /// the folder lacks is drawn with the seed.
    pub fn take_initial_weights(
        &mut self,
        form: impl Into<HeadForm>,
        classes: &[String],
        seed: u64,
    ) -> Result<InitialWeights, ModelError> {
        let form = form.into();
        let graph = Network::whole(&self.config, &form, classes.len())?.graph;
        let encoder = self.config.encoder;
        let mut weights = std::mem::take(&mut self.weights);
        // What pretraining has trained of the head stays, whatever the head is for.
        let of_head: Vec<&str> = graph
            .parameters()
            .map(|(name, _)| name)
            .filter(|name| graph.marks(name).head && !encoder.is_pretrained_head(name))
            .collect();
        let shapes: BTreeMap<&str, Vec<usize>> =
            graph.parameters().map(|(name, var)| (name, graph.known_shape(var))).collect();
        let fits =
            |name: &str| weights.shape(name).is_some_and(|found| found == shapes[name].as_slice());
        let is_whole = of_head.iter().all(|name| fits(name));
        let has_pooler = shapes.keys().all(|name| !encoder.is_pretrained_head(name) || fits(name));
        // Of any form: what a folder's head is called depends on it.
        let is_encoder = |name: &str| shapes.contains_key(name) && !graph.marks(name).head;
        let dense: Vec<String> =
            self.sentences.dense().iter().map(|dense| format!("{}.", dense.linear())).collect();
        let is_dense = |name: &str| dense.iter().any(|module| name.starts_with(module));
        let has_any = weights
            .names()
            .any(|name| !is_encoder(name) && !encoder.is_pretrained_head(name) && !is_dense(name));
        let fit = self.head().fit(&form, classes);
        let head_origin = match fit {
            _ if !has_any => HeadOrigin::New,
            Fit::Other(why) => HeadOrigin::Replaced(why),
            _ if !is_whole => {
                HeadOrigin::Replaced("the folder's has other shapes or is not whole".to_owned())
            }
            _ if !has_pooler => {
                HeadOrigin::Replaced("the folder has no pooler of this width below it".to_owned())
            }
            Fit::Same => HeadOrigin::Kept,
            Fit::Permuted(rows) => {
                // The parameters with a row for each class are those that one more class changes.
                let one_more = Network::whole(&self.config, &form, classes.len() + 1)?.graph;
                let of_classes: BTreeSet<&str> = one_more
                    .parameters()
                    .filter(|(name, var)| {
                        let shape = shapes.get(name);
                        shape.is_some_and(|shape| *shape != one_more.known_shape(*var))
                    })
                    .map(|(name, _)| name)
                    .collect();
                let mut permuted = weights.some(|name| of_classes.contains(name))?;
                for array in permuted.values_mut() {
                    *array = array.select(Axis(0), &rows);
                }
                weights.extend(permuted);
                HeadOrigin::Permuted
            }
        };
        let mut ignored = self.ignored.clone();
        if matches!(head_origin, HeadOrigin::Replaced(_)) {
            weights.split_off(|name| of_head.contains(&name));
        }
        let is_there = |name: &str, shape: &[usize]| weights.shape(name) == Some(shape);
        let drawn = init::missing(&graph, &self.config, is_there, seed);
        let names: Vec<String> = drawn.keys().cloned().collect();
        weights.extend(drawn);
        let unused = weights.split_off(|name| !shapes.contains_key(name));
        ignored.extend(unused.names().map(str::to_owned));
        ignored.sort();
        let loaded = weights.len() - names.len();
        let origin = Origin { loaded, head: head_origin, drawn: names, ignored };
        Ok(InitialWeights { weights, form, origin })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} loaded; head ", tensors(self.loaded))?;
        match &self.head {
            HeadOrigin::New => f.write_str("drawn anew")?,
            HeadOrigin::Kept => f.write_str("kept")?,
            HeadOrigin::Permuted => {
                f.write_str("kept, its rows put in the order of the data's classes")?;
            }
            HeadOrigin::Replaced(why) => write!(f, "drawn anew: {why}")?,
            HeadOrigin::Fitted => f.write_str("fitted")?,
        }
        for (what, names) in [("drawn", &self.drawn), ("ignored", &self.ignored)] {
            if !names.is_empty() {
                write!(f, "; {what}: {}", modules(names))?;
            }
        }
        Ok(())
    }
}

fn tensors(count: usize) -> String {
    if count == 1 { "1 tensor".to_owned() } else { format!("{count} tensors") }
}

/// Sums tensors up by the first two parts of their names.
fn modules(names: &[String]) -> String {
    const MOST: usize = 6;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for name in names {
        let parts: Vec<&str> = name.split('.').collect();
        let module = parts[..parts.len().saturating_sub(1).clamp(1, 2)].join(".");
        *counts.entry(module).or_default() += 1;
    }
    let shown: Vec<String> = counts
        .iter()
        .take(MOST)
        .map(|(module, count)| format!("`{module}` ({})", tensors(*count)))
        .collect();
    match counts.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::head::Head;

    type Tested = Result<(), Box<dyn std::error::Error>>;

    fn read(name: &str) -> Result<Pretrained, ModelError> {
        Pretrained::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name))
    }

    fn names(names: [&str; 3]) -> Vec<String> {
        names.map(str::to_owned).into()
    }

    #[test]
    fn the_head_of_a_folder_follows_its_classes() -> Tested {
        for (model, rows, other) in [
            ("tiny-bert", "classifier", "pooler.dense"),
            ("tiny-distilbert", "classifier", "pre_classifier"),
            ("tiny-roberta", "classifier.out_proj", "classifier.dense"),
            ("tiny-mpnet", "classifier.out_proj", "classifier.dense"),
            ("tiny-electra", "classifier.out_proj", "classifier.dense"),
            ("tiny-albert", "classifier", "pooler"),
            ("tiny-modernbert", "classifier", "head.dense"),
            ("tiny-deberta-v2", "classifier", "pooler.dense"),
            ("tiny-nomic-bert", "classifier", "pooler.dense"),
            ("tiny-gte", "classifier", "pooler.dense"),
        ] {
            let whole = read(model)?.weights.take()?;
            let begin = |head, classes: [&str; 3]| -> Result<InitialWeights, ModelError> {
                read(model)?.take_initial_weights(head, &names(classes), 7)
            };
            let kept = begin(Head::Auto, ["negative", "neutral", "positive"])?;
            assert_eq!(*kept.weights.all()?, whole, "{model}");
            assert_eq!(
                kept.origin.to_string(),
                format!("{} tensors loaded; head kept", whole.len())
            );

            let permuted = begin(Head::Auto, ["positive", "negative", "neutral"])?;
            assert_eq!(permuted.origin.head, HeadOrigin::Permuted);
            for (name, weight) in &*permuted.weights.all()? {
                let expected = match name.strip_prefix(rows) {
                    Some(".weight" | ".bias") => whole[name].select(Axis(0), &[2, 0, 1]),
                    _ => whole[name].clone(),
                };
                assert_eq!(*weight, expected, "{model} {name}");
            }

            let replaced = begin(Head::Auto, ["cat", "dog", "emu"])?;
            let why = "the folder's is for the classes `negative`, `neutral`, `positive`";
            assert_eq!(replaced.origin.head, HeadOrigin::Replaced(why.to_owned()), "{model}");
            let replaced_weights = replaced.weights.all()?;
            let is_new = |name: &str| replaced_weights[name] != whole[name];
            assert!(is_new(&format!("{rows}.weight")), "{model}");
            // A pooler stays, as the encoder's own; a dense layer is part of the head.
            let has_pooler =
                ["tiny-bert", "tiny-albert", "tiny-modernbert", "tiny-nomic-bert", "tiny-gte"]
                    .contains(&model);
            assert_eq!(is_new(&format!("{other}.weight")), !has_pooler, "{model}");

            let mean = begin(Head::Mean, ["negative", "neutral", "positive"])?;
            let why = HeadOrigin::Replaced("the folder's is `head: auto`".to_owned());
            assert_eq!(mean.origin.head, why, "{model}");
            assert!(!mean.origin.ignored.is_empty(), "{}", mean.origin);
        }
        Ok(())
    }

    #[test]
    fn a_head_without_its_pooler_does_not_serve() -> Tested {
        let mut model = read("tiny-bert")?;
        model.weights.split_off(|name| name.starts_with("pooler"));
        let classes = names(["negative", "neutral", "positive"]);
        let begun = model.take_initial_weights(Head::Auto, &classes, 7)?;
        assert!(matches!(begun.origin.head, HeadOrigin::Replaced(_)));
        assert_eq!(begun.origin.drawn.len(), 4, "{}", begun.origin);
        Ok(())
    }

    #[test]
    fn a_line_sums_up() {
        let origin = Origin {
            loaded: 1,
            head: HeadOrigin::New,
            drawn: ["pooler.dense.weight", "pooler.dense.bias", "classifier.bias"]
                .map(str::to_owned)
                .into(),
            ignored: vec!["cls.predictions.bias".into(), "x".into()],
        };
        assert_eq!(
            origin.to_string(),
            "1 tensor loaded; head drawn anew; drawn: `classifier` (1 tensor), `pooler.dense` (2 \
             tensors); ignored: `cls.predictions` (1 tensor), `x` (1 tensor)"
        );
    }
}
