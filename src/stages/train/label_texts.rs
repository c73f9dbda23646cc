//! Texts that say what the labels mean.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::TrainError;
use super::problems::Problems;
use crate::stages::contract::stage::Ctx;

/// Texts that say what the labels mean. They help where labels are words with a meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabelTexts {
    /// A short sentence with the words of each label: `This text is about billing.`, or `The
    /// sentiment is positive.` where all labels are words of sentiment. `billing_error` and
    /// `billingError` are two words each. Labels without words, such as `3`, have none.
    Auto,
    /// No texts.
    None,
    /// A sentence of your own, in which `{}` stands for the words of a label.
    Template(String),
    /// A text for each label.
    Given(IndexMap<String, String>),
}

/// What stands for the words of a label.
const PLACE: &str = "{}";

const ABOUT: &str = "This text is about {}.";
const SENTIMENT: &str = "The sentiment is {}.";

/// The words of sentiment, of which all labels have at least one.
const SENTIMENTS: [&str; 6] = ["positive", "negative", "neutral", "mixed", "pos", "neg"];

/// Words that say nothing by themselves.
const EMPTY: [&str; 5] = ["label", "class", "category", "cat", "lbl"];

impl LabelTexts {
    /// Reports settings that no training can be done with.
    pub(super) fn check(&self, problems: &mut Problems) {
        match self {
            LabelTexts::Template(template) if !template.contains(PLACE) => problems.add(
                "label_texts.template",
                format!("expected `{PLACE}` in the place of the label, found `{template}`"),
                "write a sentence such as `The topic is {}.`",
            ),
            LabelTexts::Given(texts) => {
                let blank = texts.iter().filter(|(_, text)| text.trim().is_empty());
                for (label, _) in blank {
                    let field = format!("label_texts.given.{label}");
                    problems.add(&field, "the text is empty".to_owned(), "say what it means");
                }
            }
            _ => {}
        }
    }

    /// Returns the text of each label; none where there are none, which `auto` tells.
    ///
    /// # Errors
    ///
    /// Fails where given texts and the labels of the data do not go together.
    pub(super) fn of(&self, ctx: &dyn Ctx, labels: &[String]) -> Result<Vec<String>, TrainError> {
        let filled = |template: &str| -> Vec<String> {
            labels.iter().map(|label| template.replace(PLACE, &words(label))).collect()
        };
        match self {
            LabelTexts::None => Ok(Vec::new()),
            LabelTexts::Template(template) => Ok(filled(template)),
            LabelTexts::Given(texts) => given(texts, labels),
            LabelTexts::Auto => {
                if let Some(label) = labels.iter().find(|label| !says_something(label)) {
                    ctx.note(&format!(
                        "no label texts: the label `{label}` has no words; \
                         `label_texts: {{ given: … }}` says what it means"
                    ));
                    return Ok(Vec::new());
                }
                let is_sentiment =
                    |label: &String| words(label).split(' ').any(|word| SENTIMENTS.contains(&word));
                let of_sentiment = labels.iter().all(is_sentiment);
                let texts = filled(if of_sentiment { SENTIMENT } else { ABOUT });
                if let Some(first) = texts.first() {
                    ctx.note(&format!("label texts: `{first}` and so on"));
                }
                Ok(texts)
            }
        }
    }
}

fn given(texts: &IndexMap<String, String>, labels: &[String]) -> Result<Vec<String>, TrainError> {
    if let Some(name) = texts.keys().find(|name| !labels.contains(name)) {
        return Err(TrainError::UnknownLabelText { name: name.clone(), labels: labels.join(", ") });
    }
    let text = |label: &String| {
        let missing = || TrainError::MissingLabelText { name: label.clone() };
        texts.get(label).cloned().ok_or_else(missing)
    };
    labels.iter().map(text).collect()
}

/// Returns the words of a label: `billing_error`, `billing-error` and `billingError` are two. Words
/// are in lower case, except those in capitals alone.
fn words(label: &str) -> String {
    let mut words = vec![String::new()];
    let mut before: Option<char> = None;
    for sign in label.chars() {
        let starts = before.is_some_and(|before| before.is_lowercase() && sign.is_uppercase());
        if starts || !(sign.is_alphanumeric() || "'&+#/.".contains(sign)) {
            words.push(String::new());
        }
        if sign.is_alphanumeric() || "'&+#/.".contains(sign) {
            words.last_mut().into_iter().for_each(|word| word.push(sign));
        }
        before = Some(sign);
    }
    let in_small = |word: String| {
        let in_capitals = word.chars().count() > 1 && !word.chars().any(char::is_lowercase);
        if in_capitals && label.chars().any(char::is_lowercase) {
            word
        } else {
            word.to_lowercase()
        }
    };
    let words: Vec<String> =
        words.into_iter().filter(|word| !word.is_empty()).map(in_small).collect();
    words.join(" ")
}

/// Says whether a label has a word of at least two letters that means something.
fn says_something(label: &str) -> bool {
    let words = words(label);
    words.split(' ').any(|word| {
        let letters = word.chars().filter(|sign| sign.is_alphabetic()).count();
        // One sign of Chinese is a word.
        let enough = letters > 1 || (letters == 1 && !word.is_ascii());
        enough && !EMPTY.contains(&word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::test_ctx::TestCtx;

    fn texts(setting: &LabelTexts, labels: &[&str]) -> Result<Vec<String>, String> {
        let ctx = TestCtx::new(1).map_err(|error| error.to_string())?;
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        setting.of(&ctx, &labels).map_err(|error| error.to_string())
    }

    #[test]
    fn labels_become_words() {
        for (label, expected) in [
            ("billing_error", "billing error"),
            ("billing-error", "billing error"),
            ("billingError", "billing error"),
            ("Billing", "billing"),
            ("POSITIVE", "positive"),
            ("askUSA", "ask USA"),
            ("C++", "c++"),
            ("退款", "退款"),
        ] {
            assert_eq!(words(label), expected, "{label}");
        }
    }

    #[test]
    fn sentences_follow_the_labels() {
        let auto = |labels: &[&str]| texts(&LabelTexts::Auto, labels);
        let expected = ["The sentiment is negative.", "The sentiment is very positive."];
        assert_eq!(auto(&["negative", "very positive"]), Ok(expected.map(str::to_owned).into()));
        let expected = ["This text is about refund.", "This text is about positive."];
        assert_eq!(auto(&["refund", "positive"]), Ok(expected.map(str::to_owned).into()));
        for empty in [&["0", "1"][..], &["LABEL_0", "LABEL_1"], &["a", "refund"]] {
            assert_eq!(auto(empty), Ok(Vec::new()), "{empty:?}");
        }
        let template = LabelTexts::Template("Intent: {}".to_owned());
        assert_eq!(texts(&template, &["card_lost"]), Ok(vec!["Intent: card lost".to_owned()]));
    }

    #[test]
    fn given_texts_are_for_the_labels() {
        let of = |labels: &[&str]| {
            let given = [("a", "first"), ("b", "second")];
            let given = given.map(|(label, text)| (label.to_owned(), text.to_owned()));
            texts(&LabelTexts::Given(given.into_iter().collect()), labels)
        };
        assert_eq!(of(&["b", "a"]), Ok(vec!["second".to_owned(), "first".to_owned()]));
        assert!(of(&["a"]).is_err_and(|error| error.contains("`b`, which is not a label")));
        assert!(of(&["a", "b", "c"]).is_err_and(|error| error.contains("no text for the label")));
    }
}
