//! All problems of a pipeline file, shown at once.

use super::source::Location;
use std::fmt;
use std::sync::Arc;

use super::problem::Problem;
use super::render;
use super::source::Sources;
use crate::base::paint::Painted;

/// All problems of a pipeline file, in the order of the file.
#[derive(Clone, Debug, thiserror::Error, miette::Diagnostic)]
pub struct SpecError {
    sources: Arc<Sources>,
    problems: Vec<Problem>,
}

impl SpecError {
    /// Returns the error of a file with at least one problem. Sorts by place and drops duplicates.
    pub(in crate::pipeline) fn new(sources: Arc<Sources>, mut problems: Vec<Problem>) -> SpecError {
        problems.sort_by_key(|problem| problem.span);
        let mut unique: Vec<Problem> = Vec::with_capacity(problems.len());
        for problem in problems {
            let repeated =
                |other: &Problem| other.span == problem.span && other.message == problem.message;
            // Problems of one place are adjacent now.
            if !unique.iter().rev().take_while(|other| other.span == problem.span).any(repeated) {
                unique.push(problem);
            }
        }
        SpecError { sources, problems: unique }
    }

    /// Returns the problems in the order of the file; problems of the command line come last.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Returns the place of a problem, if it is in the file.
    pub fn location(&self, problem: &Problem) -> Option<Location> {
        problem.span.filter(|span| span.origin == 0).map(|span| self.sources.location(span))
    }

    /// Returns all problems for people: each with file, line and column, the source line and a
    /// caret, then its `hint:`. Source lines are cropped and texts wrapped to `width` columns.
    pub fn painted(&self, width: usize) -> Painted {
        render::problems(&self.sources, &self.problems, width)
    }

    /// Returns the same as a string; without `colour` it is plain text.
    pub fn render(&self, width: usize, colour: bool) -> String {
        self.painted(width).text(colour)
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.sources.path().display();
        match self.problems.as_slice() {
            [problem] => write!(f, "`{path}` has a problem: {}", problem.message),
            problems => write!(f, "`{path}` has {} problems", problems.len()),
        }
    }
}
