"""Fits scikit-learn's logistic regression to the embeddings of sentence-transformers.

Usage: python probe_by_scikit_learn.py MODEL < texts.json

The input has `train`, a list of texts with their labels, and `test`, a list of texts; the output
has `classes` and the `probabilities` of each test text in their order.
"""

import json
import sys

from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression


def main(folder):
    texts = json.load(sys.stdin)
    model = SentenceTransformer(folder, device="cpu")
    train = model.encode([text for text, _ in texts["train"]])
    test = model.encode(texts["test"])
    head = LogisticRegression(tol=1e-10, max_iter=10_000)
    head.fit(train.astype("float64"), [label for _, label in texts["train"]])
    probabilities = head.predict_proba(test.astype("float64"))
    json.dump({"classes": list(head.classes_), "probabilities": probabilities.tolist()}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
