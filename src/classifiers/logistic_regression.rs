//! Logistic regression with an L2 penalty, solved to its optimum.
//!
//! The objective is the one of scikit-learn's `LogisticRegression`: Σ sᵢ·ℓ(yᵢ, xᵢ) + ‖W‖²/(2C),
//! with free intercepts. Two classes have one vector w and the logistic loss, which is the softmax
//! of ±w/2 with C/2. So one solver does for both: Newton's method, whose steps come from conjugate
//! gradients (Nocedal & Wright, Numerical Optimization, 2nd edition, algorithm 7.1).

use ndarray::{Array1, Array2, Axis, Zip, s};

use super::error::ClassifierError;
use super::numeric::cholesky::Cholesky;
use super::numeric::score::log_sum_exp;
use super::numeric::span::Span;
use super::points::{Linear, Points, counts};

/// The tolerance of [`fit`].
pub const OPTIMUM: f64 = 1e-12;
/// More Newton steps than any fit takes; they end a fit whose numbers are beyond rounding.
const MOST_STEPS: usize = 200;
/// Conjugate gradients stop at this share of the first residual.
const FORCING: f64 = 1e-2;
/// The most steps of conjugate gradients for one Newton step.
const MOST_TURNS: usize = 250;

/// Fits logistic regression to points.
///
/// The intercepts of three or more classes are free up to a common number, and have the sum 0. The
/// two logits of two classes are ±(wᵀx + b)/2.
///
/// # Errors
///
/// Refuses points that [`Points::check`] refuses, and a `c` that is not positive and finite.
pub fn fit(points: &Points<'_>, c: f64) -> Result<Linear, ClassifierError> {
    let path = path(points, &[c], OPTIMUM)?;
    path.into_iter().next().ok_or(ClassifierError::Overflow)
}

/// Fits logistic regression for several C, each starting where the last one ended. No entry of the
/// gradient is larger at the end than `tolerance` times the sum of weights and the largest number
/// of the points; [`OPTIMUM`] is as far as numbers go.
///
/// # Errors
///
/// As for [`fit`].
pub fn path(
    points: &Points<'_>,
    cs: &[f64],
    tolerance: f64,
) -> Result<Vec<Linear>, ClassifierError> {
    points.check()?;
    if let Some(&value) = cs.iter().find(|c| !(c.is_finite() && **c > 0.0)) {
        let expected = "a positive finite number";
        return Err(ClassifierError::Setting { name: "c", value, expected });
    }
    let problem = Problem::of(points, tolerance);
    let mut at = Array2::zeros((problem.features.ncols(), points.classes));
    let mut found = Vec::with_capacity(cs.len());
    for &c in cs {
        at = problem.solve(at, if points.classes == 2 { 2.0 / c } else { 1.0 / c });
        found.push(problem.linear(&at).finite()?);
    }
    Ok(found)
}

/// Returns weights under which all classes count the same: N/(K·n_c), scikit-learn's
/// `class_weight="balanced"`. Each class that occurs gets its share.
pub fn balanced(labels: &[usize], classes: usize) -> Vec<f64> {
    let counts = counts(labels, classes);
    let whole = labels.len() as f64 / classes as f64;
    let weight = |&label: &usize| counts.get(label).map_or(1.0, |&count| whole / count as f64);
    labels.iter().map(weight).collect()
}

/// What is minimised. A place is a matrix `[r + 1, K]` whose last row holds the intercepts.
struct Problem<'a> {
    span: Span,
    /// The coordinates of the points, and a column of ones: `[N, r + 1]`.
    features: Array2<f64>,
    labels: &'a [usize],
    weights: Array1<f64>,
    /// A gradient without a larger entry is taken for 0.
    least_gradient: f64,
}

/// A place, with what is known of it.
struct Place {
    at: Array2<f64>,
    /// `[N, K]`
    logits: Array2<f64>,
    value: f64,
}

