"""Records what scikit-learn, SciPy and `transformers` say about the parts of text augmentation, for the tests of the
Rust program.

Writes tests/data/quality.json, the witness of the quality filter: small random embeddings with class numbers, the
Ledoit-Wolf covariance of the residuals around the class means, the distances of candidates to the class means, and the
distance of each point to its own class's mean when the point is left out.

Writes tests/data/tiny-NAME-mlm/ for each NAME of `MASKED_MODELS`, random-weight models with a masked-language-model
head. They have the sizes and the tokenizer.json of the folders beside them that tests/record_transformers.py makes; run
that one first. `expected.json` holds token ids and the logits of the whole vocabulary at each mask, computed in double
precision.

Run from anywhere: python tests/record_augmentation.py   (needs scikit-learn, scipy, torch, transformers, tokenizers,
safetensors; `quality`, `mlm` or a NAME as an argument records that part alone)
"""

import json
import os
import shutil
import sys
from typing import NamedTuple

# One thread, so that sums are taken in the same order on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.dont_write_bytecode = True

import numpy as np
import scipy
import sklearn
import tokenizers
import torch
import transformers
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from record_transformers import DATA, in_double_precision, rounded, write

MADE_BY = "tests/record_augmentation.py"
QUANTILES = [0.9, 0.5]


def fit(x, labels):
    """The mean of each class that has points, and the covariance of what is left of the points without it."""
    means = {int(c): x[labels == c].mean(axis=0) for c in np.unique(labels)}
    residuals = np.array([row - means[int(c)] for row, c in zip(x, labels)])
    return means, LedoitWolf(assume_centered=True).fit(residuals)


def distances(point, mean, inverse):
    return float(np.linalg.norm(point - mean)), float(mahalanobis(point, mean, inverse))


def leave_one_out(x, labels, index):
    """Everything is computed afresh from the other points; a class without another point has no distance."""
    others = np.arange(len(x)) != index
    own = int(labels[index])
    if own not in labels[others]:
        return None, None
    means, model = fit(x[others], labels[others])
    return distances(x[index], means[own], np.linalg.inv(model.covariance_))


def quality_case(name, x, labels, candidates):
    means, model = fit(x, labels)
    inverse = np.linalg.inv(model.covariance_)
    to_means = [[distances(row, means[c], inverse) for c in sorted(means)] for row in candidates]
    euclidean, whitened = zip(*[leave_one_out(x, labels, i) for i in range(len(x))])

    def quantile(q):
        return {kind: float(np.quantile([d for d in values if d is not None], q))
                for kind, values in [("euclidean", euclidean), ("mahalanobis", whitened)]}

    at = {q: quantile(q) for q in QUANTILES}
    return {
        "name": name,
        "embeddings": x.tolist(),
        "labels": labels.tolist(),
        "shrinkage": float(model.shrinkage_),
        "covariance": model.covariance_.tolist(),
        "candidates": candidates.tolist(),
        "euclidean": [[e for e, _ in row] for row in to_means],
        "mahalanobis": [[m for _, m in row] for row in to_means],
        "loo_euclidean": list(euclidean),
        "loo_mahalanobis": list(whitened),
        "quantiles": {kind: {str(q): at[q][kind] for q in QUANTILES} for kind in ["euclidean", "mahalanobis"]},
    }


