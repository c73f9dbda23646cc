"""Records what sentence-transformers says of tiny folders, for the tests of the Rust program.

Writes tests/data/sentences/NAME/: the files of the modules over an encoder of tests/data, which is not copied, and
`expected.json` beside them: the encoder, texts, the prompt before them, and their embeddings in one padded batch.
Weights of dense modules are random. Run tests/record_transformers.py first.

Run from anywhere: python tests/record_sentences.py   (needs torch, transformers, sentence-transformers)
"""

import json
import pathlib
import shutil
import tempfile

import sentence_transformers
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer

DATA = pathlib.Path(__file__).parent / "data"
WIDTH = 32
# Of unequal length; the last is cut where `max_seq_length` is 12.
TEXTS = [
    "the food was good",
    "slow",
    "we waited an hour, and then the service was slow and the bill was wrong!",
    "Kind People, Lovely Place",
]
SWITCHES = ["cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]
# In the order of SWITCHES: the names in a pipeline file and in files of today.
NAMES = {"cls": "cls", "max": "max", "mean": "mean", "mean_sqrt_len": "mean_sqrt_len_tokens",
         "weighted_mean": "weightedmean", "last": "lasttoken"}


def modules_of(folder):
    return json.loads((folder / "modules.json").read_text())


def save_json(path, value, rows=()):
    """Writes JSON; each "ROW" in it becomes a row of numbers in one line."""
    text = json.dumps(value, indent=1)
    for row in rows:
        text = text.replace('"ROW"', json.dumps(row), 1)
    path.write_text(text + "\n")


def in_old_names(folder):
    """Spells types and poolings as sentence-transformers did before version 5."""
    modules = modules_of(folder)
    for module in modules:
        module["type"] = "sentence_transformers.models." + module["type"].rsplit(".", 1)[1]
    save_json(folder / "modules.json", modules)
    path = folder / "1_Pooling" / "config.json"
    config = json.loads(path.read_text())
    modes = config["pooling_mode"]
    modes = [modes] if isinstance(modes, str) else modes
    old = {"word_embedding_dimension": WIDTH}
    for switch, today in zip(SWITCHES, NAMES.values()):
        old[f"pooling_mode_{switch}"] = today in modes
    save_json(path, old)


def record(name, modes, steps=(), encoder="tiny-bert", old=False, texts=None, below=None, **model):
    """Makes a folder, opens it afresh, and writes what it gives."""
    torch.manual_seed(sum(name.encode()))
    with tempfile.TemporaryDirectory() as scratch:
        made = pathlib.Path(scratch) / "made"
        transformer = Transformer(str(DATA / encoder))
        pooling = Pooling(WIDTH, modes if isinstance(modes, str) else tuple(modes))
        SentenceTransformer(modules=[transformer, pooling, *steps], device="cpu", **model).save(str(made))
        if texts:
            save_json(made / "sentence_bert_config.json", texts)
        if old:
            in_old_names(made)
        if below:
            (made / below).mkdir()
            for path in list(made.iterdir()):
                if path.is_file() and path.name not in ("modules.json", "config_sentence_transformers.json"):
                    path.rename(made / below / path.name)
            modules = modules_of(made)
            modules[0]["path"] = below
            save_json(made / "modules.json", modules)
        opened = SentenceTransformer(str(made), device="cpu")
        opened.eval()
        embeddings = opened.encode(TEXTS, batch_size=len(TEXTS), convert_to_numpy=True)
        target = DATA / "sentences" / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        kept = ["modules.json", "1_Pooling/config.json"]
        if texts:
            kept.append(f"{below}/sentence_bert_config.json" if below else "sentence_bert_config.json")
        if model:
            kept.append("config_sentence_transformers.json")
        kept += [f"{module['path']}/{file}" for module in modules_of(made) if module["type"].endswith("Dense")
                 for file in ("config.json", "model.safetensors")]
        for file in kept:
            (target / file).parent.mkdir(exist_ok=True)
            shutil.copyfile(made / file, target / file)
        prompts = opened.prompts
        rows = [[float(f"{value:.8g}") for value in row] for row in embeddings.tolist()]
        save_json(target / "expected.json", {
            "made_by": "tests/record_sentences.py",
            "versions": {m.__name__: m.__version__.split("+")[0] for m in (torch, transformers, sentence_transformers)},
            "encoder": encoder,
            "below": below or "",
            "texts": TEXTS,
            "prompt": prompts.get(opened.default_prompt_name) or None,
            "embeddings": ["ROW"] * len(rows),
        }, rows)


def main():
    torch.set_num_threads(1)
    shutil.rmtree(DATA / "sentences", ignore_errors=True)
    for name, mode in NAMES.items():
        record(name.replace("_", "-"), mode, old=mode in ("cls", "weightedmean"))
    record("all", list(NAMES.values()), old=True, below="0_Transformer")
    record("dense", ["mean", "cls"],
           [Dense(2 * WIDTH, 12, activation_function=torch.nn.Tanh()),
            Dense(12, 8, bias=False, activation_function=torch.nn.Identity()), Normalize()])
    record("prompts", "mean", [Normalize()], encoder="tiny-roberta", texts={"max_seq_length": 12, "do_lower_case": True},
           prompts={"query": "we open: ", "document": "", "long": "they waited again, "}, default_prompt_name="query")


if __name__ == "__main__":
    main()
