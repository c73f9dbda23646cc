//! Heads over the vectors of texts: their parameters as a model keeps them, and their logits.
//!
//! Dimensions: `N` texts, `E` width of a vector, `K` classes.

use ndarray::{Array1, Array2, ArrayD, ArrayView2, Ix1, Ix2, arr1};

use crate::classifiers::{Linear, Neighbours};
use crate::engine::EngineError;
use crate::model::network::{
    CLASSIFIER_BIAS, CLASSIFIER_WEIGHT, NEAREST_TEMPERATURE, NEAREST_VECTORS, NEAREST_VOTES,
};
use crate::model::{Embedder, HeadForm, Nearest, Weights};

/// What gives logits from the vectors of texts.
#[derive(Clone, Debug, PartialEq)]
pub enum VectorHead {
    Linear(Linear),
    Nearest(Neighbours),
}

impl VectorHead {
    /// Reads the head over vectors of a width from a model's parameters.
    ///
    /// # Errors
    ///
    /// Fails where the weights hold no head of this form and width.
    pub fn of(form: &HeadForm, weights: &Weights, width: usize) -> Result<VectorHead, EngineError> {
        let missing = |name: &str| EngineError::MissingParameter(name.to_owned());
        let matrix = |name: &str| {
            let found = weights.get(name).map(|it| it.view().into_dimensionality::<Ix2>());
            found.and_then(Result::ok).map(|it| it.mapv(f64::from)).ok_or_else(|| missing(name))
        };
        let vector = |name: &str, size: usize| {
            let found = weights.get(name).map(|it| it.view().into_dimensionality::<Ix1>());
            let found = found.and_then(Result::ok).filter(|it| it.len() == size);
            found.map(|it| it.mapv(f64::from)).ok_or_else(|| missing(name))
        };
        let of_width = |name: &str| match matrix(name)? {
            rows if rows.ncols() == width => Ok(rows),
            _ => Err(missing(name)),
        };
        let HeadForm::Nearest(_, Nearest { texts, k }) = *form else {
            let weight = of_width(CLASSIFIER_WEIGHT)?;
            let bias = vector(CLASSIFIER_BIAS, weight.nrows())?;
            return Ok(VectorHead::Linear(Linear { weight, bias }));
        };
        let (points, votes) = (of_width(NEAREST_VECTORS)?, matrix(NEAREST_VOTES)?);
        if points.nrows() != texts || votes.nrows() != texts {
            return Err(missing(NEAREST_VOTES));
        }
        let bias = vector(CLASSIFIER_BIAS, votes.ncols())?;
        let temperature = vector(NEAREST_TEMPERATURE, 1)?[0];
        Ok(VectorHead::Nearest(Neighbours { points, votes, k, temperature, bias }))
    }

    /// Returns the parameters as a model keeps them.
    pub fn weights(&self) -> Weights {
        let of_matrix = |name: &str, array: &Array2<f64>| {
            (name.to_owned(), array.mapv(|value| value as f32).into_dyn())
        };
        let of_vector = |name: &str, array: &Array1<f64>| -> (String, ArrayD<f32>) {
            (name.to_owned(), array.mapv(|value| value as f32).into_dyn())
        };
        match self {
            VectorHead::Linear(Linear { weight, bias }) => Weights::from([
                of_matrix(CLASSIFIER_WEIGHT, weight),
                of_vector(CLASSIFIER_BIAS, bias),
            ]),
            VectorHead::Nearest(own) => Weights::from([
                of_matrix(NEAREST_VECTORS, &own.points),
                of_matrix(NEAREST_VOTES, &own.votes),
                of_vector(NEAREST_TEMPERATURE, &arr1(&[own.temperature])),
                of_vector(CLASSIFIER_BIAS, &own.bias),
            ]),
        }
    }

    /// Returns the form that it is over vectors of an embedder.
    pub fn form(&self, embedder: Embedder) -> HeadForm {
        match self {
            VectorHead::Linear(_) => HeadForm::Linear(embedder),
            VectorHead::Nearest(own) => {
                HeadForm::Nearest(embedder, Nearest { texts: own.points.nrows(), k: own.k })
            }
        }
    }

    /// Returns the logits `[N, K]` of vectors `[N, E]` by what was fitted.
    pub fn logits(&self, vectors: ArrayView2<'_, f64>) -> Array2<f64> {
        match self {
            VectorHead::Linear(linear) => linear.logits(vectors),
            VectorHead::Nearest(neighbours) => neighbours.logits(vectors),
        }
    }

    /// Divides the logits by a temperature. A count of the nearest has its own.
    #[must_use]
    pub fn tempered(self, temperature: f64) -> VectorHead {
        match self {
            VectorHead::Linear(linear) => VectorHead::Linear(linear.tempered(temperature)),
            VectorHead::Nearest(neighbours) => VectorHead::Nearest(neighbours),
        }
    }

    /// Adds a number to the logit of each class.
    #[must_use]
    pub fn shifted(self, log_ratio: &[f64]) -> VectorHead {
        match self {
            VectorHead::Linear(linear) => VectorHead::Linear(linear.shifted(log_ratio)),
            VectorHead::Nearest(neighbours) => VectorHead::Nearest(neighbours.shifted(log_ratio)),
        }
    }

