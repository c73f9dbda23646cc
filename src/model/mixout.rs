//! Mixout (Lee et al. 2020, arXiv 1909.11299): in each step, weights of linear layers are replaced
//! by what they were before the first, each with a probability.

use super::encoders::parts::builder::{Adapts, Builder};
use super::encoders::parts::module::Module;
use super::pretrained::Weights;
use crate::engine::{EngineError, Initial, ShapeError, Var};

/// Mixout's settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixout {
    /// p, above 0 and below 1.
    pub probability: f64,
}

/// Returns the name of what the weight of a layer was before the first step, which is never
/// trained.
fn first(module: &Module) -> String {
    format!("{}.first_weight", module.name)
}

impl Adapts for Mixout {
    fn targets(&self, _: &Module) -> bool {
        true
    }

    /// W becomes (M ⊙ W₀ + (1 − M) ⊙ W − p · W₀) / (1 − p), where M is 1 with the probability p:
    /// the same as W₀ + dropout(W − W₀). A layer that is used again is mixed anew.
    fn weight(&self, b: &mut Builder, weight: Var, module: &Module) -> Result<Var, ShapeError> {
        let first = b.of_adapter(first(module), &[module.outputs, module.inputs], Initial::Zeros);
        let moved = b.g.sub(weight, first)?;
        let kept = b.adapter_dropout(moved, self.probability as f32)?;
        b.g.add(first, kept)
    }
}

impl Mixout {
    /// Adds what the weights of linear layers are now, before the first step.
    ///
    /// # Errors
    ///
    /// Fails where a weight is missing.
    pub fn begin(modules: &[Module], weights: &mut Weights) -> Result<(), EngineError> {
        for module in modules {
            let name = module.weight();
            let now = weights.get(&name).cloned().ok_or(EngineError::MissingParameter(name))?;
            weights.insert(first(module), now);
        }
        Ok(())
    }

    /// Removes what [`Mixout::begin`] has added.
    pub fn end(modules: &[Module], weights: &mut Weights) {
        for module in modules {
            weights.remove(&first(module));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::{ArrayD, IxDyn};
    use serde::Deserialize;

    use super::*;
    use crate::engine::backend::binding::Feed;
    use crate::engine::kernel::dropout;
    use crate::engine::samples::harness::{execute, near};
    use crate::engine::{Dim, Kernels, TensorFact, gradients};
    use crate::model::encoders::parts::builder::{Dropout, NetworkOptions};

    type Rows = Vec<Vec<f64>>;

    #[derive(Deserialize)]
    struct Recorded {
        mixouts: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        probability: f64,
        x: Rows,
        first: Rows,
        weight: Rows,
        bias: Vec<f64>,
        /// 1 where the weight is the first one.
        replaced: Rows,
        y: Rows,
        given: Rows,
        gradient: Rows,
    }

    fn array(rows: &Rows) -> ArrayD<f64> {
        ArrayD::from_shape_fn(IxDyn(&[rows.len(), rows[0].len()]), |at| rows[at[0]][at[1]])
    }

    fn feed(name: &str, array: &ArrayD<f64>) -> (String, Feed) {
        let values = array.iter().map(|value| *value as f32).collect();
        (name.to_owned(), Feed::F32(array.shape().to_vec(), values))
    }

    const KEY: i64 = 11;
    /// The first place of dropout of adapters.
    const SITE: u32 = (1 << 15) + 1;

    /// As PyTorch has it with the same masks (tests/record_stability.py).
    #[test]
    fn mixed_weights_are_pytorchs() -> Result<(), Box<dyn std::error::Error>> {
        let recorded = include_str!("../../tests/data/stability.json");
        let Recorded { mixouts } = serde_json::from_str(recorded)?;
        for Case { probability, x, first, weight, bias, replaced, y, given, gradient } in mixouts {
            let [x, first, weight, y] = [x, first, weight, y].map(|rows| array(&rows));
            let [outputs, inputs] = [weight.shape()[0], weight.shape()[1]];
            for kernels in [Kernels::Standard, Kernels::Fused] {
                let options = NetworkOptions {
                    kernels,
                    dropout: Dropout::Keyed,
                    word_rows: 1,
                    positions_in_graph: false,
                    packed: false,
                };
                let mut b = Builder::new(options);
                b.adapt(Some(Arc::new(Mixout { probability })));
                b.enter_layer(Some(0));
                let input = b.g.input("x", TensorFact::f32(vec![Dim::Named("T"), inputs.into()]));
                let made = b.linear(input, "it", outputs, inputs)?;
                let mut g = b.g;
                let weights =
                    g.input("given", TensorFact::f32(vec![Dim::Named("T"), outputs.into()]));
                let product = g.mul(made, weights)?;
                let loss = g.reduce_sum(product, &[], false)?;
                let of_weight = g.parameters().find(|(name, _)| *name == "it.weight");
                let of_weight = of_weight.ok_or("no weight")?.1;
                let found = gradients(&mut g, loss, &[of_weight])?[0].ok_or("no gradient")?;
                g.output("y", made);
                g.output("gradient", found);
                // Fused kernels draw their own masks; the others are fed with PyTorch's.
                let mask = match kernels {
                    Kernels::Standard => {
                        array(&replaced).mapv(|replaced| (1.0 - replaced) / (1.0 - probability))
                    }
                    Kernels::Fused => {
                        let drawn = dropout::mask(KEY, SITE, probability as f32, outputs * inputs);
                        let drawn = drawn.into_iter().map(f64::from).collect();
                        ArrayD::from_shape_vec(vec![outputs, inputs], drawn)?
                    }
                };
                let bias = ArrayD::from_shape_vec(vec![outputs], bias.clone())?;
                let feeds = vec![
                    feed("x", &x),
                    feed("given", &array(&given)),
                    feed("it.weight", &weight),
                    feed("it.first_weight", &first),
                    feed("it.bias", &bias),
                    feed(&format!("dropout_mask.{SITE}"), &mask),
                    ("dropout_key".to_owned(), Feed::I64(vec![1], vec![KEY])),
                ];
                let mut found = execute(&g, feeds)?;
                let (found_y, found) = (found.remove("y"), found.remove("gradient"));
                if kernels == Kernels::Standard {
                    near(&found_y.ok_or("no result")?, &y, 1e-5)?;
                    near(&found.ok_or("no gradient")?, &array(&gradient), 1e-5)?;
                    continue;
                }
                let mixed = &first + &(&mask * &(&weight - &first));
                let expected = ArrayD::from_shape_fn(IxDyn(y.shape()), |at| {
                    let products = (0..inputs).map(|i| x[[at[0], i]] * mixed[[at[1], i]]);
                    products.sum::<f64>() + bias[[at[1]]]
                });
                near(&found_y.ok_or("no result")?, &expected, 1e-5)?;
            }
        }
        Ok(())
    }
}
