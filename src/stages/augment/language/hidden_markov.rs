//! Hidden Markov models over word numbers: Baum-Welch, Viterbi, sampling (Rabiner 1989).
//!
//! Dimensions: `K` states, `V` words. Forward and backward variables are scaled at every word
//! (Rabiner, section V.A) instead of kept as logarithms. This is as safe from underflow and takes a
//! tenth of the time.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::weighted::{cumulative, draw};

/// A hidden Markov model with an end: every state has a probability to be the last of its text.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::stages::augment) struct HiddenMarkov {
    states: usize,
    vocabulary: usize,
    /// `[K]`, the probability of the first state.
    start: Vec<f64>,
    /// `[K, K + 1]`, the probability of the next state; the last column is the end.
    transition: Vec<f64>,
    /// `[V, K]`, the probability of a word in a state; one row per word, because rows are read by
    /// word.
    emission: Vec<f64>,
}

/// Sums of expected counts, in the layout of the model.
#[derive(Clone)]
struct Counts {
    start: Vec<f64>,
    transition: Vec<f64>,
    emission: Vec<f64>,
    log_likelihood: f64,
}

/// The number of parts that texts are cut into for threads. It is fixed, so that sums are the same
/// for any number of threads.
const PARTS: usize = 16;

impl HiddenMarkov {
    /// Returns a model of random probabilities.
    pub(in crate::stages::augment) fn random(
        states: usize,
        vocabulary: usize,
        random: &mut ChaCha8Rng,
    ) -> HiddenMarkov {
        let mut draw = |rows: usize, columns: usize| -> Vec<f64> {
            let mut values: Vec<f64> =
                (0..rows * columns).map(|_| 0.5 + random.random::<f64>()).collect();
            values.chunks_mut(columns.max(1)).for_each(to_shares);
            values
        };
        let start = draw(1, states);
        let transition = draw(states, states + 1);
        let by_state = draw(states, vocabulary);
        let emission = (0..vocabulary * states)
            .map(|at| by_state[at % states * vocabulary + at / states])
            .collect();
        HiddenMarkov { states, vocabulary, start, transition, emission }
    }

