//! Linear layers, with what an adapter puts into them.
//!
//! Dimensions: `T` rows of token states, `H` width.

use std::sync::Arc;

use super::builder::{Adapts, Apart, Builder};
use super::module::{Module, Role};
use crate::engine::{ShapeError, Var};

/// Where the bias of a linear layer is added.
#[derive(Clone, Copy, Debug)]
enum Bias {
    /// With the product.
    Here,
    /// In the block that follows.
    Later,
    /// Where attention wants it.
    InAttention,
    None,
}

impl Builder {
    /// A whole linear layer: `[rows, inputs]` → `[rows, outputs]`.
    pub fn linear(
        &mut self,
        x: Var,
        module: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<Var, ShapeError> {
        Ok(self.product(x, module, [outputs, inputs], Bias::Here, Role::Other)?.0)
    }

    /// A linear layer that leaves its bias to the block that follows.
    pub fn linear_apart(
        &mut self,
        x: Var,
        module: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<Apart, ShapeError> {
        self.product(x, module, [outputs, inputs], Bias::Later, Role::Other)
    }

    /// A linear layer that may have no bias: `[rows, inputs]` → `[rows, outputs]`.
    pub fn linear_if(
        &mut self,
        x: Var,
        module: &str,
        sizes: [usize; 2],
        has_bias: bool,
    ) -> Result<Var, ShapeError> {
        self.whole(x, module, sizes, has_bias, Role::Other)
    }

    /// The second layer of a feed-forward layer, which leaves its bias to the block that follows.
    pub fn down_apart(
        &mut self,
        x: Var,
        module: &str,
        sizes: [usize; 2],
    ) -> Result<Apart, ShapeError> {
        self.product(x, module, sizes, Bias::Later, Role::Down)
    }

    /// The second layer of a feed-forward layer, which may have no bias.
    pub fn down_if(
        &mut self,
        x: Var,
        module: &str,
        sizes: [usize; 2],
        has_bias: bool,
    ) -> Result<Var, ShapeError> {
        self.whole(x, module, sizes, has_bias, Role::Down)
    }

    /// The queries `[rows, H]` alone.
    pub(super) fn query(&mut self, x: Var, module: &str, width: usize) -> Result<Var, ShapeError> {
        self.whole(x, module, [width; 2], true, Role::Query)
    }

    /// Rows `[T, H]` → queries, keys and values `[T, H]` for [`Builder::attend`].
    pub fn projections(
        &mut self,
        x: Var,
        modules: &[String; 3],
        hidden: usize,
    ) -> Result<[Apart; 3], ShapeError> {
        let mut made = [(x, None); 3];
        let roles = [Role::Query, Role::Key, Role::Value];
        for ((made, module), role) in made.iter_mut().zip(modules).zip(roles) {
            *made = self.product(x, module, [hidden; 2], Bias::InAttention, role)?;
        }
        Ok(made)
    }

    /// Rows `[T, H]` → queries, keys and values `[T, H]` by one module for the three.
    pub fn packed(
        &mut self,
        x: Var,
        module: &str,
        hidden: usize,
        has_bias: bool,
    ) -> Result<[Var; 3], ShapeError> {
        let all = self.whole(x, module, [3 * hidden, hidden], has_bias, Role::Packed)?; // [T, 3H]
        let mut part = |index: usize| self.g.slice(all, 1, index * hidden, (index + 1) * hidden);
        Ok([part(0)?, part(1)?, part(2)?])
    }

    /// Says whether something is put into a linear layer.
    pub(super) fn adapts(&mut self, module: &str, sizes: [usize; 2], role: Role) -> bool {
        self.adapted(module, sizes, role).is_some()
    }

    /// Lists the linear layers within the encoder's layers, as far as it is built.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    fn whole(
        &mut self,
        x: Var,
        module: &str,
        sizes: [usize; 2],
        has_bias: bool,
        role: Role,
    ) -> Result<Var, ShapeError> {
        let bias = if has_bias { Bias::Here } else { Bias::None };
        Ok(self.product(x, module, sizes, bias, role)?.0)
    }

    fn product(
        &mut self,
        x: Var,
        module: &str,
        [outputs, inputs]: [usize; 2],
        bias: Bias,
        role: Role,
    ) -> Result<Apart, ShapeError> {
        let adapted = self.adapted(module, [outputs, inputs], role);
        let x = match &adapted {
            Some((adapter, module)) => adapter.input(self, x, module)?,
            None => x,
        };
        let weight = self.weight(module, outputs, inputs);
        let weight = match &adapted {
            Some((adapter, module)) => adapter.weight(self, weight, module)?,
            None => weight,
        };
        let made = match bias {
            Bias::None => (self.g.linear(x, weight, None)?, None),
            Bias::Here => {
                let bias = self.bias(module, outputs);
                (self.g.linear(x, weight, Some(bias))?, None)
            }
            Bias::Later => {
                let bias = self.bias(module, outputs);
                (self.g.linear(x, weight, None)?, Some(bias))
            }
            Bias::InAttention => {
                let bias = self.bias(module, outputs);
                self.g.projection(x, weight, bias)?
            }
        };
        match &adapted {
            Some((adapter, module)) => adapter.output(self, x, made, module),
            None => Ok(made),
        }
    }

    /// Notes a linear layer, if it is of the encoder's layers, and returns it with what is put into
    /// it. A layer that is used again keeps the role of its first use.
    fn adapted(
        &mut self,
        name: &str,
        [outputs, inputs]: [usize; 2],
        role: Role,
    ) -> Option<(Arc<dyn Adapts>, Module)> {
        if !self.is_in_layer() {
            return None;
        }
        let known = self.modules.iter().position(|module| module.name == name);
        let at = known.unwrap_or_else(|| {
            self.modules.push(Module { name: name.to_owned(), outputs, inputs, role });
            self.modules.len() - 1
        });
        let (adapter, module) = (self.adapter.as_ref()?, &self.modules[at]);
        adapter.targets(module).then(|| (Arc::clone(adapter), module.clone()))
    }
}
