//! What files call the parameters of an encoder.

/// What stands before the names in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prefixes {
    /// Before those of the encoder: `bert.`, `0.auto_model.`, `module.bert.`, nothing.
    pub encoder: String,
    /// Before those of the heads, where a wrapper around the whole model was saved with it:
    /// `module.`, `_orig_mod.`.
    pub wrapper: String,
}

impl Prefixes {
    /// Finds them: the word table tells. `usual` stands before the encoder's names in files of a
    /// whole model. Fails with two of the places where encoders stand if neither is the usual one.
    pub(super) fn of(
        names: &[String],
        word_table: &str,
        usual: &str,
    ) -> Result<Prefixes, (String, String)> {
        let mut found: Vec<&str> = names
            .iter()
            .filter_map(|name| name.strip_suffix(word_table))
            .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
            .collect();
        found.sort_by_key(|prefix| (*prefix != usual, prefix.len(), *prefix));
        let encoder = match found.as_slice() {
            [] => "",
            [one, other, ..] if !one.is_empty() && *one != usual && one != other => {
                return Err((format!("{one}{word_table}"), format!("{other}{word_table}")));
            }
            [one, ..] => one,
        };
        let wrapper = encoder.strip_suffix(usual).unwrap_or(encoder);
        Ok(Prefixes { encoder: encoder.to_owned(), wrapper: wrapper.to_owned() })
    }

    /// Returns what a tensor may be called relative to the encoder or in today's spelling, the
    /// likeliest first.
    pub(super) fn names(&self, raw: &str) -> Vec<String> {
        let mut names: Vec<String> = [self.encoder.as_str(), self.wrapper.as_str(), ""]
            .iter()
            .filter_map(|prefix| raw.strip_prefix(prefix))
            .map(modern)
            .collect();
        names.dedup();
        names
    }
}

/// Returns a name in today's spelling.
fn modern(name: &str) -> String {
    // TensorFlow's names, which the first BERT files have.
    match name.rsplit_once('.') {
        Some((module, "gamma")) => format!("{module}.weight"),
        Some((module, "beta")) => format!("{module}.bias"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_old_names_go() {
        let words = "embeddings.word_embeddings.weight";
        let of = |names: &[String]| Prefixes::of(names, words, "bert.");
        let found = |prefix: &str| {
            let names = [format!("{prefix}{words}"), "cls.predictions.bias".to_owned()];
            of(&names).map(|found| (found.encoder, found.wrapper))
        };
        for (prefix, wrapper) in [
            ("bert.", ""),
            ("", ""),
            ("0.auto_model.", "0.auto_model."),
            ("module.bert.", "module."),
            ("_orig_mod.module.bert.", "_orig_mod.module."),
            ("model.", "model."),
        ] {
            assert_eq!(found(prefix), Ok((prefix.to_owned(), wrapper.to_owned())));
        }
        assert_eq!(found("my_"), Ok((String::new(), String::new())));
        let two = |one: &str, other: &str| {
            of(&[format!("{one}{words}"), format!("{other}{words}")]).map(|found| found.encoder)
        };
        assert_eq!(two("teacher.bert.", "bert."), Ok("bert.".to_owned()));
        assert_eq!(two("teacher.bert.", ""), Ok(String::new()));
        let both = (format!("query.{words}"), format!("passage.{words}"));
        assert_eq!(two("passage.", "query."), Err(both));
        let wrapped = Prefixes { encoder: "module.bert.".into(), wrapper: "module.".into() };
        let name = "module.bert.encoder.layer.0.output.LayerNorm.gamma";
        assert_eq!(wrapped.names(name)[0], "encoder.layer.0.output.LayerNorm.weight");
        assert_eq!(wrapped.names("module.classifier.beta")[0], "classifier.bias");
        assert_eq!(wrapped.names("classifier.weight"), ["classifier.weight"]);
    }
}
