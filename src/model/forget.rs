//! Forgetting what pretraining has taught the top of an encoder.

use std::collections::BTreeSet;

use super::network::Network;
use super::pretrained::Pretrained;
use super::sentences::HeadForm;
use crate::engine::{Graph, ShapeError};

impl Pretrained {
    /// Removes the weights of so many top layers, and of all that stands on them: a pooler and a
    /// head for so many classes. [`Pretrained::take_initial_weights`] draws them anew (Zhang et al.
    /// 2021). Returns whether it did; layers that share their weights have no top.
    ///
    /// # Errors
    ///
    /// Fails where the configuration makes no network.
    pub fn forget_top_layers(
        &mut self,
        count: usize,
        form: &HeadForm,
        classes: usize,
    ) -> Result<bool, ShapeError> {
        let layers = self.config.layers;
        let graph = Network::whole(&self.config, form, classes)?.graph;
        if layers_with_weights(&graph) < layers {
            return Ok(false);
        }
        let first = layers.saturating_sub(count);
        self.weights.split_off(|name| {
            let marks = graph.marks(name);
            marks.head || marks.layer.is_some_and(|layer| layer >= first)
        });
        Ok(true)
    }
}

/// Returns how many layers have weights of their own.
fn layers_with_weights(graph: &Graph) -> usize {
    let layers = graph.parameters().filter_map(|(name, _)| graph.marks(name).layer);
    layers.collect::<BTreeSet<usize>>().len()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::Head;

    type Tested = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn the_top_begins_anew_and_the_rest_stays() -> Tested {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let classes = ["negative", "neutral", "positive"].map(str::to_owned);
        for model in ["tiny-bert", "tiny-roberta", "tiny-modernbert", "tiny-deberta-v2"] {
            let mut pretrained = Pretrained::read(&data.join(model))?;
            let whole = pretrained.weights.all()?.into_owned();
            let top = pretrained.config.layers - 1;
            let form = HeadForm::from(Head::Auto);
            let graph = Network::whole(&pretrained.config, &form, 3)?.graph;
            assert!(pretrained.forget_top_layers(1, &form, 3)?);
            let deviation = pretrained.config.initializer_range;
            let begun = pretrained.take_initial_weights(form, &classes, 7)?;
            assert_eq!(begun.weights.len(), whole.len(), "{model}");
            let mut drawn = Vec::new();
            for (name, array) in &*begun.weights.all()? {
                let marks = graph.marks(name);
                if !marks.head && marks.layer != Some(top) {
                    assert_eq!(*array, whole[name], "{model} {name}");
                    continue;
                }
                drawn.push(name.clone());
                let mean = array.sum() / array.len() as f32;
                match (marks.bias, marks.no_decay) {
                    (true, _) => assert!(array.iter().all(|&value| value == 0.0), "{name}"),
                    (_, true) => assert!(array.iter().all(|&value| value == 1.0), "{name}"),
                    _ => {
                        let squares = array.mapv(|value| (value - mean).powi(2));
                        let found = (squares.sum() / array.len() as f32).sqrt();
                        let few = array.len() < 500;
                        assert!(few || (found / deviation - 1.0).abs() < 0.2, "{name}: {found}");
                    }
                }
            }
            drawn.sort();
            let mut told = begun.origin.drawn;
            told.sort();
            assert_eq!(told, drawn, "{model}");
        }
        Ok(())
    }

    #[test]
    fn shared_layers_have_no_top() -> Tested {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-albert");
        let mut pretrained = Pretrained::read(&folder)?;
        let whole = pretrained.weights.all()?.into_owned();
        assert!(!pretrained.forget_top_layers(1, &HeadForm::from(Head::Auto), 3)?);
        assert_eq!(*pretrained.weights.all()?, whole);
        Ok(())
    }
}
