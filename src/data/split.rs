//! The three parts of a data set.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the three parts of a data set.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    Train,
    Dev,
    Test,
}

impl Split {
    /// All of them, in the order in which tables have them.
    pub const ALL: [Split; 3] = [Split::Train, Split::Dev, Split::Test];

    /// Returns the name that files and messages use.
    pub const fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Dev => "dev",
            Split::Test => "test",
        }
    }

    /// Says whether this is test, which must not choose anything.
    pub const fn is_test(self) -> bool {
        matches!(self, Split::Test)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The texts that are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", from = "Named", into = "Named")]
pub enum Scored {
    /// Those of a split, by the model.
    Split(Split),
    /// Those of train, each by a model that has not seen its fold.
    Folds,
}

/// How what is scored is named in files.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Named {
    Train,
    Dev,
    Test,
    Folds,
}

impl From<Named> for Scored {
    fn from(name: Named) -> Scored {
        match name {
            Named::Train => Scored::Split(Split::Train),
            Named::Dev => Scored::Split(Split::Dev),
            Named::Test => Scored::Split(Split::Test),
            Named::Folds => Scored::Folds,
        }
    }
}

impl From<Scored> for Named {
    fn from(scored: Scored) -> Named {
        match scored {
            Scored::Split(Split::Train) => Named::Train,
            Scored::Split(Split::Dev) => Named::Dev,
            Scored::Split(Split::Test) => Named::Test,
            Scored::Folds => Named::Folds,
        }
    }
}

impl Scored {
    /// Says whether this is test, which must not choose anything.
    pub const fn is_test(self) -> bool {
        matches!(self, Scored::Split(Split::Test))
    }
}

impl fmt::Display for Scored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scored::Split(split) => split.fmt(f),
            Scored::Folds => f.write_str("folds"),
        }
    }
}

/// A name that no split has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of `train`, `dev` and `test`")]
pub struct UnknownSplit(pub String);

impl FromStr for Split {
    type Err = UnknownSplit;

    fn from_str(name: &str) -> Result<Split, UnknownSplit> {
        let found = Split::ALL.into_iter().find(|split| split.name() == name);
        found.ok_or_else(|| UnknownSplit(name.to_owned()))
    }
}

/// A value for each split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Splits<T> {
    pub train: T,
    pub dev: T,
    pub test: T,
}

impl<T> Splits<T> {
    /// Returns the value of a split.
    pub fn get(&self, split: Split) -> &T {
        match split {
            Split::Train => &self.train,
            Split::Dev => &self.dev,
            Split::Test => &self.test,
        }
    }

    /// Returns the value of a split for changing it.
    pub fn get_mut(&mut self, split: Split) -> &mut T {
        match split {
            Split::Train => &mut self.train,
            Split::Dev => &mut self.dev,
            Split::Test => &mut self.test,
        }
    }

    /// Iterates over the splits with their values, in the order of [`Split::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Split, &T)> {
        Split::ALL.into_iter().map(|split| (split, self.get(split)))
    }

    /// Makes the value of each split, in the order of [`Split::ALL`]; stops at the first error.
    pub fn try_of<E>(mut value: impl FnMut(Split) -> Result<T, E>) -> Result<Splits<T>, E> {
        Ok(Splits {
            train: value(Split::Train)?,
            dev: value(Split::Dev)?,
            test: value(Split::Test)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for split in Split::ALL {
            assert_eq!(split.to_string().parse(), Ok(split));
            assert_eq!(serde_json::json!(split), serde_json::json!(split.name()));
        }
        let unknown = "Test".parse::<Split>().map_err(|error| error.to_string());
        assert_eq!(unknown, Err("`Test` is not one of `train`, `dev` and `test`".into()));
    }

    #[test]
    fn every_split_has_its_value() -> Result<(), UnknownSplit> {
        let mut lengths = Splits::try_of(|split| Ok(split.name().len()))?;
        *lengths.get_mut(Split::Dev) += 10;
        assert_eq!(lengths, Splits { train: 5, dev: 13, test: 4 });
        let order: Vec<(Split, usize)> = lengths.iter().map(|(split, n)| (split, *n)).collect();
        assert_eq!(order, [(Split::Train, 5), (Split::Dev, 13), (Split::Test, 4)]);
        Ok(())
    }
}