    /// Returns the logits `[N, K]` of vectors `[N, E]` by the parameters that a model keeps, which
    /// have single precision. Sums are taken in double precision and in one order, so that they do
    /// not depend on what stands beside a text.
    pub fn kept_logits(&self, vectors: &Array2<f32>) -> Array2<f32> {
        match self {
            VectorHead::Linear(Linear { weight, bias }) => {
                let product = |a: f32, b: f64| f64::from(a) * f64::from(b as f32);
                Array2::from_shape_fn((vectors.nrows(), weight.nrows()), |(text, class)| {
                    let (vector, row) = (vectors.row(text), weight.row(class));
                    let sum: f64 = vector.iter().zip(row).map(|(&a, &b)| product(a, b)).sum();
                    (sum + f64::from(bias[class] as f32)) as f32
                })
            }
            VectorHead::Nearest(neighbours) => {
                let kept = |value: f64| f64::from(value as f32);
                let neighbours = Neighbours {
                    points: neighbours.points.mapv(kept),
                    votes: neighbours.votes.mapv(kept),
                    k: neighbours.k,
                    temperature: kept(neighbours.temperature),
                    bias: neighbours.bias.mapv(kept),
                };
                let found = neighbours.logits(vectors.mapv(f64::from).view());
                found.mapv(|logit| logit as f32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ndarray::{Axis, arr2};

    use super::*;
    use crate::classifiers::Points;
    use crate::engine::Place;
    use crate::engine::backend::binding::Feed;
    use crate::engine::samples::harness::execute;
    use crate::model::input_layout::InputLayout;
    use crate::model::{Network, NetworkOptions, Pooling, Pretrained};
    use crate::stages::inference::predict::{feeds, probabilities};
    use crate::text::TokenizedText;

    type Tested = Result<(), Box<dyn std::error::Error>>;

    fn feed(array: &ArrayD<f32>) -> Feed {
        Feed::F32(array.shape().to_vec(), array.iter().copied().collect())
    }

    /// The network that a model is saved as says what was fitted, whatever the shares of classes.
    #[test]
    fn the_network_counts_as_the_fit_does() -> Tested {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert");
        let mut pretrained = Pretrained::read(&folder)?;
        let embedder = Embedder::of(Pooling::Mean).normalised();
        let text = |start: u32| TokenizedText {
            ids: (0..6).map(|at| 5 + (7 * start + at * start) % 40).collect(),
            ..TokenizedText::default()
        };
        let texts: Vec<TokenizedText> = (1..31).map(text).collect();
        let run = |form: Option<&HeadForm>, pretrained: &Pretrained| -> Result<Array2<f32>, _> {
            let options = NetworkOptions::inference(&pretrained.config, Place::Host);
            let config = &pretrained.config;
            let mut network = match form {
                Some(form) => Network::new(config, form, 3, options)?,
                None => Network::of_vectors(config, &embedder, options, None)?,
            };
            network.graph.output("y", network.output);
            let members: Vec<&TokenizedText> = texts.iter().collect();
            let mut all = feeds(InputLayout::of(config), &members);
            let weights = pretrained.weights.all()?;
            let used = network.graph.parameters().map(|(name, _)| name);
            all.extend(used.map(|name| (name.to_owned(), feed(&weights[name]))));
            let found = execute(&network.graph, all)?.remove("y").unwrap_or_default();
            Ok::<_, Box<dyn std::error::Error>>(found.into_dimensionality::<Ix2>()?)
        };
        let vectors = run(None, &pretrained)?;
        let (kept, asked) = vectors.view().split_at(Axis(0), 18);
        let labels: Vec<usize> = (0..18).map(|text| text * text % 3 % 2 + text % 2).collect();
        let x = kept.mapv(f64::from);
        let weights: Vec<f64> = (0..18).map(|text| 1.0 + f64::from(text % 4)).collect();
        let points = Points { x: x.view(), labels: &labels, classes: 3, weights: Some(&weights) };
        for k in [1, 4, 18] {
            let fitted = Neighbours { temperature: 0.05, ..Neighbours::fit(&points, k)? };
            let head = VectorHead::Nearest(fitted.shifted(&[0.3, -0.4, 0.0]));
            let form = head.form(embedder.clone());
            pretrained.weights.extend(head.weights());
            let found = probabilities(&run(Some(&form), &pretrained)?);
            let read = VectorHead::of(&form, &pretrained.vector_head()?, vectors.ncols())?;
            let expected = probabilities(&read.kept_logits(&asked.to_owned()));
            for (found, expected) in found[18..].iter().flatten().zip(expected.iter().flatten()) {
                assert!((found - expected).abs() < 1e-5, "{k}: {found} {expected}");
            }
            let spread = expected.iter().map(|row| row[0]).fold(0.0, f32::max);
            assert!(spread > 0.05, "the texts differ: {expected:?}");
        }
        Ok(())
    }

    #[test]
    fn a_head_of_another_form_is_missing() -> Tested {
        let linear = VectorHead::Linear(Linear {
            weight: arr2(&[[1.0, 2.0], [0.5, 0.0]]),
            bias: ndarray::arr1(&[0.0, 1.0]),
        });
        let embedder = Embedder::of(Pooling::Mean);
        let weights = linear.weights();
        assert_eq!(VectorHead::of(&linear.form(embedder.clone()), &weights, 2)?, linear);
        assert!(VectorHead::of(&linear.form(embedder.clone()), &weights, 3).is_err());
        let nearest = HeadForm::Nearest(embedder, Nearest { texts: 2, k: 1 });
        assert!(VectorHead::of(&nearest, &weights, 2).is_err());
        Ok(())
    }
}
