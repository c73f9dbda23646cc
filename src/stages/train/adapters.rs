//! Adapters: what is trained in place of the encoder's own weights, and merged into them.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::TrainError;
use super::freeze::{self, Freeze};
use super::problems::Problems;
use crate::engine::Graph;
use crate::model::adapters::{self, Adapter, Targets, contract, peft};
use crate::model::{Config, HeadForm, Module, Network, Weights};
use crate::stages::contract::error::StageError;
use crate::stages::contract::stage::Ctx;

/// What is trained of the encoder in place of its weights; the head is trained whole. The trained
/// model is an ordinary one: LoRA and (IA)³ are merged into its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Adapters {
    /// LoRA: two small matrices A and B beside a linear layer, whose output gets s·B·A·x added (Hu
    /// et al. 2022). B begins at 0. Default rates: 5e-4, of the head 5e-3.
    Lora(Lora),
    /// (IA)³: factors of keys, of values, and of what the second layer of the feed-forward layer
    /// reads (Liu et al. 2022). They begin at 1, and weight decay spares them.
    /// Default rate: 3e-3.
    Ia3(Ia3),
    /// BitFit: the biases of the encoder, those of norms among them (Ben Zaken et al. 2022).
    /// Default rate: 1e-3.
    Bitfit,
}

/// LoRA's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    /// The rank r of A and B.
    #[serde(default = "default_rank")]
    pub rank: usize,
    /// The numerator α of the scale s = α/r.
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    /// The dropout rate before A.
    #[serde(default = "default_dropout")]
    pub dropout: f64,
    /// The linear layers: `all_linear`, or a list of the last parts of their names, such as
    /// `output.dense`. `query`, `key` and `value` stand for what makes those, whatever its name is;
    /// where one layer makes all three, for that layer.
    #[serde(default)]
    pub targets: Targets,
    /// Scales by α/√r in place of α/r, so that higher ranks learn as fast (rsLoRA, Kalajdzievski
    /// 2023).
    #[serde(default)]
    pub rs: bool,
    /// Stores the adapter and the head in the model's folder `adapter` too, as `peft` reads them.
    #[serde(default)]
    pub save: bool,
}

/// (IA)³'s settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ia3 {
    /// Stores the adapter and the head in the model's folder `adapter` too, as `peft` reads them.
    #[serde(default)]
    pub save: bool,
}

/// Below this learning rate, adapters hardly move in the steps of a fine-tuning.
const LOW_RATE: f64 = 1e-4;

impl Adapters {
    /// Returns the learning rate where none is given, and that of the head where it differs.
    pub fn default_rates(&self) -> (f64, Option<f64>) {
        match self {
            Adapters::Lora(_) => (5e-4, Some(5e-3)),
            Adapters::Ia3(_) => (3e-3, None),
            Adapters::Bitfit => (1e-3, None),
        }
    }

    /// Reports settings that no training can be done with.
    pub(super) fn check(&self, freeze: Option<&Freeze>, problems: &mut Problems) {
        if freeze.is_some() {
            problems.add(
                "freeze",
                "`adapters` already says what is trained".to_owned(),
                "leave one of them out",
            );
        }
        let Adapters::Lora(lora) = self else { return };
        problems.at_least_one("adapters.lora.rank", lora.rank as u64);
        problems.positive("adapters.lora.alpha", lora.alpha);
        problems.share("adapters.lora.dropout", lora.dropout, false);
        if lora.targets == Targets::Named(Vec::new()) {
            problems.add(
                "adapters.lora.targets",
                "no layer is named".to_owned(),
                "name some, such as `[query, value]`, or write `all_linear`",
            );
        }
    }

    /// Returns what is put into the network; `None` where its own parameters are trained.
    pub(super) fn adapter(&self) -> Option<Arc<dyn Adapter>> {
        match self {
            Adapters::Lora(lora) => Some(Arc::new(adapters::Lora {
                rank: lora.rank,
                alpha: lora.alpha,
                dropout: lora.dropout,
                targets: lora.targets.clone(),
                rank_stabilized: lora.rs,
            })),
            Adapters::Ia3(_) => Some(Arc::new(adapters::Ia3)),
            Adapters::Bitfit => None,
        }
    }