def drawn(name, seed, sizes, d, mixing=None, spread=1.0, normalised=False):
    """Classes of the given sizes around random centres, in a shuffled order, and candidates near, between and far."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    # Features of unequal size unless the case brings a mixing of its own.
    mixing = np.diag(np.linspace(0.5, 2.0, d)) if mixing is None else mixing
    centres = 1.5 * rng.normal(size=(len(sizes), d))
    x = centres[labels] + spread * rng.normal(size=(len(labels), d)) @ mixing
    steps = np.array([[0.3], [1.0], [2.0], [8.0], [40.0]])
    candidates = centres[np.arange(5) % len(sizes)] + steps * rng.normal(size=(5, d))
    if normalised:
        x, candidates = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, candidates)]
    return quality_case(name, x, labels, candidates)


def record_quality():
    # Four features that are nearly one and the same, with a little of their own.
    alike = np.vstack([[3.0, 2.8, -3.1, 2.9], 0.2 * np.eye(4)[1:]])
    cases = [
        drawn("three classes", 11, [16, 14, 10], 6),
        drawn("fewer points than dimensions", 12, [5, 4], 12),
        drawn("very unequal classes, one of a single point", 13, [20, 7, 2, 1], 5),
        drawn("one class", 14, [25], 8),
        drawn("strongly correlated features, little shrinkage", 15, [35, 25], 4, mixing=alike),
        drawn("rows of length one", 16, [12, 12, 11], 10, spread=0.4, normalised=True),
        drawn("features alike and independent, full shrinkage", 17, [7, 6], 5, mixing=np.eye(5)),
    ]
    by_name = {case["name"]: case["shrinkage"] for case in cases}
    assert by_name["strongly correlated features, little shrinkage"] < 0.05, by_name
    assert by_name["features alike and independent, full shrinkage"] == 1.0, by_name
    head = {"made_by": MADE_BY, "versions": {m.__name__: m.__version__ for m in (np, scipy, sklearn)}}
    # One field of a case on a line.
    laid_out = ["{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in case.items()) + "\n}" for case in cases]
    path = DATA / "quality.json"
    path.write_text(json.dumps(head)[:-1] + ', "cases": [\n' + ",\n".join(laid_out) + "\n]}\n")


# One more text fills the model's longest input with repeated words, with the mask near its end.
MASKED = [
    "the food was {mask} and we came",
    "{mask} again",
    "the {mask} was good and the service was {mask}!",
    "it was a slow {mask}.",
]


class MaskedModel(NamedTuple):
    """What a folder is made of; the folder beside it is `tiny-SIBLING`."""

    sibling: str
    mask: str
    architecture: type
    seed: int
    longest: int = 32
    settings: dict = {}


MASKED_MODELS = {
    "bert": MaskedModel("bert", "[MASK]", transformers.BertForMaskedLM, 21),
    "distilbert": MaskedModel("distilbert", "[MASK]", transformers.DistilBertForMaskedLM, 22),
    "roberta": MaskedModel("roberta", "<mask>", transformers.RobertaForMaskedLM, 23),
    "mpnet": MaskedModel("mpnet", "<mask>", transformers.MPNetForMaskedLM, 24, longest=60),
    "electra": MaskedModel("electra", "[MASK]", transformers.ElectraForMaskedLM, 25),
    "albert": MaskedModel("albert", "[MASK]", transformers.AlbertForMaskedLM, 26),
    "modernbert": MaskedModel("modernbert", "[MASK]", transformers.ModernBertForMaskedLM, 27, longest=40),
    "deberta-v2": MaskedModel("deberta-v2", "[MASK]", transformers.DebertaV2ForMaskedLM, 28, longest=40),
    # The head of the published files of DeBERTa-v3.
    "deberta-v2-nonlegacy": MaskedModel("deberta-v2", "[MASK]", transformers.DebertaV2ForMaskedLM, 29, longest=40,
                                        settings={"legacy": False}),
    "nomic-bert": MaskedModel("nomic-bert", "[MASK]", transformers.NomicBertForMaskedLM, 30, longest=40),
    "gte": MaskedModel("gte", "<mask>", transformers.GteForMaskedLM, 31, longest=40),
}


def draw(model, generator):
    """Draws every parameter, LayerNorm, biases and head too: a weight that is 0 or 1 would hide a mistake."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.add_(1.0)


@in_double_precision
def record_mlm(kind):
    sibling, mask, architecture, seed, longest, settings = MASKED_MODELS[kind]
    sibling, folder = DATA / f"tiny-{sibling}", DATA / f"tiny-{kind}-mlm"
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads((sibling / "config.json").read_text())
    for key in ["architectures", "id2label", "label2id", "transformers_version"]:
        del config[key]
    config = architecture.config_class.from_dict(config | {"initializer_range": 0.3} | settings)
    model = architecture(config)
    draw(model, torch.Generator().manual_seed(seed))
    model.save_pretrained(folder)
    shutil.copyfile(sibling / "tokenizer.json", folder / "tokenizer.json")

    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    mask_id = tokenizer.token_to_id(mask)
    assert mask_id is not None and tokenizer.get_vocab_size() == config.vocab_size

    def ids(text):
        return tokenizer.encode(text).ids

    words = "the food was good and the place was slow and".split()
    end = f" {mask} was good"
    count = 0
    while len(ids("good" + "".join(" " + words[i % len(words)] for i in range(count + 1)) + end)) <= longest:
        count += 1
    long = "good" + "".join(" " + words[i % len(words)] for i in range(count)) + end

    model, info = architecture.from_pretrained(folder, attn_implementation="eager", output_loading_info=True)
    assert not any(info.values()), info
    model = model.double().eval()
    cases = []
    for text in [text.replace("{mask}", mask) for text in MASKED] + [long]:
        encoded = ids(text)
        positions = [i for i, token in enumerate(encoded) if token == mask_id]
        assert len(positions) == text.count(mask) and len(encoded) <= longest
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([encoded]), attention_mask=torch.ones(1, len(encoded))).logits[0]
        cases.append({"text": text, "ids": encoded, "mask_positions": positions, "logits": rounded(logits[positions])})
    write(folder / "expected.json", {
        "made_by": MADE_BY,
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, tokenizers)},
        "mask_token": mask,
        "mask_id": mask_id,
        "cases": cases,
    })


def main():
    parts = sys.argv[1:] or ["quality", "mlm"]
    known = ["quality", "mlm", *MASKED_MODELS]
    if unknown := [part for part in parts if part not in known]:
        sys.exit(f"no such part: {', '.join(unknown)}; there are {', '.join(known)}")
    if "quality" in parts:
        record_quality()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for kind in MASKED_MODELS if "mlm" in parts else [part for part in parts if part != "quality"]:
        torch.manual_seed(0)
        record_mlm(kind)


if __name__ == "__main__":
    main()
