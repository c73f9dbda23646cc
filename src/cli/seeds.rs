//! The seeds of `--seeds`.

use std::str::FromStr;

/// A list of seeds: `0..4` (both ends included), `13,21,42`, or both mixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(pub Vec<u64>);

/// More seeds than this are taken for a typing mistake.
const MOST: u64 = 10_000;

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Seeds, String> {
        let number = |text: &str| {
            let parsed = text.trim().parse::<u64>();
            parsed
                .map_err(|_| format!("expected seeds such as `0..4` or `13,21,42`, found `{text}`"))
        };
        let mut seeds = Vec::new();
        for part in text.split(',') {
            match part.split_once("..") {
                None => seeds.push(number(part)?),
                Some((first, last)) => {
                    let (first, last) = (number(first)?, number(last)?);
                    if last < first {
                        return Err(format!("expected the smaller seed first, found `{part}`"));
                    }
                    if last - first >= MOST {
                        return Err(format!("expected at most {MOST} seeds, found `{part}`"));
                    }
                    seeds.extend(first..=last);
                }
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(twice) = seeds.iter().find(|seed| !seen.insert(**seed)) {
            return Err(format!("expected every seed once, found {twice} twice"));
        }
        Ok(Seeds(seeds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_lists() {
        let read = |text: &str| text.parse::<Seeds>().map(|seeds| seeds.0);
        assert_eq!(read("0..4"), Ok(vec![0, 1, 2, 3, 4]));
        assert_eq!(read("7"), Ok(vec![7]));
        assert_eq!(read("13, 21,3..4"), Ok(vec![13, 21, 3, 4]));
        for bad in ["", "4..0", "a", "1,,2", "-1", "0..99999999999", "1,1", "0..2,2", "..3"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
