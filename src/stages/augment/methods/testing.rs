//! Helpers for the tests of several methods.

use crate::base::seed::{key, stream};
use crate::data::Example;
use crate::stages::augment::config::MethodConfig;
use crate::stages::augment::language::stop_words::StopWords;
use crate::stages::augment::methods::contract::{Generated, OneByOne, Originals, Request};
use crate::stages::augment::synonyms::{Thesaurus, Vocabulary};
use crate::stages::test_ctx::TestCtx;

/// Texts that are hard to handle: other scripts, marks, emoji, no letters, nothing.
pub(crate) const TRICKY: [&str; 14] = [
    "",
    " \t\n",
    "?",
    "card",
    "Card!",
    "!!! ... ?",
    "cafe\u{301} na\u{308}ive re\u{301}sume\u{301}",
    "我的银行卡在哪里？",
    "カードはどこですか。 教えて",
    "👩‍👩‍👧 lost 👍🏽 my ❤️ card 1️⃣",
    "אבד לי הכרטיס, מה עושים?",
    "فقدت بطاقتي اليوم",
    "हिन्दी में लिखा हुआ वाक्य",
    "zero\u{200b}width \u{202e}override",
];

pub(crate) fn example(id: &str, text: &str, label: usize) -> Example {
    Example::original(id, text, label)
}

pub(crate) fn examples(texts: &[(&str, usize)]) -> Vec<Example> {
    texts
        .iter()
        .enumerate()
        .map(|(row, (text, label))| example(&format!("row-{row}"), text, *label))
        .collect()
}

pub(crate) fn originals<'a>(labels: &'a [String], examples: &'a [Example]) -> Originals<'a> {
    Originals::new(labels, examples.iter().collect())
}

pub(crate) fn one(generator: &dyn OneByOne, text: &str, seed: u64) -> Option<Generated> {
    generator.one(text, &example("row-1", text, 1), &mut stream(seed, &["test"], 0))
}

pub(crate) fn text(generator: &dyn OneByOne, text: &str, seed: u64) -> Option<String> {
    one(generator, text, seed).map(|generated| generated.text)
}

/// A few words with synonyms; English stop words have none.
pub(crate) fn vocabulary() -> Vocabulary {
    let entry = |word: &str, synonyms: &[&str]| {
        (word.to_owned(), synonyms.iter().map(|s| (*s).to_owned()).collect())
    };
    let thesaurus = Thesaurus::from([
        entry("card", &["ticket", "pass"]),
        entry("große", &["kleine"]),
        entry("lost", &["gone"]),
        entry("the", &["a"]),
    ]);
    let stop_words = StopWords::default().list(std::path::Path::new(".")).unwrap_or_default();
    Vocabulary::with(&thesaurus, &stop_words)
}

/// Fits a method, written as in a pipeline file, to texts and requests this many copies of the
/// first text.
pub(crate) fn copies(
    method: &str,
    texts: &[(&str, usize)],
    count: usize,
) -> Result<Vec<Option<Generated>>, Box<dyn std::error::Error>> {
    let config: MethodConfig = serde_json::from_str(method)?;
    let (examples, labels) = (examples(texts), ["p".to_owned(), "q".to_owned()]);
    let ctx = TestCtx::new(1)?;
    let train = originals(&labels, &examples);
    let generator = config.method().fit(&ctx, &train, 1).map_err(|error| error.to_string())?;
    let request = |copy| Request::new(&examples[0], copy, key(1, &["test"], copy as u64));
    let mut requests: Vec<Request<'_>> = (1..=count).map(request).collect();
    let mut requests: Vec<&mut Request<'_>> = requests.iter_mut().collect();
    Ok(generator.generate(&ctx, &mut requests).map_err(|error| error.to_string())?)
}