impl<'a> Problem<'a> {
    fn of(points: &Points<'a>, tolerance: f64) -> Problem<'a> {
        let span = Span::of(points.x);
        let (n, r) = span.coordinates.dim();
        let mut features = Array2::ones((n, r + 1));
        features.slice_mut(s![.., ..r]).assign(&span.coordinates);
        let weights: Array1<f64> = (0..n).map(|point| points.weight(point)).collect();
        let size = features.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        let least_gradient = tolerance * weights.sum() * size;
        Problem { span, features, labels: points.labels, weights, least_gradient }
    }

    /// Returns the map that a place means.
    fn linear(&self, at: &Array2<f64>) -> Linear {
        let last = at.nrows() - 1;
        let weight = self.span.lift(at.slice(s![..last, ..]).t().to_owned());
        let bias = at.row(last).to_owned();
        let mean = bias.sum() / bias.len() as f64;
        Linear { weight, bias: bias - mean }
    }

    /// Returns the place where Σ sᵢ·ℓᵢ + ½·penalty·‖W‖² is least.
    fn solve(&self, start: Array2<f64>, penalty: f64) -> Array2<f64> {
        let logits = self.features.dot(&start);
        let value = self.value(&start, &logits, penalty);
        let mut place = Place { at: start, logits, value };
        let mut last = f64::INFINITY;
        let mut mean = Mean::default();
        for _ in 0..MOST_STEPS {
            let probabilities = self.probabilities(&place.logits);
            let gradient = self.gradient(&place.at, &probabilities, penalty);
            let size = gradient.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
            if size <= self.least_gradient || !size.is_finite() {
                break;
            }
            mean.renew(self, &probabilities, penalty);
            let curvature = Curvature { problem: self, probabilities: &probabilities, penalty };
            let direction = curvature.newton_step(&gradient, &mut mean);
            let slope = (&gradient * &direction).sum();
            // Where values differ by rounding alone, the gradient says whether a step helps.
            let is_near = -slope <= 1e-11 * (place.value.abs() + f64::MIN_POSITIVE);
            if is_near && size > 0.5 * last {
                break;
            }
            last = if is_near { size } else { f64::INFINITY };
            match self.step(&place, &direction, slope, penalty, is_near) {
                Some(next) => place = next,
                None => break,
            }
        }
        place.at
    }

    /// Walks along a direction until the value has fallen as the slope promises (Armijo 1966).
    fn step(
        &self,
        from: &Place,
        direction: &Array2<f64>,
        slope: f64,
        penalty: f64,
        whole: bool,
    ) -> Option<Place> {
        let along = self.features.dot(direction);
        let mut length = 1.0;
        for _ in 0..60 {
            let mut at = from.at.clone();
            at.scaled_add(length, direction);
            let mut logits = from.logits.clone();
            logits.scaled_add(length, &along);
            let value = self.value(&at, &logits, penalty);
            if value.is_finite() && (whole || value <= from.value + 1e-4 * length * slope) {
                // Products of features do not gather rounding, sums of steps do.
                let logits = if whole { self.features.dot(&at) } else { logits };
                return Some(Place { at, logits, value });
            }
            length /= 2.0;
        }
        None
    }

    fn value(&self, at: &Array2<f64>, logits: &Array2<f64>, penalty: f64) -> f64 {
        let mut loss = 0.0;
        for ((row, &label), weight) in logits.rows().into_iter().zip(self.labels).zip(&self.weights)
        {
            loss += weight * (log_sum_exp(row) - row[label]);
        }
        let vectors = at.slice(s![..at.nrows() - 1, ..]);
        loss + penalty / 2.0 * vectors.iter().map(|value| value * value).sum::<f64>()
    }

    /// Returns the probabilities `[N, K]` of logits.
    fn probabilities(&self, logits: &Array2<f64>) -> Array2<f64> {
        let mut probabilities = logits.clone();
        for mut row in probabilities.rows_mut() {
            let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.mapv_inplace(|value| (value - most).exp());
            let sum = row.sum();
            row /= sum;
        }
        probabilities
    }

    fn gradient(&self, at: &Array2<f64>, probabilities: &Array2<f64>, penalty: f64) -> Array2<f64> {
        let mut error = probabilities.clone();
        for ((mut row, &label), &weight) in
            error.rows_mut().into_iter().zip(self.labels).zip(&self.weights)
        {
            row[label] -= 1.0;
            row *= weight;
        }
        let mut gradient = self.features.t().dot(&error);
        let last = at.nrows() - 1;
        gradient.slice_mut(s![..last, ..]).scaled_add(penalty, &at.slice(s![..last, ..]));
        gradient
    }
}

/// An approximation of the second derivatives that can be inverted: one matrix `[r + 1, r + 1]` in
/// place of those of all pairs of classes. Each point counts by its mean curvature over the
/// differences of classes. For two classes it is exact.
#[derive(Default)]
struct Mean {
    factor: Option<Cholesky>,
    /// The steps of conjugate gradients with the factor when it was new, and at last.
    first_turns: usize,
    turns: usize,
}

impl Mean {
    /// Computes the factor, unless the last one still saves more time than it costs: one is worth
    /// about r/(3K) steps of conjugate gradients.
    fn renew(&mut self, problem: &Problem<'_>, probabilities: &Array2<f64>, penalty: f64) {
        let classes = probabilities.ncols();
        let worth = problem.features.ncols() / (3 * classes);
        if self.factor.is_some() && self.turns <= self.first_turns + worth {
            return;
        }
        let freedom = classes as f64 - 1.0;
        let mut roots = problem.features.clone();
        for ((mut row, shares), weight) in
            roots.rows_mut().into_iter().zip(probabilities.rows()).zip(&problem.weights)
        {
            let spread: f64 = shares.iter().map(|share| share * (1.0 - share)).sum();
            row *= (weight * spread / freedom).sqrt();
        }
        let mut mean = roots.t().dot(&roots);
        let last = mean.nrows() - 1;
        mean.diag_mut().slice_mut(s![..last]).mapv_inplace(|entry| entry + penalty);
        // Rounding must not make it indefinite; the steps stay those of the true curvature.
        let most = mean.diag().iter().copied().fold(0.0, f64::max);
        self.factor = [1e-13, 1e-9, 1e-5].into_iter().find_map(|share| {
            let mut lifted = mean.clone();
            lifted.diag_mut().mapv_inplace(|entry| entry + share * most);
            Cholesky::of(lifted)
        });
        self.first_turns = 0;
    }

