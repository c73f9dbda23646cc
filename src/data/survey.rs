//! What a table of labelled texts looks like, before anything is learnt from it.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::normal;
use super::source::{Original, SourceError, WholeTable};

/// A table as columns of strings; `None` where a row has nothing.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    pub columns: IndexMap<String, Vec<Option<String>>>,
    pub rows: usize,
}

/// The rows that are read at a time.
const PART: usize = 4096;

impl Sheet {
    /// Reads a table to its end.
    pub fn read(mut table: WholeTable) -> Result<Sheet, SourceError> {
        let mut sheet = Sheet::default();
        for name in table.header().unwrap_or_default() {
            sheet.columns.entry(name.clone()).or_default();
        }
        let names: Vec<String> = sheet.columns.keys().cloned().collect();
        while let Some(part) = table.next(PART)? {
            let first = sheet.rows;
            sheet.rows += part.places.len();
            match part.original {
                Original::Fields(rows) => {
                    for (row, fields) in rows.into_iter().enumerate() {
                        for (name, field) in names.iter().zip(fields) {
                            sheet.set(name, first + row, field);
                        }
                    }
                }
                Original::Objects(rows) => {
                    for (row, members) in rows.into_iter().enumerate() {
                        for (name, value) in members {
                            let value = value.get();
                            match serde_json::from_str::<String>(value) {
                                Ok(text) => sheet.set(&name, first + row, text),
                                Err(_) if value == "null" => {}
                                Err(_) => sheet.set(&name, first + row, value.to_owned()),
                            }
                        }
                    }
                }
                Original::Frame(frame) => {
                    for column in frame.columns() {
                        let series = column.as_materialized_series();
                        for (row, value) in series.iter().enumerate() {
                            if !value.is_null() {
                                let text = value.str_value().into_owned();
                                sheet.set(column.name().as_str(), first + row, text);
                            }
                        }
                    }
                }
            }
        }
        for values in sheet.columns.values_mut() {
            values.resize(sheet.rows, None);
        }
        Ok(sheet)
    }

    fn set(&mut self, name: &str, row: usize, value: String) {
        let values = match self.columns.get_mut(name) {
            Some(values) => values,
            None => self.columns.entry(name.to_owned()).or_default(),
        };
        values.resize(row, None);
        values.push(Some(value).filter(|value| !normal::is_blank(value)));
    }
}

/// What the texts and labels of a table look like.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// Rows with a text and a label.
    pub texts: usize,
    pub without_text: usize,
    pub without_label: usize,
    /// Labels with the number of their texts, the most frequent first.
    pub classes: Vec<(String, usize)>,
    /// Of the words of a text: the median, the 95th percentile and the most.
    pub words: [usize; 3],
    /// Scripts with their share of the letters, the most frequent first.
    pub scripts: Vec<(&'static str, f64)>,
    /// Texts that stand there before, apart from case, width and space.
    pub duplicates: usize,
    /// The same but for digits and punctuation.
    pub near_duplicates: usize,
    /// Texts that stand there with several labels, and some of them.
    pub contradictions: usize,
    pub contradicting: Vec<String>,
    /// Labels that differ in case, space or signs alone.
    pub alike: Vec<(String, String)>,
}

