"""Records what `transformers` makes of settings beside a tokenizer.json.

Needs: transformers (recorded with 5.24.0). Writes: tests/data/tokenizer_settings.json.
Run from the repository's root: python3 tests/record_tokenizer_settings.py
"""

import itertools
import json
import pathlib
import shutil
import tempfile

import transformers

DATA = pathlib.Path("tests/data")
TEXTS = ["good food", "GOOD Food", "café déjà vu", "good food was lovely and slow today"]
LONGEST = 6


def bert_cases():
    classes = ["BertTokenizer", "BertTokenizerFast", "PreTrainedTokenizerFast", None]
    for name, own, said in itertools.product(classes, [True, False], [True, False]):
        yield "tiny-bert", {"normalizer.lowercase": own}, name, {"do_lower_case": said}
    for own, said in itertools.product([None, True, False], [None, True, False]):
        settings = {"do_lower_case": True, "strip_accents": said}
        yield "tiny-bert", {"normalizer.strip_accents": own}, "BertTokenizer", settings
    for model in ["tiny-bert", "tiny-distilbert"]:
        yield model, {"normalizer": None}, None, {"do_lower_case": False}
        yield model, {"normalizer": None}, None, {"do_lower_case": True}
        yield model, {}, None, {"do_lower_case": True, "tokenize_chinese_chars": False}


def roberta_cases():
    classes = ["RobertaTokenizer", "RobertaTokenizerFast", "PreTrainedTokenizerFast", None]
    for name, own, said in itertools.product(classes, [True, False], [True, False]):
        changes = {"pre_tokenizer.add_prefix_space": own}
        yield "tiny-roberta", changes, name, {"add_prefix_space": said}


def side_cases():
    for model, side in itertools.product(["tiny-bert", "tiny-roberta"], ["left", "right"]):
        yield model, {}, "PreTrainedTokenizerFast", {"truncation_side": side}
        own = {"direction": side.title(), "max_length": 4, "strategy": "LongestFirst", "stride": 0}
        for name in ["PreTrainedTokenizerFast", None]:
            yield model, {"truncation": own}, name, {}
        yield model, {"truncation": own}, None, {"truncation_side": "right"}


def change(tokenizer, changes):
    for key, value in changes.items():
        *path, last = key.split(".")
        place = tokenizer
        for part in path:
            place = place[part]
        place[last] = value


def record(model, changes, name, settings):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        shutil.copy(DATA / model / "config.json", folder)
        tokenizer = json.loads((DATA / model / "tokenizer.json").read_text())
        change(tokenizer, changes)
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
        config = json.loads((DATA / model / "tokenizer_config.json").read_text())
        config.pop("tokenizer_class", None)
        config.update(settings)
        if name:
            config["tokenizer_class"] = name
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        found = transformers.AutoTokenizer.from_pretrained(folder)
        ids = [found(text, truncation=True, max_length=LONGEST)["input_ids"] for text in TEXTS]
    return {"model": model, "changes": changes, "class": name, "settings": settings, "ids": ids}


cases = [record(*case) for case in [*bert_cases(), *roberta_cases(), *side_cases()]]
lines = ",\n".join("    " + json.dumps(case, ensure_ascii=False) for case in cases)
head = json.dumps(
    {"transformers": transformers.__version__, "longest": LONGEST, "texts": TEXTS},
    ensure_ascii=False,
)
(DATA / "tokenizer_settings.json").write_text(f'{head[:-1]}, "cases": [\n{lines}\n]}}\n')
print(len(cases), "cases")