    fn saves(&self) -> bool {
        match self {
            Adapters::Lora(lora) => lora.save,
            Adapters::Ia3(ia3) => ia3.save,
            Adapters::Bitfit => false,
        }
    }

    /// Checks the settings against the network that they are for, and warns of a low rate.
    pub(super) fn begin(
        &self,
        ctx: &dyn Ctx,
        learning_rate: f64,
        network: &Network,
        config: &Config,
        form: &HeadForm,
    ) -> Result<(), TrainError> {
        let Some(adapter) = self.adapter() else { return Ok(()) };
        let modules = &network.modules;
        if let Some(name) = adapter.idle(modules).into_iter().next() {
            return Err(TrainError::IdleTarget { name, modules: listed(modules) });
        }
        if let Adapters::Lora(lora) = self
            && let Some(module) = modules
                .iter()
                .filter(|module| adapter.targets(module))
                .find(|module| lora.rank > module.outputs.min(module.inputs))
        {
            let (module, sizes) = (module.name.clone(), [module.outputs, module.inputs]);
            return Err(TrainError::Rank { rank: lora.rank, module, sizes });
        }
        if self.saves() && *form != HeadForm::Own {
            return Err(TrainError::AdapterHead);
        }
        if self.saves() && !peft::serves(config) {
            let model = config.encoder.family("");
            return Err(TrainError::AdapterForm { model });
        }
        if learning_rate < LOW_RATE {
            ctx.warn(&format!(
                "the learning rate {learning_rate:e} is that of full fine-tuning; adapters want about ten \
                 times as much, such as {:e}",
                self.default_rates().0
            ));
        }
        Ok(())
    }

    /// Merges what was trained into the encoder's weights, and returns the adapter's files where
    /// they are asked for; `pretrained` is the reference to the model that was adapted.
    pub(super) fn merge(
        &self,
        pretrained: &str,
        network: &Network,
        config: &Config,
        weights: &mut Weights,
    ) -> Result<BTreeMap<String, Vec<u8>>, StageError> {
        let Some(adapter) = self.adapter() else { return Ok(BTreeMap::new()) };
        let mut files = BTreeMap::new();
        if self.saves() {
            // The others are no references that `transformers` has.
            let base = pretrained.strip_prefix("hf:").and_then(|name| name.split('@').next());
            files = peft::files(adapter.as_ref(), network, config, weights, base)?;
        }
        contract::merge(adapter.as_ref(), &network.modules, weights)?;
        Ok(files)
    }
}

/// Returns which of a network's parameters are trained.
pub(super) fn trainable(
    adapters: Option<&Adapters>,
    freeze: Option<&Freeze>,
    config: &Config,
    graph: &Graph,
) -> Result<Vec<String>, TrainError> {
    let Some(adapters) = adapters else {
        return freeze::trainable(freeze, config, graph);
    };
    let biases = *adapters == Adapters::Bitfit;
    let is_own = |name: &str| {
        let marks = graph.marks(name);
        if biases { marks.bias && !marks.head } else { marks.adapter }
    };
    let names = || graph.parameters().map(|(name, _)| name);
    if !names().any(is_own) {
        let lacks = if biases { "biases" } else { "linear layers" };
        return Err(TrainError::NothingAdapted { lacks });
    }
    let trained = names().filter(|name| graph.marks(name).head || is_own(name));
    Ok(trained.map(str::to_owned).collect())
}

/// Lists the names that linear layers have within their layer.
fn listed(modules: &[Module]) -> String {
    let mut names: Vec<String> = Vec::new();
    for module in modules {
        let name = format!("`{}`", module.within_layer());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

impl Default for Lora {
    fn default() -> Lora {
        Lora {
            rank: default_rank(),
            alpha: default_alpha(),
            dropout: default_dropout(),
            targets: Targets::default(),
            rs: false,
            save: false,
        }
    }
}

fn default_rank() -> usize {
    8
}
fn default_alpha() -> f64 {
    16.0
}
fn default_dropout() -> f64 {
    0.05
}
