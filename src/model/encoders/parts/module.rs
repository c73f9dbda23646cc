//! The linear layers of an encoder, as adapters see them.

/// A linear layer within one of the encoder's layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// With which the names of its parameters begin: `encoder.layer.0.attention.self.query`.
    pub name: String,
    pub outputs: usize,
    pub inputs: usize,
    pub role: Role,
}

/// What a linear layer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Query,
    Key,
    Value,
    /// Queries, keys and values, each a third of the outputs.
    Packed,
    /// The second layer of the feed-forward layer.
    Down,
    Other,
}

impl Module {
    /// Says whether a name stands for this layer: the last components of its own, or what it makes
    /// (`query`, `key`, `value`), whatever the architecture calls it.
    pub fn is_named(&self, name: &str) -> bool {
        let rest = self.name.strip_suffix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.')) || self.makes(name)
    }

    fn makes(&self, name: &str) -> bool {
        match self.role {
            Role::Query => name == "query",
            Role::Key => name == "key",
            Role::Value => name == "value",
            Role::Packed => ["query", "key", "value"].contains(&name),
            Role::Down | Role::Other => false,
        }
    }

    /// Returns the name within its layer: what follows the last number.
    pub fn within_layer(&self) -> &str {
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let mut start = 0;
        for (at, _) in self.name.match_indices('.') {
            let before = self.name[..at].rsplit('.').next().unwrap_or_default();
            if is_number(before) {
                start = at + 1;
            }
        }
        &self.name[start..]
    }

    /// Returns the name of its weight `[outputs, inputs]`.
    pub fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// Returns the name of its bias `[outputs]`, which it need not have.
    pub fn bias(&self) -> String {
        format!("{}.bias", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(name: &str, role: Role) -> Module {
        Module { name: name.to_owned(), outputs: 4, inputs: 4, role }
    }

    #[test]
    fn names_are_last_components_or_roles() {
        let query = module("transformer.layer.11.attention.q_lin", Role::Query);
        for name in ["q_lin", "attention.q_lin", "query", "transformer.layer.11.attention.q_lin"] {
            assert!(query.is_named(name), "{name}");
        }
        for name in ["lin", "in", "attention", "value", "", ".q_lin"] {
            assert!(!query.is_named(name), "{name}");
        }
        assert_eq!(query.within_layer(), "attention.q_lin");
        let packed = module("layers.0.attn.Wqkv", Role::Packed);
        assert!(packed.is_named("value") && packed.is_named("Wqkv") && !packed.is_named("Wo"));
        assert_eq!(packed.within_layer(), "attn.Wqkv");
        assert_eq!(module("shared.dense", Role::Other).within_layer(), "shared.dense");
    }
}
