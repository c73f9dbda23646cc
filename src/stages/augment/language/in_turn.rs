//! Where words end up that are inserted one after the other, without moving the others each time.

/// Returns where words that are inserted in turn end up, of `count` places.
pub(super) fn slots(places: impl Iterator<Item = usize>, count: usize) -> Vec<usize> {
    let places: Vec<usize> = places.collect();
    // Counts of free places (Fenwick 1994, "A new data structure for cumulative frequency tables").
    let mut free: Vec<usize> = (0..=count).map(|at| at & at.wrapping_neg()).collect();
    let mut slots = vec![0; places.len()];
    for (turn, place) in places.iter().enumerate().rev() {
        // Later words have taken their places, so this one stands at its own among those left.
        let words = count - (places.len() - 1 - turn);
        let mut left = (*place).min(words - 1);
        let mut slot = 0;
        for step in (0..usize::BITS).rev().map(|bit| 1usize << bit).filter(|step| *step <= count) {
            if slot + step <= count && free[slot + step] <= left {
                slot += step;
                left -= free[slot];
            }
        }
        slots[turn] = slot;
        let mut at = slot + 1;
        while at <= count {
            free[at] -= 1;
            at += at & at.wrapping_neg();
        }
    }
    slots
}

/// The places before and after each one, while places are taken out.
pub(super) struct Neighbours {
    /// Of each place; the last is a place beyond all.
    before: Vec<usize>,
    after: Vec<usize>,
}

impl Neighbours {
    pub(super) fn new(count: usize) -> Neighbours {
        // Place 0 is one before all, so that the others count from 1.
        Neighbours {
            before: (0..count + 2).map(|at| at.saturating_sub(1)).collect(),
            after: (1..count + 3).collect(),
        }
    }

    /// Takes a place out and returns its neighbours.
    pub(super) fn remove(&mut self, place: usize) -> (Option<usize>, Option<usize>) {
        let (before, after) = (self.before[place + 1], self.after[place + 1]);
        self.after[before] = after;
        self.before[after] = before;
        (before.checked_sub(1), Some(after - 1).filter(|&at| at + 2 < self.before.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_finds_its_place_and_its_neighbours() {
        // `a b` becomes `a 0 b`, `1 a 0 b`, `1 a 0 b 2`.
        let slots = slots([1, 0, 9].into_iter(), 5);
        assert_eq!(slots, [2, 0, 4]);
        let mut neighbours = Neighbours::new(5);
        let met: Vec<_> = slots.iter().rev().map(|slot| neighbours.remove(*slot)).collect();
        assert_eq!(met, [(Some(3), None), (None, Some(1)), (Some(1), Some(3))]);
    }
}