    /// Solves with the approximation, and takes out what all classes share, which is rounding: a
    /// common shift of all logits changes nothing.
    fn solve(&self, residual: &Array2<f64>) -> Array2<f64> {
        let mut solved = residual.clone();
        if let Some(factor) = &self.factor {
            factor.solve(&mut solved);
        }
        let classes = solved.ncols() as f64;
        let shared = solved.sum_axis(Axis(1)) / classes;
        solved - &shared.insert_axis(Axis(1))
    }

    /// Keeps how many steps the last solution took.
    fn took(&mut self, turns: usize) {
        self.turns = turns;
        if self.first_turns == 0 {
            self.first_turns = turns;
        }
    }
}

/// The second derivatives at a place.
struct Curvature<'a> {
    problem: &'a Problem<'a>,
    probabilities: &'a Array2<f64>,
    penalty: f64,
}

impl Curvature<'_> {
    /// Solves H·direction = −gradient by conjugate gradients, roughly: the next step mends it.
    fn newton_step(&self, gradient: &Array2<f64>, mean: &mut Mean) -> Array2<f64> {
        let mut direction = Array2::zeros(gradient.dim());
        let mut residual = gradient.mapv(|value| -value);
        let mut improved = mean.solve(&residual);
        let mut along = improved.clone();
        let mut size = (&residual * &improved).sum();
        let enough = size * FORCING * FORCING;
        let mut turns = 0;
        while turns < MOST_TURNS {
            turns += 1;
            let product = self.product(&along);
            let bend = (&along * &product).sum();
            if !(bend > 0.0 && size > 0.0) {
                break;
            }
            let length = size / bend;
            direction.scaled_add(length, &along);
            residual.scaled_add(-length, &product);
            improved = mean.solve(&residual);
            let next = (&residual * &improved).sum();
            if next <= enough {
                break;
            }
            along = &improved + &(along * (next / size));
            size = next;
        }
        mean.took(turns);
        direction
    }

    /// Returns the product of the second derivatives and a direction.
    fn product(&self, direction: &Array2<f64>) -> Array2<f64> {
        let mut along = self.problem.features.dot(direction);
        for ((mut row, shares), &weight) in
            along.rows_mut().into_iter().zip(self.probabilities.rows()).zip(&self.problem.weights)
        {
            let mean = row.dot(&shares);
            Zip::from(&mut row)
                .and(&shares)
                .for_each(|value, share| *value = weight * share * (*value - mean));
        }
        let mut product = self.problem.features.t().dot(&along);
        let last = direction.nrows() - 1;
        product
            .slice_mut(s![..last, ..])
            .scaled_add(self.penalty, &direction.slice(s![..last, ..]));
        product
    }
}
