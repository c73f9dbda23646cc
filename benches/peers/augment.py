"""Times nlpaug or TextAttack on one of EDA's four operations, as a peer figure for `pipe`.

Makes one augmented text per text and prints one JSON object: how many texts, the seconds they took, how many came out different
(spacing aside), and in `note` what was run. WordNet comes from a folder with its own files, such as Debian's `wordnet-base`
installs; nothing is downloaded. The first texts, made once before the clock starts, warm the tool up.

    python augment.py --tool nlpaug --operation random_swap --wordnet wordnet --texts sst2/train.csv --limit 1000
"""

import argparse
import contextlib
import csv
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time
import types
from collections import Counter, defaultdict

import nltk
import numpy
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

OPERATIONS = ["synonym_replacement", "random_insertion", "random_swap", "random_deletion"]
PARTS = ["noun", "verb", "adj", "adv"]
WORDNET = [f"{kind}.{part}" for kind in ("index", "data") for part in PARTS] + [f"{part}.exc" for part in PARTS] + ["cntlist.rev"]
# What TextAttack imports at its start and its word augmenters never call.
UNUSED = {
    "bert_score", "datasets", "editdistance", "flair", "jieba", "langdetect", "language_tool_python", "lemminflect", "Levenshtein",
    "lru", "more_itertools", "num2words", "OpenHowNet", "pinyin", "terminaltables", "word2number",
}  # fmt: skip
WARM_UP = 20


