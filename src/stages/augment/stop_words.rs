//! English function words, which augmentation leaves alone.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Says whether a word in lower case carries grammar rather than content.
pub(super) fn is_stop_word(word: &str) -> bool {
    if word.contains('’') {
        WORDS.contains(word.replace('’', "'").as_str())
    } else {
        WORDS.contains(word)
    }
}

static WORDS: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| KINDS.iter().flat_map(|words| words.split_whitespace()).collect());

/// Function words by kind.
const KINDS: [&str; 9] = [
    // articles and demonstratives
    "a an the this that these those",
    // pronouns
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself
     she her hers herself it its itself they them their theirs themselves one",
    // question words
    "who whom whose which what when where why how",
    // conjunctions
    "and or but nor so yet if because although though while until unless than as since whether",
    // prepositions
    "of at by for with about against between into through during before after above below to from up down
     in out on off over under within without upon toward towards across among around along",
    // adverbs and quantifiers without content of their own
    "again further then once here there all any both each few more most other some such no not only own same
     too very just also ever even still",
    // auxiliaries
    "am is are was were be been being have has had having do does did doing done will would shall should can
     cannot could may might must ought",
    // pronouns and question words with an auxiliary
    "i'm you're he's she's it's we're they're i've you've we've they've i'd you'd he'd she'd we'd they'd
     i'll you'll he'll she'll we'll they'll let's that's who's what's here's there's when's where's why's how's",
    // negated auxiliaries
    "isn't aren't wasn't weren't hasn't haven't hadn't doesn't don't didn't won't wouldn't shan't shouldn't
     can't couldn't mustn't",
];

#[cfg(test)]
mod tests {
    use super::is_stop_word;

    #[test]
    fn grammar_is_told_from_content() {
        for word in ["the", "where", "don't", "don’t", "yourselves", "how's", "mustn't"] {
            assert!(is_stop_word(word), "{word}");
        }
        for word in ["card", "", "don", "like", "need", "want"] {
            assert!(!is_stop_word(word), "{word}");
        }
    }
}
