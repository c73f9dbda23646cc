//! The classification head that a model folder has: for which classes, and over which pooling.

use serde::Deserialize as _;
use serde_json::Value;

use super::head::Head;
use super::sentences::{HeadForm, Nearest, Sentences};
use crate::base::label;

/// The field of config.json that names the pooling under a head that is not the architecture's own.
/// `transformers` has it for the encoders whose pooling is a setting.
pub(super) const POOLING: &str = "classifier_pooling";

/// The field of config.json that names any other form by its setting: `auto` where the folder's
/// modules stand under the head.
pub(super) const FORM: &str = "pipe_head";

/// The field of config.json that says that the head counts the nearest texts, and how.
pub(super) const NEAREST: &str = "pipe_nearest";

/// What a folder's config.json says of its classification head. Whether the weights hold one is
/// another question.
#[derive(Clone, Debug, PartialEq)]
pub struct PretrainedHead {
    /// The form of the head, or what the weights are for where that is something else.
    form: Result<HeadForm, String>,
    /// Whether config.json names a classifier of the architecture.
    names_classifier: bool,
    /// The class names in the order of the rows, or why they are not known.
    classes: Result<Vec<String>, &'static str>,
}

/// What becomes of a folder's head for other or the same classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It serves as it is.
    Same,
    /// It serves with its rows in another order: row `n` of the new head is this row of the old.
    Permuted(Vec<usize>),
    /// It does not serve, for this reason.
    Other(String),
}

impl PretrainedHead {
    /// Reads a config.json: `architectures`, `problem_type`, `classifier_pooling`, `id2label` and
    /// `label2id`.
    pub fn of_json(config: &Value) -> PretrainedHead {
        PretrainedHead::of(config, &Sentences::default())
    }

    /// Reads a config.json in a folder with these modules.
    pub fn of(config: &Value, sentences: &Sentences) -> PretrainedHead {
        PretrainedHead {
            form: form(config, sentences).map(|form| or_nearest(form, config)),
            names_classifier: architectures(config).iter().any(|name| name.ends_with(CLASSIFIER)),
            classes: classes(config),
        }
    }

    /// Says whether config.json names a classifier of the architecture.
    pub fn names_classifier(&self) -> bool {
        self.names_classifier
    }

    /// Returns the names of the classes by row, where they are known.
    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref().ok()
    }

    /// Returns the form of the head, or what the weights are for where that is something else.
    pub fn form(&self) -> Result<&HeadForm, &str> {
        self.form.as_ref().map_err(String::as_str)
    }

    /// Says whether the head serves as a form of head for these classes.
    pub fn fit(&self, wanted: &HeadForm, classes: &[String]) -> Fit {
        match &self.form {
            Err(other) => return Fit::Other(format!("the folder's is for {other}")),
            Ok(HeadForm::Nearest(..)) => {
                return Fit::Other("the folder's counts the nearest of its texts".to_owned());
            }
            Ok(form) if form != wanted => {
                return Fit::Other(format!("the folder's is `head: {}`", form.head().name()));
            }
            Ok(_) => {}
        }
        let wanted = normal(classes);
        let own = match &self.classes {
            Ok(own) => normal(own),
            Err(why) => return Fit::Other((*why).to_owned()),
        };
        if is_generic(&own) && own != wanted {
            return Fit::Other(UNNAMED.to_owned());
        }
        let rows: Option<Vec<usize>> = wanted
            .iter()
            .map(|class| own.iter().position(|candidate| candidate == class))
            .collect();
        match rows {
            Some(rows) if own.len() == wanted.len() => {
                if rows.iter().enumerate().all(|(row, old)| row == *old) {
                    Fit::Same
                } else {
                    Fit::Permuted(rows)
                }
            }
            _ => Fit::Other(format!("the folder's is for the classes {}", shown(&own))),
        }
    }
}

/// How the class of a classifier of an architecture is named.
const CLASSIFIER: &str = "ForSequenceClassification";

