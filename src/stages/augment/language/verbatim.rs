//! Finds runs of words in a collection of texts: a suffix automaton (Blumer et al. 1985).

/// A suffix automaton over sequences of word numbers. Building and queries take time linear in the
/// number of words.
pub(in crate::stages::augment) struct Verbatim {
    states: Vec<State>,
}

#[derive(Clone)]
struct State {
    /// The length of the longest run that leads here.
    length: u32,
    /// The state of the longest suffix that leads to another state; at the root, the root itself.
    link: u32,
    /// The sequence in which a run that leads here ends first.
    sequence: u32,
    /// The next state of each word, sorted by word.
    next: Vec<(u32, u32)>,
}

impl State {
    fn step(&self, word: u32) -> Option<u32> {
        self.next.binary_search_by_key(&word, |(word, _)| *word).ok().map(|at| self.next[at].1)
    }

    fn set(&mut self, word: u32, state: u32) {
        match self.next.binary_search_by_key(&word, |(word, _)| *word) {
            Ok(at) => self.next[at].1 = state,
            Err(at) => self.next.insert(at, (word, state)),
        }
    }
}

const ROOT: u32 = 0;
/// Above all words.
const SEPARATORS: u32 = 1 << 31;

impl Verbatim {
    /// Builds the automaton.
    pub(in crate::stages::augment) fn of(sequences: &[Vec<u32>]) -> Verbatim {
        let root = State { length: 0, link: ROOT, sequence: 0, next: Vec::new() };
        let mut automaton = Verbatim { states: vec![root] };
        let mut last = ROOT;
        for (index, sequence) in sequences.iter().enumerate() {
            for &word in sequence {
                last = automaton.extend(last, word, index as u32);
            }
            // A unique word after each sequence, so that no run crosses its end. These words
            // ascend, so that they are added at the ends of lists.
            last = automaton.extend(last, SEPARATORS + index as u32, index as u32);
        }
        automaton
    }

    fn extend(&mut self, last: u32, word: u32, sequence: u32) -> u32 {
        let new = self.states.len() as u32;
        let length = self.states[last as usize].length + 1;
        self.states.push(State { length, link: ROOT, sequence, next: Vec::new() });
        let mut at = last;
        let known = loop {
            let state = &mut self.states[at as usize];
            match state.step(word) {
                Some(known) => break Some(known),
                None => state.set(word, new),
            }
            if at == ROOT {
                break None;
            }
            at = state.link;
        };
        let Some(known) = known else { return new };
        let short = self.states[at as usize].length + 1;
        if self.states[known as usize].length == short {
            self.states[new as usize].link = known;
            return new;
        }
        // The shorter runs that lead to `known` now end in more places than the longer ones.
        let copy = self.states.len() as u32;
        let state = State { length: short, ..self.states[known as usize].clone() };
        self.states.push(state);
        loop {
            let state = &mut self.states[at as usize];
            if state.step(word) != Some(known) {
                break;
            }
            state.set(word, copy);
            if at == ROOT {
                break;
            }
            at = state.link;
        }
        self.states[known as usize].link = copy;
        self.states[new as usize].link = copy;
        new
    }

    /// Returns the length of the longest run of words that occurs in one of the sequences. An
    /// unknown word ends a run.
    pub(in crate::stages::augment) fn longest_run(&self, words: &[Option<u32>]) -> usize {
        let (mut at, mut length, mut longest) = (ROOT, 0, 0);
        for word in words {
            let Some(word) = *word else {
                (at, length) = (ROOT, 0);
                continue;
            };
            loop {
                if let Some(next) = self.states[at as usize].step(word) {
                    (at, length) = (next, length + 1);
                    break;
                }
                if at == ROOT {
                    break;
                }
                at = self.states[at as usize].link;
                length = self.states[at as usize].length as usize;
            }
            longest = longest.max(length);
        }
        longest
    }

    /// Cuts words into runs, each as long as possible, and returns the first sequence that contains
    /// each run.
    pub(in crate::stages::augment) fn sources(&self, words: &[u32]) -> Vec<usize> {
        let mut sources = Vec::new();
        let mut at = ROOT;
        for &word in words {
            let next = self.states[at as usize].step(word);
            if next.is_none() && at != ROOT {
                sources.push(self.states[at as usize].sequence as usize);
            }
            at = next.or_else(|| self.states[ROOT as usize].step(word)).unwrap_or(ROOT);
        }
        if at != ROOT {
            sources.push(self.states[at as usize].sequence as usize);
        }
        sources
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stands_in(sequences: &[Vec<u32>], run: &[u32]) -> bool {
        sequences
            .iter()
            .any(|sequence| sequence.windows(run.len().max(1)).any(|window| window == run))
    }

    proptest! {
        #[test]
        fn agrees_with_trying_all_runs(
            sequences in prop::collection::vec(prop::collection::vec(0..4_u32, 0..9), 0..7),
            words in prop::collection::vec(0..5_u32, 0..12),
        ) {
            let automaton = Verbatim::of(&sequences);
            let known = words.iter().map(|&word| (word < 4).then_some(word));
            let known: Vec<Option<u32>> = known.collect();
            let runs = (0..words.len())
                .flat_map(|start| (start + 1..=words.len()).map(move |end| (start, end)));
            let longest = runs
                .filter(|&(start, end)| stands_in(&sequences, &words[start..end]))
                .map(|(start, end)| end - start)
                .max();
            prop_assert_eq!(automaton.longest_run(&known), longest.unwrap_or(0));
            let elements = sequences.iter().map(|sequence| sequence.len() + 1).sum::<usize>();
            prop_assert!(automaton.states.len() <= 2 * elements + 1);
            let mut start = 0;
            let mut sources = automaton.sources(&words).into_iter();
            while start < words.len() {
                let mut ends = (start + 1..=words.len()).rev();
                let end = ends.find(|&end| stands_in(&sequences, &words[start..end]));
                let Some(end) = end else {
                    start += 1;
                    continue;
                };
                let source = sources.next();
                let holds = |source: usize| {
                    stands_in(&sequences[source..=source], &words[start..end])
                };
                prop_assert!(source.is_some_and(holds));
                start = end;
            }
            prop_assert_eq!(sources.next(), None);
        }
    }
}
