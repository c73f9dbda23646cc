//! What can be wrong with points and settings.

/// An error of a classifier. Classes and points are named by their number, from 0; the caller knows
/// their names.
#[derive(Clone, Debug, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum ClassifierError {
    #[error("{points} points have {found} {what}")]
    #[diagnostic(help("give each point one of them"))]
    Lengths { points: usize, found: usize, what: &'static str },

    #[error("extra points have {found} numbers each, the points have {size}")]
    #[diagnostic(help("compute both by the same encoder"))]
    Sizes { size: usize, found: usize },

    #[error("{classes} class is given, expected at least 2")]
    #[diagnostic(help("a classifier tells classes apart: add points of another class"))]
    FewClasses { classes: usize },

    #[error("point {point} is of class {label}, but there are only {classes} classes from 0")]
    #[diagnostic(help("raise the number of classes, or correct the label"))]
    UnknownClass { point: usize, label: usize, classes: usize },

    #[error("class {class} has no point")]
    #[diagnostic(help("add a point of this class, or leave the class out"))]
    EmptyClass { class: usize },

    #[error("class {class} has only one point, expected at least 2")]
    #[diagnostic(help(
        "folds and leave-one-out need a second point of each class: add one, or give the settings \
         yourself"
    ))]
    SinglePoint { class: usize },

    #[error("{folds} folds are asked for, but class {class} has only {count} points")]
    #[diagnostic(help("use from 2 to {count} folds, or add points of this class"))]
    TooManyFolds { folds: usize, class: usize, count: usize },

    #[error("{folds} folds are asked for, expected at least 2")]
    #[diagnostic(help("each point is scored by a fit that has not seen it: use 2 folds or more"))]
    TooFewFolds { folds: usize },

    #[error("point {point} is not finite")]
    #[diagnostic(help("an infinite number or NaN came from the encoder: check the model"))]
    NotFinite { point: usize },

    #[error("point {point} has the weight {weight}, expected a positive finite number")]
    #[diagnostic(help("leave a point out that is not to count"))]
    Weight { point: usize, weight: f64 },

    #[error("`{name}` is {value}, expected {expected}")]
    #[diagnostic(help("set `{name}` within these bounds"))]
    Setting { name: &'static str, value: f64, expected: &'static str },

    #[error("a prior has {found} shares for {classes} classes")]
    #[diagnostic(help("give one share for each class"))]
    PriorLength { found: usize, classes: usize },

    #[error("the share of class {class} in a prior is {share}, expected {expected}")]
    #[diagnostic(help("shares are the parts of texts in each class, and their sum is 1"))]
    PriorShare { class: usize, share: f64, expected: &'static str },

    #[error("the shares of a prior have the sum {sum}, expected 1")]
    #[diagnostic(help("divide each share by {sum}"))]
    PriorSum { sum: f64 },

    #[error("the points of each class are all the same, so that they have no covariance")]
    #[diagnostic(help("use prototypes or logistic regression, or add other points"))]
    Flat,

    #[error("{points} points of {classes} classes give no covariance of {size} numbers")]
    #[diagnostic(help("raise `shrinkage`, or add points"))]
    Singular { points: usize, classes: usize, size: usize },

    #[error("a fit left the range of numbers")]
    #[diagnostic(help("scale the points to unit length"))]
    Overflow,
}