/// Returns the field of config.json that says a form, and what it says; `None` for the
/// architecture's own head.
pub(super) fn field_of(form: &HeadForm) -> Option<(&'static str, &'static str)> {
    let head = form.head();
    match (form, head) {
        (HeadForm::Own, _) => None,
        // Architectures that know the field know these two values.
        (_, Head::Mean | Head::Cls) => Some((POOLING, head.name())),
        _ => Some((FORM, head.name())),
    }
}

/// Returns a form, or what counts the nearest over the same vectors where config.json says so.
pub(super) fn or_nearest(form: HeadForm, config: &Value) -> HeadForm {
    let nearest = config.get(NEAREST).and_then(|nearest| Nearest::deserialize(nearest).ok());
    match (form, nearest) {
        (HeadForm::Linear(embedder), Some(nearest)) => HeadForm::Nearest(embedder, nearest),
        (form, _) => form,
    }
}

fn architectures(config: &Value) -> Vec<&str> {
    let names = config.get("architectures").and_then(Value::as_array);
    names.map(|names| names.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

fn form(config: &Value, sentences: &Sentences) -> Result<HeadForm, String> {
    let problem = config.get("problem_type").and_then(Value::as_str);
    if let Some(problem) = problem.filter(|problem| *problem != "single_label_classification") {
        return Err(format!("`problem_type: {problem}`"));
    }
    let architectures = architectures(config);
    // A configuration that was saved without its model names no architecture.
    if architectures.is_empty() || architectures.iter().any(|name| name.ends_with(CLASSIFIER)) {
        return Ok(HeadForm::Own);
    }
    let is_encoder = architectures.iter().any(|name| name.ends_with("Model"));
    let named = |field: &str| config.get(field).and_then(Value::as_str).and_then(Head::of_name);
    let of_modules =
        || sentences.embedder().map(HeadForm::Linear).map_err(|error| error.to_string());
    match (named(FORM), named(POOLING)) {
        (Some(Head::Auto), _) if sentences.above.is_some() => of_modules(),
        (Some(head), _) if head != Head::Auto => Ok(head.into()),
        // ModernBERT has the field in all of its folders.
        (_, Some(head @ (Head::Mean | Head::Cls))) if is_encoder => Ok(head.into()),
        _ => Err(format!("`{}`", architectures.join("`, `"))),
    }
}

/// Why a head does not serve whose classes have no names.
const UNNAMED: &str = "config.json does not name the classes of the folder's (`id2label`)";

/// Returns the names by row. `transformers` fills in `LABEL_0`, `LABEL_1` and so on where it was
/// told none, often in one of the two fields alone.
fn classes(config: &Value) -> Result<Vec<String>, &'static str> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let field = |name: &str| config.get(name).and_then(Value::as_object);
    let by_id = field("id2label").and_then(|names| {
        let pairs = names.iter().map(|(id, name)| Some((id.parse().ok()?, text(name))));
        in_order(pairs.collect::<Option<Vec<(usize, String)>>>()?)
    });
    let by_name = field("label2id").and_then(|ids| {
        let id = |value: &Value| text(value).parse().ok();
        let pairs = ids.iter().map(|(name, value)| Some((id(value)?, name.clone())));
        in_order(pairs.collect::<Option<Vec<(usize, String)>>>()?)
    });
    match (by_id, by_name) {
        (Some(one), Some(other)) if one == other || is_generic(&other) => Ok(one),
        (Some(one), Some(other)) if is_generic(&one) => Ok(other),
        (Some(_), Some(_)) => Err("`id2label` and `label2id` in config.json contradict each other"),
        (one, other) => one.or(other).ok_or(UNNAMED),
    }
}

/// Says whether these are the names of classes that have none.
fn is_generic(names: &[String]) -> bool {
    names.iter().enumerate().all(|(id, name)| *name == format!("LABEL_{id}"))
}

/// Returns names by their numbers, which have to be 0, 1, 2 and so on.
fn in_order(mut pairs: Vec<(usize, String)>) -> Option<Vec<String>> {
    pairs.sort();
    let whole = pairs.iter().enumerate().all(|(row, (id, _))| row == *id);
    whole.then(|| pairs.into_iter().map(|(_, name)| name).collect())
}

fn normal(classes: &[String]) -> Vec<String> {
    classes.iter().map(|class| label::normal(class)).collect()
}

/// Lists names for a message.
fn shown(names: &[String]) -> String {
    const MOST: usize = 8;
    let first: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(MOST) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn fit(config: &Value, head: Head, classes: &[&str]) -> Fit {
        PretrainedHead::of_json(config).fit(&head.into(), &names(classes))
    }

    fn why(fit: &Fit) -> &str {
        match fit {
            Fit::Other(why) => why,
            _ => "",
        }
    }

    #[test]
    fn rows_follow_the_names() {
        let config = json!({"architectures": ["BertForSequenceClassification"],
            "id2label": {"2": "neutral", "0": "positive", "1": "negative"}});
        assert_eq!(fit(&config, Head::Auto, &["positive", "negative", "neutral"]), Fit::Same);
        assert_eq!(
            fit(&config, Head::Auto, &["negative", "neutral", "positive"]),
            Fit::Permuted(vec![1, 2, 0])
        );
        let turned =
            json!({"label2id": {"b": 0, "a": "1"}, "id2label": {"0": "LABEL_0", "1": "LABEL_1"}});
        assert_eq!(fit(&turned, Head::Auto, &["a", "b"]), Fit::Permuted(vec![1, 0]));
        let composed = json!({"id2label": {"0": " cafe\u{301}", "1": 7}});
        assert_eq!(fit(&composed, Head::Auto, &["caf\u{e9}", "7"]), Fit::Same);
    }

    #[test]
    fn other_classes_forms_and_problems_are_no_head() {
        let architectures = ["XForSequenceClassification"];
        let of = |classes: Value| json!({ "architectures": architectures, "id2label": classes });
        for (config, classes, part) in [
            (of(json!({"0": "a", "1": "b"})), vec!["a", "c"], "for the classes `a`, `b`"),
            (of(json!({"0": "a", "1": "b", "2": "c"})), vec!["a", "b"], "`a`, `b`, `c`"),
            (of(json!({"0": "a", "1": "a"})), vec!["a", "b"], "`a`, `a`"),
            (of(json!({"0": "LABEL_0", "1": "LABEL_1"})), vec!["0", "1"], "does not name"),
            (of(json!({"1": "a", "2": "b"})), vec!["a", "b"], "does not name"),
            (of(json!(["a", "b"])), vec!["a", "b"], "does not name"),
            (
                json!({"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 1, "b": 0}}),
                vec!["a", "b"],
                "contradict each other",
            ),
            (
                json!({"architectures": ["BertForTokenClassification"],
                       "id2label": {"0": "a", "1": "b"}}),
                vec!["a", "b"],
                "for `BertForTokenClassification`",
            ),
            (
                json!({"problem_type": "multi_label_classification",
                       "id2label": {"0": "a", "1": "b"}}),
                vec!["a", "b"],
                "`problem_type: multi_label_classification`",
            ),
        ] {
            let fit = fit(&config, Head::Auto, &classes);
            assert!(why(&fit).contains(part), "{config}: {fit:?}");
        }
        let mean = json!({"architectures": ["BertModel"], "classifier_pooling": "mean",
            "id2label": {"0": "a", "1": "b"}});
        assert_eq!(fit(&mean, Head::Mean, &["a", "b"]), Fit::Same);
        assert_eq!(why(&fit(&mean, Head::Cls, &["a", "b"])), "the folder's is `head: mean`");
        let generic = of(json!({"0": "LABEL_0", "1": "LABEL_1"}));
        assert_eq!(fit(&generic, Head::Auto, &["LABEL_0", "LABEL_1"]), Fit::Same);
        let own = of(json!({"0": "a", "1": "b"}));
        assert_eq!(why(&fit(&own, Head::Mean, &["a", "b"])), "the folder's is `head: auto`");
    }
}