def main() -> None:
    arguments = parse_arguments()
    texts = read(arguments.texts, arguments.limit)
    # The tools chat on stdout, which is for the answer.
    with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as folder:
        answer = measure(arguments, texts, pathlib.Path(folder))
    print(json.dumps(answer), flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", required=True, choices=["nlpaug", "textattack"])
    parser.add_argument("--operation", required=True, choices=OPERATIONS)
    parser.add_argument("--rate", type=float, default=0.1, help="share of the words to change")
    parser.add_argument("--wordnet", required=True, help="a folder with `index.noun`, `data.noun`, `noun.exc` and so on")
    parser.add_argument("--texts", required=True, help="CSV with the column `text`")
    parser.add_argument("--limit", type=int, help="take this many texts from the start; all by default")
    parser.add_argument("--seed", type=int, default=13)
    return parser.parse_args()


def read(path: str, limit: int | None) -> list[str]:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if "text" not in (rows.fieldnames or []):
                sys.exit(f"`{path}` has no column `text`")
            texts = []
            for row in rows:
                if limit is not None and len(texts) >= limit:
                    break
                if row["text"] is None:
                    sys.exit(f"`{path}`, line {rows.line_num}: no `text`")
                texts.append(row["text"])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        sys.exit(f"cannot read `{path}`: {error}")
    if not texts:
        sys.exit(f"`{path}` gave no texts")
    return texts


def measure(arguments, texts, folder) -> dict:
    prepare_nltk(pathlib.Path(arguments.wordnet), folder)
    random.seed(arguments.seed)
    numpy.random.seed(arguments.seed)
    build = nlpaug if arguments.tool == "nlpaug" else textattack
    try:
        version = importlib.metadata.version(arguments.tool)
        augment, note = build(arguments, texts, folder)
    except ImportError as error:
        sys.exit(f"{arguments.tool} does not start: {error}. What it needs is in `requirements.txt`")
    about = {"tool": arguments.tool, "version": version, "operation": arguments.operation}
    augment(texts[:WARM_UP])
    started = time.perf_counter()
    made = augment(texts)
    seconds = time.perf_counter() - started
    changed = sum(without_spaces(new) != without_spaces(text) for new, text in zip(made, texts, strict=True))
    return {**about, "texts": len(texts), "seconds": round(seconds, 4), "changed": changed, "note": note}


def without_spaces(text: str) -> str:
    return "".join(text.split())


def prepare_nltk(wordnet, folder) -> None:
    """Gives NLTK a data folder of its own, a tagger that needs no model, and no downloads."""
    corpus = folder / "corpora" / "wordnet"
    corpus.mkdir(parents=True)
    for name in WORDNET:
        if not (wordnet / name).is_file():
            sys.exit(f"`{wordnet}` has no `{name}`: give the folder that holds WordNet's files")
        shutil.copyfile(wordnet / name, corpus / name)  # NLTK refuses links that lead out of its folder.
    # The names of the lexicographers' files and the index by sense serve neither tool, but NLTK opens them.
    (corpus / "lexnames").write_text("".join(f"{index:02}\tfile{index}\t0\n" for index in range(45)), encoding="utf-8")
    (corpus / "index.sense").touch()
    (folder / "corpora" / "stopwords").mkdir()
    (folder / "corpora" / "stopwords" / "english").write_text("\n".join(sorted(ENGLISH_STOP_WORDS)), encoding="utf-8")
    nltk.data.path[:] = [str(folder)]
    nltk.download = lambda *_, **__: True
    tags = most_frequent_tags(wordnet)
    nltk.pos_tag = lambda tokens, **_: [(token, tags.get(token.lower(), "NN")) for token in tokens]


def most_frequent_tags(wordnet) -> dict[str, str]:
    """Returns each word's most frequent part of speech in the texts that WordNet's authors counted."""
    counts = defaultdict(Counter)
    for line in (wordnet / "cntlist.rev").read_text(encoding="utf-8").splitlines():
        key, _, count = line.split()
        word, sense = key.split("%")
        counts[word][{"1": "NN", "2": "VB", "3": "JJ", "4": "RB", "5": "JJ"}[sense[0]]] += int(count)
    return {word: tags.most_common(1)[0][0] for word, tags in counts.items()}


def nlpaug(arguments, texts, folder):
    """Returns a function that augments a list of texts, and what it is."""
    import nlpaug.augmenter.word as naw
    from nlpaug.model.word_stats import TfIdf
    from nlpaug.util.text.tokenizer import Tokenizer

    share = {"aug_p": arguments.rate, "aug_min": 1, "aug_max": None}
    match arguments.operation:
        case "synonym_replacement":
            augmenter = naw.SynonymAug(aug_src="wordnet", **share)
            note = "SynonymAug(aug_src='wordnet'), with a table of parts of speech in place of NLTK's tagger, which takes longer"
        case "random_insertion":
            model = TfIdf()
            model.train([Tokenizer.tokenizer(text) for text in texts])
            model.save(folder)
            augmenter = naw.TfIdfAug(model_path=str(folder), action="insert", **share)
            note = "TfIdfAug(action='insert'), trained on the same texts before the clock starts: words drawn by TF-IDF, not synonyms"
        case "random_swap":
            augmenter = naw.RandomWordAug(action="swap", **share)
            note = "RandomWordAug(action='swap'): neighbouring words only"
        case "random_deletion":
            augmenter = naw.RandomWordAug(action="delete", **share)
            note = "RandomWordAug(action='delete'): a fixed share of the words"
    return augmenter.augment, f"{note}; aug_p={arguments.rate}, aug_min=1, aug_max=None, one call with the whole list"


def textattack(arguments, texts, folder):
    """Returns a function that augments a list of texts, and what it is."""
    sys.meta_path.append(Placeholders())
    os.environ["TA_CACHE_DIR"] = str(folder)
    from textattack import transformations
    from textattack.augmentation import Augmenter
    from textattack.constraints.pre_transformation import RepeatModification, StopwordModification

    name = {
        "synonym_replacement": "WordSwapWordNet",
        "random_insertion": "WordInsertionRandomSynonym",
        "random_swap": "WordInnerSwapRandom",
        "random_deletion": "WordDeletion",
    }[arguments.operation]
    augmenter = Augmenter(
        transformation=getattr(transformations, name)(),
        constraints=[RepeatModification(), StopwordModification()],
        pct_words_to_swap=arguments.rate,
        transformations_per_example=1,
    )
    note = (
        f"Augmenter({name}(), [RepeatModification(), StopwordModification()], pct_words_to_swap={arguments.rate}, "
        "transformations_per_example=1), with scikit-learn's stop words for NLTK's and placeholders for packages that it imports but "
        "does not call here"
    )
    return lambda part: [(augmenter.augment(text) or [text])[0] for text in part], note


class Placeholders(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for the packages in `UNUSED` that are not installed: any name in them is a class without contents."""

    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in UNUSED:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return Placeholder(spec.name)

    def exec_module(self, module):
        pass


class Placeholder(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {}) if name[0].isupper() else importlib.import_module(f"{self.__name__}.{name}")


if __name__ == "__main__":
    main()