impl Survey {
    /// Looks at texts and labels, row by row.
    pub fn of(texts: &[Option<String>], labels: &[Option<String>]) -> Survey {
        let both = || texts.iter().zip(labels);
        let known: Vec<(&str, &str)> = both()
            .filter_map(|(text, label)| Some((text.as_deref()?, label.as_deref()?.trim())))
            .collect();
        let mut classes: IndexMap<&str, usize> = IndexMap::new();
        let mut labels_of: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        let mut near = BTreeSet::new();
        let (mut duplicates, mut near_duplicates) = (0, 0);
        let mut contradicting = Vec::new();
        let mut words = Vec::new();
        let mut letters: BTreeMap<&'static str, usize> = BTreeMap::new();
        for &(text, label) in &known {
            *classes.entry(label).or_default() += 1;
            let normal = normal::normalise(text);
            words.push(normal.split(' ').count());
            for script in normal.chars().filter_map(script) {
                *letters.entry(script).or_default() += 1;
            }
            let bare: String = normal.chars().filter(|sign| sign.is_alphabetic()).collect();
            let is_known = labels_of.contains_key(&normal);
            // A text of digits alone is like no other.
            let is_near = !bare.is_empty() && !near.insert(bare);
            duplicates += usize::from(is_known);
            near_duplicates += usize::from(is_near && !is_known);
            let all = labels_of.entry(normal).or_default();
            all.insert(label);
            if all.len() == 2 {
                contradicting.push(text.to_owned());
            }
        }
        let mut classes: Vec<(String, usize)> =
            classes.into_iter().map(|(label, count)| (label.to_owned(), count)).collect();
        classes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        words.sort_unstable();
        let quantile = |share: f64| {
            let place = (words.len().saturating_sub(1) as f64 * share).round() as usize;
            words.get(place).copied().unwrap_or_default()
        };
        let whole: usize = letters.values().sum();
        let mut scripts: Vec<(&'static str, f64)> = letters
            .into_iter()
            .map(|(script, count)| (script, count as f64 / whole.max(1) as f64))
            .collect();
        scripts.sort_by(|one, other| other.1.total_cmp(&one.1));
        Survey {
            texts: known.len(),
            without_text: texts.iter().filter(|text| text.is_none()).count(),
            without_label: both().filter(|(text, label)| text.is_some() && label.is_none()).count(),
            alike: alike(&classes),
            classes,
            words: [quantile(0.5), quantile(0.95), quantile(1.0)],
            scripts,
            duplicates,
            near_duplicates,
            contradictions: labels_of.values().filter(|labels| labels.len() > 1).count(),
            contradicting: contradicting.into_iter().take(3).collect(),
        }
    }
}

impl Survey {
    /// Returns the share of Latin letters.
    pub fn latin(&self) -> f64 {
        self.scripts.iter().find(|(name, _)| *name == "Latin").map_or(0.0, |(_, share)| *share)
    }
}

/// Returns labels that differ in case, space or signs alone.
fn alike(classes: &[(String, usize)]) -> Vec<(String, String)> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for (label, _) in classes {
        let bare: String =
            normal::normalise(label).chars().filter(|sign| sign.is_alphanumeric()).collect();
        match seen.get(&bare) {
            Some(first) if !bare.is_empty() => found.push(((*first).to_owned(), label.clone())),
            _ => {
                seen.insert(bare, label);
            }
        }
    }
    found
}

/// Returns the script of a letter, by the blocks of Unicode; `None` for signs and digits.
fn script(sign: char) -> Option<&'static str> {
    if !sign.is_alphabetic() {
        return None;
    }
    Some(match sign {
        '\u{0000}'..='\u{024f}' | '\u{1e00}'..='\u{1eff}' => "Latin",
        '\u{0370}'..='\u{03ff}' | '\u{1f00}'..='\u{1fff}' => "Greek",
        '\u{0400}'..='\u{052f}' => "Cyrillic",
        '\u{0530}'..='\u{058f}' => "Armenian",
        '\u{0590}'..='\u{05ff}' => "Hebrew",
        '\u{0600}'..='\u{077f}' => "Arabic",
        '\u{0900}'..='\u{0dff}' => "Indic",
        '\u{0e00}'..='\u{0eff}' => "Thai or Lao",
        '\u{10a0}'..='\u{10ff}' => "Georgian",
        '\u{3040}'..='\u{30ff}' => "Kana",
        '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2fa1f}' => "Han",
        '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}' => "Hangul",
        _ => "other",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_out_is_counted() {
        let rows = [
            ("Where is my card?", "card"),
            ("where is  my card?", "card"),
            ("Where is my card 17", "card"),
            ("I want my money", "refund"),
            ("I WANT MY MONEY", "card"),
            ("Деньги", "Refund"),
            ("", "card"),
            ("no label", ""),
        ];
        let column = |of: fn(&(&str, &str)) -> String| -> Vec<Option<String>> {
            rows.iter().map(of).map(|text| Some(text).filter(|text| !text.is_empty())).collect()
        };
        let survey = Survey::of(&column(|row| row.0.to_owned()), &column(|row| row.1.to_owned()));
        assert_eq!((survey.texts, survey.without_text, survey.without_label), (6, 1, 1));
        let classes: Vec<(&str, usize)> =
            survey.classes.iter().map(|(label, count)| (label.as_str(), *count)).collect();
        assert_eq!(classes, [("card", 4), ("refund", 1), ("Refund", 1)]);
        assert_eq!((survey.duplicates, survey.near_duplicates), (2, 1));
        assert_eq!((survey.contradictions, survey.contradicting.len()), (1, 1));
        assert_eq!(survey.alike, [("refund".to_owned(), "Refund".to_owned())]);
        assert_eq!(survey.words, [4, 5, 5]);
        assert_eq!(survey.scripts[0].0, "Latin");
        assert_eq!(survey.scripts[1].0, "Cyrillic");
    }
}
