//! English function words, which augmentation leaves alone.

/// Says whether a word in lower case carries grammar rather than content: articles, pronouns, prepositions, conjunctions,
/// auxiliaries, and their forms with an apostrophe.
pub(super) fn is_stop_word(word: &str) -> bool {
    let plain = word.replace('’', "'");
    STOP_WORDS.binary_search(&plain.as_str()).is_ok()
}

/// In the order of their bytes, which the search needs.
const STOP_WORDS: [&str; 205] = [
    "a", "about", "above", "across", "after", "again", "against", "all", "along", "also", "although", "am",
    "among", "an", "and", "any", "are", "aren't", "around", "as", "at", "be", "because", "been", "before",
    "being", "below", "between", "both", "but", "by", "can", "can't", "cannot", "could", "couldn't", "did",
    "didn't", "do", "does", "doesn't", "doing", "don't", "done", "down", "during", "each", "even", "ever",
    "few", "for", "from", "further", "had", "hadn't", "has", "hasn't", "have", "haven't", "having", "he",
    "he'd", "he'll", "he's", "her", "here", "here's", "hers", "herself", "him", "himself", "his", "how",
    "how's", "i", "i'd", "i'll", "i'm", "i've", "if", "in", "into", "is", "isn't", "it", "it's", "its",
    "itself", "just", "let's", "may", "me", "might", "mine", "more", "most", "must", "mustn't", "my",
    "myself", "no", "nor", "not", "of", "off", "on", "once", "one", "only", "or", "other", "ought", "our",
    "ours", "ourselves", "out", "over", "own", "same", "shall", "shan't", "she", "she'd", "she'll", "she's",
    "should", "shouldn't", "since", "so", "some", "still", "such", "than", "that", "that's", "the", "their",
    "theirs", "them", "themselves", "then", "there", "there's", "these", "they", "they'd", "they'll",
    "they're", "they've", "this", "those", "though", "through", "to", "too", "toward", "towards", "under",
    "unless", "until", "up", "upon", "us", "very", "was", "wasn't", "we", "we'd", "we'll", "we're", "we've",
    "were", "weren't", "what", "what's", "when", "when's", "where", "where's", "whether", "which", "while",
    "who", "who's", "whom", "whose", "why", "why's", "will", "with", "within", "without", "won't", "would",
    "wouldn't", "yet", "you", "you'd", "you'll", "you're", "you've", "your", "yours", "yourself",
    "yourselves",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_sorted_and_found() {
        assert!(STOP_WORDS.is_sorted_by(|a, b| a < b));
        assert!(STOP_WORDS.iter().all(|word| is_stop_word(word)));
        assert!(is_stop_word("don’t") && !is_stop_word("card") && !is_stop_word(""));
    }
}
