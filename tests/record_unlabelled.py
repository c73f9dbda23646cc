"""Records what learns from texts without labels, for the tests of the Rust program.

Writes tests/data/unlabelled.json with these parts:

`certainties`: random logits without dropout (`plain`) and of some passes, and from them by NumPy what
uncertainty-aware self-training (arXiv 2006.15315) takes of each text: `bald`, the entropy of the mean
probabilities less the mean entropy; `variance` over the passes of the probability of the class that
`plain` predicts; `weights`, log(1 / (variance + 1e-10)), divided by their mean. BALD and log(1 /
variance) are computed as microsoft/UST does; it takes the variance of class 0.

`draws`: how likely each text is among `count` that are drawn without replacement with p proportional to
1 - BALD (0 where that is negative), from all orders of a draw. Compared with numpy's `Generator.choice`
before it is written.

`weighted`: cross-entropy with class weights, label smoothing and a weight for each text, the mean of the
losses by all weights, with its gradient by the logits, in double precision by PyTorch.

`distillations`: vectors of a student (not normalised) and of a teacher, the mean over the pairs i < j of
the squared difference of their cosines, and the gradient by the student's vectors, in double precision
by PyTorch.

Run from anywhere: python tests/record_unlabelled.py   (needs numpy, torch)
"""

import itertools
import json
import os
import pathlib

os.environ["OMP_NUM_THREADS"] = "1"

import numpy
import torch
from torch.nn.functional import cross_entropy, normalize

DATA = pathlib.Path(__file__).parent / "data"
RANDOM = numpy.random.default_rng(1206)


def softmax(logits):
    powers = numpy.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def certainty(passes, texts, classes, spread):
    plain = numpy.round(RANDOM.normal(size=(texts, classes)) * 2, 3)
    logits = numpy.round(plain + spread * RANDOM.normal(size=(passes, texts, classes)), 3)
    shares = softmax(logits)
    entropy = -numpy.mean(numpy.sum(shares * numpy.log(shares + 1e-10), axis=-1), axis=0)
    mean = shares.mean(axis=0)
    bald = -numpy.sum(mean * numpy.log(mean + 1e-10), axis=-1) - entropy
    predicted = softmax(plain).argmax(axis=-1)
    variance = numpy.var(shares, axis=0)[numpy.arange(texts), predicted]
    weights = -numpy.log(variance + 1e-10)
    return {
        "plain": plain.tolist(), "passes": logits.tolist(), "bald": bald.tolist(),
        "variance": variance.tolist(),
        "weights": (weights / weights.mean()).tolist(),
    }


def drawn(bald, count):
    rates = numpy.maximum(0, 1 - numpy.array(bald))
    included = numpy.zeros(len(bald))
    for order in itertools.permutations(range(len(bald)), count):
        share, left = 1.0, rates.sum()
        for text in order:
            share *= rates[text] / left if left > 0 else 0.0
            left -= rates[text]
        included[list(order)] += share
    seen = numpy.zeros(len(bald))
    for _ in range(20000):
        seen[RANDOM.choice(len(bald), count, p=rates / rates.sum(), replace=False)] += 1 / 20000
    assert abs(seen - included).max() < 0.02, (seen, included)
    return {"bald": bald, "count": count, "included": included.tolist()}


def weighted(labels, classes, balanced, smoothing):
    logits = torch.tensor(numpy.round(RANDOM.normal(size=(len(labels), classes)), 4), requires_grad=True)
    counts = numpy.round(RANDOM.uniform(0.2, 3, size=len(labels)), 4)
    targets = torch.tensor(labels)
    sizes = numpy.bincount(labels, minlength=classes)
    of_class = len(labels) / (classes * sizes) if balanced else numpy.ones(classes)
    of_class = torch.tensor(of_class)
    each = cross_entropy(logits, targets, weight=of_class, label_smoothing=smoothing, reduction="none")
    loss = (each * torch.tensor(counts)).sum() / (torch.tensor(counts) * of_class[targets]).sum()
    loss.backward()
    return {
        "labels": labels, "logits": logits.tolist(), "counts": counts.tolist(), "balanced": balanced,
        "smoothing": smoothing, "loss": loss.item(), "gradient": logits.grad.tolist(),
    }


def distillation(texts, width, teachers):
    z = torch.tensor(numpy.round(RANDOM.normal(size=(texts, width)), 4), requires_grad=True)
    teacher = torch.tensor(numpy.round(RANDOM.normal(size=(texts, teachers)), 4))
    unit, wanted = normalize(z), normalize(teacher)
    above = torch.triu_indices(texts, texts, 1)
    apart = (unit @ unit.T - wanted @ wanted.T)[above[0], above[1]]
    loss = (apart ** 2).mean()
    loss.backward()
    return {"z": z.tolist(), "teacher": teacher.tolist(), "loss": loss.item(), "gradient": z.grad.tolist()}


def rounded(value):
    """Eleven digits are more than any comparison asks for."""
    if isinstance(value, float):
        return float(f"{value:.11g}")
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list) else value


if __name__ == "__main__":
    recorded = {
        "made_by": "tests/record_unlabelled.py",
        "versions": {"numpy": numpy.__version__, "torch": torch.__version__},
        "certainties": [
            certainty(30, 6, 3, 0.8), certainty(5, 4, 2, 0.1), certainty(2, 5, 4, 2.0),
            certainty(8, 3, 5, 4.0),
        ],
        "draws": [
            drawn([0.0, 0.2, 0.5, 0.9, 0.99], 2),
            drawn([0.1, 1.4, 0.6, 0.3], 3),
            drawn([0.5, 0.1, 0.8], 1),
        ],
        "weighted": [
            weighted([0, 1, 1, 0, 1], 2, False, 0.0), weighted([2, 0, 1, 1, 0, 0, 1], 3, True, 0.1),
        ],
        "distillations": [distillation(5, 4, 6), distillation(2, 3, 2), distillation(9, 6, 6)],
    }
    path = DATA / "unlabelled.json"
    text = json.dumps(rounded(recorded), separators=(",", ":"))
    for part in ("certainties", "draws", "weighted", "distillations"):
        text = text.replace(f'"{part}":', f'\n"{part}":')
    path.write_text(text + "\n")
    print(path, path.stat().st_size, "bytes")