    /// Fits a model by Baum-Welch from each of several random initialisations. Returns the model of
    /// the greatest likelihood, and its log-likelihood after each iteration. Texts without words
    /// are ignored. `None` if there is no initialisation, or if `stop` returns true.
    pub(in crate::stages::augment) fn fit(
        sequences: &[Vec<u32>],
        vocabulary: usize,
        states: usize,
        iterations: usize,
        beginnings: impl IntoIterator<Item = ChaCha8Rng>,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Option<(HiddenMarkov, Vec<f64>)> {
        let mut best: Option<(HiddenMarkov, Vec<f64>)> = None;
        for mut random in beginnings {
            let mut model = HiddenMarkov::random(states, vocabulary, &mut random);
            let mut likelihoods = Vec::with_capacity(iterations + 1);
            for _ in 0..iterations {
                if stop() {
                    return None;
                }
                let counts = model.expected(sequences);
                likelihoods.push(counts.log_likelihood);
                model.maximise(counts);
            }
            likelihoods.push(model.expected(sequences).log_likelihood);
            // The first of equals; NaN is worse than any number.
            let last =
                |likelihoods: &[f64]| likelihoods.last().copied().filter(|last| !last.is_nan());
            if best.as_ref().is_none_or(|(_, known)| last(&likelihoods) > last(known)) {
                best = Some((model, likelihoods));
            }
        }
        best
    }

    /// Returns the expected counts of all texts under this model (the E step).
    fn expected(&self, sequences: &[Vec<u32>]) -> Counts {
        let size = sequences.len().div_ceil(PARTS).max(1);
        let parts: Vec<Counts> = sequences
            .par_chunks(size)
            .map(|part| {
                let mut counts = self.no_counts();
                let mut scratch = Scratch::default();
                for sequence in part.iter().filter(|sequence| !sequence.is_empty()) {
                    self.count(sequence, &mut counts, &mut scratch);
                }
                counts
            })
            .collect();
        let add = |sum: &mut Vec<f64>, part: &[f64]| {
            sum.iter_mut().zip(part).for_each(|(sum, value)| *sum += value)
        };
        parts.into_iter().fold(self.no_counts(), |mut sum, part| {
            add(&mut sum.start, &part.start);
            add(&mut sum.transition, &part.transition);
            add(&mut sum.emission, &part.emission);
            sum.log_likelihood += part.log_likelihood;
            sum
        })
    }

    fn no_counts(&self) -> Counts {
        Counts {
            start: vec![0.0; self.states],
            transition: vec![0.0; self.states * (self.states + 1)],
            emission: vec![0.0; self.vocabulary * self.states],
            log_likelihood: 0.0,
        }
    }

    /// Adds a text's expected counts: a forward pass, then a backward pass that counts.
    fn count(&self, sequence: &[u32], counts: &mut Counts, scratch: &mut Scratch) {
        let k = self.states;
        let Scratch { forward, scales, beta, weighted } = scratch;
        forward.clear();
        scales.clear();
        // forward[t, j] = p(state j | words up to t)
        for (t, &word) in sequence.iter().enumerate() {
            let emission = self.emissions(word);
            let mut row = vec![0.0; k];
            if t == 0 {
                row.copy_from_slice(&self.start);
            } else {
                let before = &forward[(t - 1) * k..];
                for (i, &from) in before.iter().enumerate() {
                    for (value, step) in row.iter_mut().zip(self.steps(i)) {
                        *value += from * step;
                    }
                }
            }
            row.iter_mut().zip(emission).for_each(|(value, emission)| *value *= emission);
            let scale: f64 = row.iter().sum();
            row.iter_mut().for_each(|value| *value /= scale);
            counts.log_likelihood += scale.ln();
            scales.push(scale);
            forward.extend(row);
        }
        let last = (sequence.len() - 1) * k;
        let end: f64 = (0..k).map(|i| forward[last + i] * self.end(i)).sum();
        counts.log_likelihood += end.ln();
        // beta[i] is scaled so that forward · beta is the posterior of a state given the whole
        // text.
        beta.clear();
        beta.extend((0..k).map(|i| self.end(i) / end));
        for i in 0..k {
            counts.transition[i * (k + 1) + k] += forward[last + i] * beta[i];
        }
        for t in (0..sequence.len()).rev() {
            let here = &forward[t * k..(t + 1) * k];
            let word = sequence[t] as usize;
            for i in 0..k {
                counts.emission[word * k + i] += here[i] * beta[i];
            }
            if t == 0 {
                for i in 0..k {
                    counts.start[i] += here[i] * beta[i];
                }
                break;
            }
            weighted.clear();
            let emission = self.emissions(sequence[t]);
            weighted.extend(
                beta.iter().zip(emission).map(|(beta, emission)| beta * emission / scales[t]),
            );
            let before = &forward[(t - 1) * k..t * k];
            for i in 0..k {
                let mut sum = 0.0;
                let expected = &mut counts.transition[i * (k + 1)..];
                for ((weight, step), count) in weighted.iter().zip(self.steps(i)).zip(expected) {
                    let value = step * weight;
                    sum += value;
                    *count += before[i] * value;
                }
                beta[i] = sum;
            }
        }
    }

    /// Replaces the probabilities by the normalised counts (the M step). An unused state keeps its
    /// probabilities.
    fn maximise(&mut self, counts: Counts) {
        let k = self.states;
        share(&counts.start, &mut self.start);
        for i in 0..k {
            share(
                &counts.transition[i * (k + 1)..(i + 1) * (k + 1)],
                &mut self.transition[i * (k + 1)..(i + 1) * (k + 1)],
            );
        }
        let mut sums = vec![0.0; k];
        for row in counts.emission.chunks(k) {
            sums.iter_mut().zip(row).for_each(|(sum, count)| *sum += count);
        }
        for (row, counted) in self.emission.chunks_mut(k).zip(counts.emission.chunks(k)) {
            for ((value, count), sum) in row.iter_mut().zip(counted).zip(&sums) {
                if *sum > 0.0 {
                    *value = count / sum;
                }
            }
        }
    }

    /// Mixes every state's word probabilities with the unigram of all texts: (1 − ε)·b + ε·unigram.
    pub(in crate::stages::augment) fn smooth(&mut self, sequences: &[Vec<u32>], epsilon: f64) {
        let mut unigram = vec![0.0; self.vocabulary];
        sequences.iter().flatten().for_each(|&word| unigram[word as usize] += 1.0);
        to_shares(&mut unigram);
        for (row, share) in self.emission.chunks_mut(self.states).zip(unigram) {
            row.iter_mut().for_each(|value| *value = (1.0 - epsilon) * *value + epsilon * share);
        }
    }

    /// Returns the likeliest states of a text's words (Viterbi); the lower of equally likely ones.
    /// An unknown word has no effect.
    pub(in crate::stages::augment) fn decode(&self, sequence: &[Option<u32>]) -> Vec<usize> {
        let k = self.states;
        let log_emission = |word: Option<u32>, state: usize| {
            word.map_or(0.0, |word| self.emissions(word)[state].ln())
        };
        let mut best: Vec<f64> = Vec::new();
        let mut from: Vec<Vec<usize>> = Vec::with_capacity(sequence.len());
        for (t, &word) in sequence.iter().enumerate() {
            let mut origins = vec![0; k];
            let row = (0..k).map(|j| {
                let score = if t == 0 {
                    self.start[j].ln()
                } else {
                    let (origin, score) = highest((0..k).map(|i| best[i] + self.steps(i)[j].ln()));
                    origins[j] = origin;
                    score
                };
                score + log_emission(word, j)
            });
            best = row.collect();
            from.push(origins);
        }
        if sequence.is_empty() {
            return Vec::new();
        }
        let (mut state, _) = highest((0..k).map(|i| best[i] + self.end(i).ln()));
        let mut states = vec![state; sequence.len()];
        for t in (1..sequence.len()).rev() {
            state = from[t][state];
            states[t - 1] = state;
        }
        states
    }

    /// Returns, for each state, the running sums of its words' probabilities, for [`draw`].
    pub(in crate::stages::augment) fn cumulative_emissions(&self) -> Vec<Vec<f64>> {
        let sums = |state: usize| {
            cumulative((0..self.vocabulary).map(|word| self.emission[word * self.states + state]))
        };
        (0..self.states).map(sums).collect()
    }

    /// Draws the states of a text of at most `longest` words; `None` if the text is longer.
    pub(in crate::stages::augment) fn draw_states(
        &self,
        longest: usize,
        random: &mut ChaCha8Rng,
    ) -> Option<Vec<usize>> {
        let k = self.states;
        let mut states = vec![draw(&cumulative(self.start.iter().copied()), random)];
        loop {
            let now = states[states.len() - 1];
            let row = &self.transition[now * (k + 1)..(now + 1) * (k + 1)];
            match draw(&cumulative(row.iter().copied()), random) {
                end if end == k => return Some(states),
                _ if states.len() == longest => return None,
                next => states.push(next),
            }
        }
    }

    /// `[K]`, the probabilities of a word.
    fn emissions(&self, word: u32) -> &[f64] {
        &self.emission[word as usize * self.states..(word as usize + 1) * self.states]
    }

    /// `[K]`, the probabilities of the next states, without the end.
    fn steps(&self, state: usize) -> &[f64] {
        &self.transition[state * (self.states + 1)..][..self.states]
    }

    fn end(&self, state: usize) -> f64 {
        self.transition[state * (self.states + 1) + self.states]
    }
}

/// Buffers of the E step.
#[derive(Default)]
struct Scratch {
    forward: Vec<f64>,
    scales: Vec<f64>,
    beta: Vec<f64>,
    weighted: Vec<f64>,
}

fn highest(values: impl Iterator<Item = f64>) -> (usize, f64) {
    values.enumerate().fold(
        (0, f64::NEG_INFINITY),
        |best, (at, value)| if value > best.1 { (at, value) } else { best },
    )
}

fn to_shares(values: &mut [f64]) {
    let sum: f64 = values.iter().sum();
    values.iter_mut().for_each(|value| *value /= sum);
}

fn share(counts: &[f64], probabilities: &mut [f64]) {
    let sum: f64 = counts.iter().sum();
    if sum > 0.0 {
        probabilities
            .iter_mut()
            .zip(counts)
            .for_each(|(probability, count)| *probability = count / sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::stream;
    use proptest::prelude::*;

    fn random(seed: u64) -> ChaCha8Rng {
        stream(seed, &["test"], 0)
    }

    /// All paths of this many words through this many states.
    fn paths(states: usize, length: usize) -> impl Iterator<Item = Vec<usize>> {
        (0..states.pow(length as u32)).map(move |number| {
            (0..length as u32).map(|place| number / states.pow(place) % states).collect()
        })
    }

    /// The probability of a text together with its states, by the definition.
    fn joint(model: &HiddenMarkov, words: &[u32], states: &[usize]) -> f64 {
        let mut probability = model.start[states[0]];
        for (t, (&word, &state)) in words.iter().zip(states).enumerate() {
            probability *= model.emissions(word)[state];
            probability *= if t + 1 < words.len() {
                model.steps(state)[states[t + 1]]
            } else {
                model.end(state)
            };
        }
        probability
    }

    proptest! {
        #[test]
        fn likelihood_and_best_path_are_those_of_all_paths(
            words in prop::collection::vec(0..3_u32, 1..6), states in 1..4_usize, seed: u64,
        ) {
            let model = HiddenMarkov::random(states, 3, &mut random(seed));
            let all = || paths(states, words.len()).map(|path| joint(&model, &words, &path));
            let total: f64 = all().sum();
            let likelihood = model.expected(std::slice::from_ref(&words)).log_likelihood;
            prop_assert!((likelihood - total.ln()).abs() < 1e-10, "{likelihood} {}", total.ln());
            let best = all().fold(0.0, f64::max);
            let known: Vec<Option<u32>> = words.iter().copied().map(Some).collect();
            let found = joint(&model, &words, &model.decode(&known));
            prop_assert!((found / best - 1.0).abs() < 1e-10, "{found} {best}");
        }

        #[test]
        fn expected_counts_are_those_of_all_paths(
            words in prop::collection::vec(0..3_u32, 1..5), seed: u64,
        ) {
            let model = HiddenMarkov::random(2, 3, &mut random(seed));
            let total: f64 = paths(2, words.len()).map(|path| joint(&model, &words, &path)).sum();
            let mut expected = model.no_counts();
            for path in paths(2, words.len()) {
                let probability = joint(&model, &words, &path) / total;
                expected.start[path[0]] += probability;
                for (t, &state) in path.iter().enumerate() {
                    expected.emission[words[t] as usize * 2 + state] += probability;
                    let next = path.get(t + 1).copied().unwrap_or(2);
                    expected.transition[state * 3 + next] += probability;
                }
            }
            let found = model.expected(std::slice::from_ref(&words));
            for (found, expected) in [
                (&found.start, &expected.start),
                (&found.transition, &expected.transition),
                (&found.emission, &expected.emission),
            ] {
                for (found, expected) in found.iter().zip(expected) {
                    prop_assert!((found - expected).abs() < 1e-10, "{found} {expected}");
                }
            }
        }

        #[test]
        fn the_likelihood_never_falls(
            sequences in prop::collection::vec(prop::collection::vec(0..6_u32, 0..12), 1..20),
            states in 1..6_usize,
            seed: u64,
        ) {
            let fitted = HiddenMarkov::fit(&sequences, 6, states, 15, [random(seed)], &|| false);
            let Some((model, likelihoods)) = fitted else { return Ok(()) };
            for pair in likelihoods.windows(2) {
                prop_assert!(pair[1] >= pair[0] - 1e-9 * (1.0 + pair[0].abs()), "{likelihoods:?}");
            }
            let mut all = model.start.iter().chain(&model.transition).chain(&model.emission);
            prop_assert!(all.all(|p| (0.0..=1.0 + 1e-12).contains(p)));
        }
    }

    /// A model of two states that differ clearly.
    fn known() -> HiddenMarkov {
        HiddenMarkov {
            states: 2,
            vocabulary: 4,
            start: vec![0.9, 0.1],
            transition: vec![0.7, 0.2, 0.1, 0.3, 0.5, 0.2],
            // By word: the first state has mostly 0 and 1, the second 2 and 3.
            emission: vec![0.6, 0.05, 0.3, 0.05, 0.05, 0.2, 0.05, 0.7],
        }
    }

    fn sample(model: &HiddenMarkov, texts: usize) -> Vec<Vec<u32>> {
        let emissions = model.cumulative_emissions();
        let mut random = random(3);
        let mut text = |_| {
            let states = model.draw_states(1000, &mut random).unwrap_or_default();
            states.into_iter().map(|state| draw(&emissions[state], &mut random) as u32).collect()
        };
        (0..texts).map(&mut text).collect()
    }

    #[test]
    fn recovers_a_known_model() {
        let truth = known();
        let sequences = sample(&truth, 6000);
        let Some((found, likelihoods)) =
            HiddenMarkov::fit(&sequences, 4, 2, 200, (0..3).map(random), &|| false)
        else {
            panic!("there are three initialisations")
        };
        assert!(
            likelihoods.last() >= Some(&truth.expected(&sequences).log_likelihood),
            "the fit is at least as likely as the truth"
        );
        // States have no names: the first is the one that prefers the first word.
        let first = usize::from(found.emission[1] > found.emission[0]);
        let order = [first, 1 - first];
        for (i, &state) in order.iter().enumerate() {
            assert!((found.start[state] - truth.start[i]).abs() < 0.05);
            assert!((found.end(state) - truth.end(i)).abs() < 0.05, "{found:?}");
            for (j, &next) in order.iter().enumerate() {
                assert!((found.steps(state)[next] - truth.steps(i)[j]).abs() < 0.05, "{found:?}");
            }
            for word in 0..4 {
                assert!(
                    (found.emissions(word)[state] - truth.emissions(word)[i]).abs() < 0.05,
                    "{found:?}"
                );
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() -> Result<(), rayon::ThreadPoolBuildError> {
        let sequences = sample(&known(), 200);
        let with =
            |threads| -> Result<Option<(HiddenMarkov, Vec<f64>)>, rayon::ThreadPoolBuildError> {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
                Ok(pool.install(|| {
                    HiddenMarkov::fit(&sequences, 4, 3, 10, (0..3).map(random), &|| false)
                }))
            };
        assert_eq!(with(1)?, with(3)?);
        assert!(with(1)?.is_some());
        assert!(HiddenMarkov::fit(&sequences, 4, 3, 10, [random(1)], &|| true).is_none());
        Ok(())
    }

    #[test]
    fn long_texts_do_not_underflow_and_unknown_words_say_nothing() {
        let model = known();
        let long = vec![[0, 2].repeat(5000)];
        assert!(model.expected(&long).log_likelihood.is_finite());
        assert_eq!(model.decode(&[Some(0), None, Some(0)]), [0, 0, 0]);
        assert!(model.decode(&[]).is_empty());
    }

    #[test]
    fn smoothing_mixes_with_the_words_of_all_texts() {
        let mut model = known();
        model.smooth(&[vec![0, 0, 3, 1]], 0.5);
        assert_eq!(model.emissions(0), [0.5 * 0.6 + 0.25, 0.5 * 0.05 + 0.25]);
        assert_eq!(model.emissions(2), [0.025, 0.1]);
    }
}
