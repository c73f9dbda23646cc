"""Records scikit-learn's figures for made-up predictions, the witness of src/metrics.

    pip install scikit-learn && python tests/sklearn_metrics.py > tests/data/sklearn_metrics.json

Calibration errors have no scikit-learn function; they are computed here by a formula over sorted edges that shares
nothing with the Rust code.
"""

import json
import warnings

import numpy as np
import sklearn.metrics as m

warnings.filterwarnings("ignore")


def calibration(truth, guess, p):
    confidence = p.max(axis=1).astype(np.float64)
    edges = np.arange(1, 15) / 15
    bins = np.searchsorted(edges, confidence, side="left")
    gaps, weights = [], []
    for b in np.unique(bins):
        inside = bins == b
        gaps.append(abs(np.mean(truth[inside] == guess[inside]) - confidence[inside].mean()))
        weights.append(inside.mean())
    return float(np.dot(gaps, weights)), float(max(gaps))


def case(name, labels, truth, p):
    p = np.asarray(p, dtype=np.float32)
    truth = np.asarray(truth)
    guess = p.argmax(axis=1)
    classes = list(range(len(labels)))
    options = {"labels": classes, "zero_division": 0}
    figures = {
        "accuracy": m.accuracy_score(truth, guess),
        "balanced_accuracy": m.balanced_accuracy_score(truth, guess),
        "mcc": m.matthews_corrcoef(truth, guess),
        "kappa": m.cohen_kappa_score(truth, guess, labels=classes),
        "nll": m.log_loss(truth, p, labels=classes),
        "brier": m.brier_score_loss(truth, p, labels=classes, scale_by_half=False),
    }
    for average in ["macro", "micro", "weighted"]:
        figures[f"{average}_f1"] = m.f1_score(truth, guess, average=average, **options)
    if set(truth) == set(classes):
        # The binary form takes the scores of the second class; the areas of both classes are the same.
        score = p[:, 1] if len(labels) == 2 else p
        figures["roc_auc"] = m.roc_auc_score(truth, score, multi_class="ovr", average="macro")
    figures["ece"], figures["mce"] = calibration(truth, guess, p)
    per_class = m.precision_recall_fscore_support(truth, guess, average=None, **options)
    for metric, values in zip(["precision", "recall", "f1"], per_class):
        figures |= {f"{metric}/{label}": value for label, value in zip(labels, values)}
    return {
        "name": name,
        "labels": labels,
        "truth": truth.tolist(),
        "probabilities": [[float(str(x)) for x in row] for row in p],
        "metrics": {key: float(value) for key, value in figures.items() if not np.isnan(value)},
        "confusion": m.confusion_matrix(truth, guess, labels=classes).tolist(),
    }


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def drawn(name, classes, rows, sharpness, missing=()):
    rng = np.random.default_rng(classes * 1000 + rows)
    kept = [c for c in range(classes) if c not in missing]
    truth = rng.choice(kept, size=rows)
    logits = rng.normal(size=(rows, classes))
    logits[np.arange(rows), truth] += 1.0
    return case(name, [f"class {c}" for c in range(classes)], truth, softmax(sharpness * logits))


CASES = [
    drawn("two classes", 2, 60, 1.0),
    drawn("seven classes, sharp", 7, 80, 3.0),
    drawn("five classes, two without rows", 5, 40, 1.0, missing=(1, 4)),
    case("a class that is never predicted", ["a", "b", "c"], [0, 1, 2, 2], [[0.8, 0.1, 0.1], [0.4, 0.3, 0.3], [0.1, 0.2, 0.7], [0.5, 0.2, 0.3]]),
    case("ties of scores", ["a", "b"], [0, 0, 1, 1, 1], [[0.5, 0.5], [0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [0.75, 0.25]]),
    case("one class is always predicted", ["a", "b"], [0, 1, 1], [[0.125, 0.875], [0.25, 0.75], [0.375, 0.625]]),
    case("all wrong", ["a", "b"], [0, 1], [[0.0, 1.0], [1.0, 0.0]]),
]

if __name__ == "__main__":
    print("[")
    print(",\n".join(json.dumps(c) for c in CASES))
    print("]")
