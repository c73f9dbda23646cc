//! The task that a data set poses: the kind of its targets.

use std::collections::HashMap;
use std::fmt;

/// What is learnt from a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// One of several classes for each text.
    Classes {
        /// The class names; a class is an index into them. Sorted, so that the order never depends
        /// on the rows.
        labels: Vec<String>,
    },
}

impl Task {
    /// Returns the kind of the task.
    pub fn kind(&self) -> TaskKind {
        match self {
            Task::Classes { .. } => TaskKind::Classes,
        }
    }

    /// Returns the class names in their order.
    pub fn labels(&self) -> &[String] {
        match self {
            Task::Classes { labels } => labels,
        }
    }
}

impl Default for Task {
    fn default() -> Task {
        Task::Classes { labels: Vec::new() }
    }
}

/// A task without its details: what is known of it before any row is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// See [`Task::Classes`].
    Classes,
}

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TaskKind::Classes => "classes",
        })
    }
}

/// What a model is to predict for an example.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A class: an index into the labels of [`Task::Classes`].
    Class(usize),
}

/// Returns the number of each label, the first of equal ones; only single labels are looked up.
pub(super) fn numbers(labels: &[String]) -> HashMap<&str, usize> {
    labels.iter().enumerate().rev().map(|(number, label)| (label.as_str(), number)).collect()
}
