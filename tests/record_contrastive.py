"""Records the losses, the pairs and the learning rates of contrastive few-shot training, for the tests of the Rust program.

Writes tests/data/contrastive.json with these parts:

`batches`: small random embeddings `z` (not normalised) with class numbers, and for each batch the losses with their
gradients by `z`, in double precision by PyTorch's automatic differentiation:

- `all_pairs`: half the mean of (cos - 1)^2 over the pairs i < j of one class, plus half the mean of cos^2 over those of
  two classes; a mean over no pairs is 0.
- `supcon`: eq. 2 of arXiv 2004.11362 per text that has another of its class, divided by the number of such texts
  (`anchors`), 0 without one. `setfit` is its SupConLoss with both temperatures alike, null where it is not a number; it
  divides by the number of all texts, so it has a value only where each text is an anchor, and then the same. (With
  `base_temperature` left at .07, as setfit has it, its value is temperature / .07 times that.)
- `triplet`: batch-hard soft-margin, log(1 + exp(d(farthest of the class) - d(nearest of another))) with d = 1 - cos; the
  mean over the texts that have both (`anchors`), 0 without one. `sentence_transformers` is its
  BatchHardSoftMarginTripletLoss with the cosine distance, which takes the mean over all texts, whatever they lack.
- `cosine`: the mean of (cos - y)^2 over the given pairs [i, j, y], as setfit trains by default, whose
  CosineSimilarityLoss is checked to agree.

A batch with `weights` has such means by weight: a pair counts the product of its texts' weights, a text's share of a mean
over texts is its own.

`permutations`: NumPy's `RandomState(42).permutation(size)` for size = n (n + 1) / 2. Number k of it stands for pair k of
(0, 0), (0, 1), ..., (0, n - 1), (1, 1), (1, 2), ...: a text with itself is among the pairs.

`pairs`: the pairs [i, j, y] that setfit's ContrastiveDataset yields, in order. `pairs` is null where it raises IndexError
since there is no pair of a kind to repeat.

`schedules`: the learning rate of each step of setfit's training of the encoder: linear, with a warm-up of
ceil(steps * 0.1) steps, computed in double precision. The first step is taken at rate 0. Both the schedule of
`transformers` and the rates seen in a run of setfit's Trainer on tests/data/tiny-bert are taken, and must agree.

Made with setfit 1.1.3, sentence-transformers 5.7.0, transformers 4.57.6, torch 2.15.0, NumPy 2.4.6:

    pip install setfit==1.1.3 "sentence-transformers==5.7.0" "transformers==4.57.6" torch==2.15.0
    python tests/record_contrastive.py
"""

import contextlib
import json
import math
import os
import pathlib
import random
import sys
import tempfile

# One thread, so that sums are taken in the same order on every machine; and no look at a hub.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
sys.dont_write_bytecode = True

import datasets
import numpy
import sentence_transformers
import setfit
import torch
import transformers
from sentence_transformers import losses as library_losses
from setfit.losses import SupConLoss
from setfit.sampler import ContrastiveDataset
from torch.nn.functional import normalize

DATA = pathlib.Path(__file__).parent / "data"
DIMENSIONS = 6
BATCHES = {
    "two classes, even": [0, 1, 1, 0, 1, 0, 0, 1, 0, 1],
    "two classes, uneven": [0, 0, 1, 0, 0, 1, 0, 0, 0],
    "three classes": [2, 0, 1, 0, 0, 1, 2, 0, 1, 0, 0, 2],
    "a class of one text": [0, 1, 1, 2, 0, 1, 0, 1, 0],
    "two classes, one of one text": [1, 1, 1, 0, 1, 1, 1, 1],
    "one class": [1, 1, 1, 1, 1, 1, 1, 1],
    "each text its own class": [2, 0, 1],
}
# Texts that count more than the others: those in the last places, as label texts do.
WEIGHTS = {
    "two classes, even": [1, 1, 1, 1, 1, 1, 1, 1, 4, 4],
    "three classes": [1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 2, 4],
    "two classes, one of one text": [1, 1, 1, 1, 1, 1, 1, 6],
}
TEMPERATURES = [0.07, 0.1]
SAMPLED = [
    [0, 0, 0, 1, 1, 2],
    [0, 0, 0, 0, 1, 1, 1, 1],
    [0, 0, 0, 0, 0, 1, 1],
    [1, 0, 2, 1, 0, 1, 1],
    [0, 1],
    [0, 1, 2],
    [0, 0, 0],
]
SAMPLERS = [{"sampling_strategy": name} for name in ("oversampling", "undersampling", "unique")]
SAMPLERS += [{"num_iterations": rounds} for rounds in (1, 2, 5)]
STEPS = [1, 7, 10, 11, 20, 37]


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    generator = torch.Generator().manual_seed(20)
    libraries = (setfit, sentence_transformers, transformers, torch, numpy)
    sizes = sorted({len(labels) for labels in SAMPLED} | {16})
    value = {
        "made_by": "tests/record_contrastive.py",
        "versions": {library.__name__: library.__version__ for library in libraries},
        "batches": [batch(name, labels, generator) for name, labels in BATCHES.items()]
        + [weighted_batch(name, weights, generator) for name, weights in WEIGHTS.items()],
        "permutations": [permutation(n) for n in sizes],
        "pairs": [sampled(labels, settings) for labels in SAMPLED for settings in SAMPLERS],
        "schedules": [schedule(steps) for steps in STEPS],
    }
    (DATA / "contrastive.json").write_text(lay_out(value, 0) + "\n")


def batch(name, labels, generator):
    # Rows of different lengths, so that a missing normalisation shows.
    lengths = 0.3 + 4.0 * torch.rand(len(labels), 1, generator=generator, dtype=torch.float64)
    z = lengths * torch.randn(len(labels), DIMENSIONS, generator=generator, dtype=torch.float64)
    same = torch.tensor([[a == b for b in labels] for a in labels])
    others = ~torch.eye(len(labels), dtype=torch.bool)
    pairs = given_pairs(labels)
    anchors = int((same & others).any(1).sum())
    return {
        "name": name,
        "labels": labels,
        "z": z.tolist(),
        "all_pairs": with_gradient(z, lambda z: all_pairs(z, same)),
        "supcon": [
            {
                "temperature": temperature,
                "anchors": anchors,
                **with_gradient(z, lambda z: supcon(z, same & others, others, temperature)),
                "setfit": setfit_supcon(z, labels, temperature),
            }
            for temperature in TEMPERATURES
        ],
        "triplet": {
            "anchors": int(((same & others).any(1) & (~same).any(1)).sum()),
            **with_gradient(z, lambda z: triplet(z, same & others, ~same)),
            "sentence_transformers": library_triplet(z, labels),
        },
        "cosine": {"pairs": pairs, **with_gradient(z, lambda z: cosine(z, pairs))},
    }


def weighted_batch(name, weights, generator):
    labels = BATCHES[name]
    z = torch.randn(len(labels), DIMENSIONS, generator=generator, dtype=torch.float64)
    same = torch.tensor([[a == b for b in labels] for a in labels])
    others = ~torch.eye(len(labels), dtype=torch.bool)
    own = torch.tensor(weights, dtype=z.dtype)
    return {
        "name": name + ", weighted",
        "labels": labels,
        "weights": weights,
        "z": z.tolist(),
        "all_pairs": with_gradient(z, lambda z: all_pairs(z, same, own)),
        "supcon": [
            {"temperature": temperature, **with_gradient(z, lambda z: supcon(z, same & others, others, temperature, own))}
            for temperature in TEMPERATURES
        ],
        "triplet": with_gradient(z, lambda z: triplet(z, same & others, ~same, own)),
    }


def with_gradient(z, loss):
    z = z.clone().requires_grad_()
    value = loss(z)
    # A loss of nothing hangs on no embedding.
    gradient = torch.autograd.grad(value, z)[0] if value.requires_grad else torch.zeros_like(z)
    # Adding 0 takes the sign off a zero.
    return {"loss": value.item() + 0.0, "gradient": (gradient + 0.0).tolist()}


def cosines(z):
    unit = normalize(z, dim=1)
    return unit @ unit.T


def all_pairs(z, same, weights=None):
    upper = torch.ones_like(same).triu(1)
    products = cosines(z)
    weights = torch.ones(len(z), dtype=z.dtype) if weights is None else weights
    of_pairs = torch.outer(weights, weights)
    loss = torch.zeros((), dtype=z.dtype)
    for target, of_kind in ((1, same & upper), (0, ~same & upper)):
        if of_kind.any():
            loss = loss + mean((products[of_kind] - target) ** 2, of_pairs[of_kind]) / 2
    return loss


def supcon(z, positives, others, temperature, weights=None):
    products = cosines(z) / temperature
    weights = torch.ones(len(z), dtype=z.dtype) if weights is None else weights
    chances = products - products.masked_fill(~others, -math.inf).logsumexp(1, keepdim=True)
    anchors = [i for i in range(len(z)) if positives[i].any()]
    terms = [-mean(chances[i, positives[i]], weights[positives[i]]) for i in anchors]
    return mean(torch.stack(terms), weights[anchors]) if terms else torch.zeros((), dtype=z.dtype)


def triplet(z, positives, negatives, weights=None):
    distances = 1 - cosines(z)
    weights = torch.ones(len(z), dtype=z.dtype) if weights is None else weights
    anchors = [i for i in range(len(z)) if positives[i].any() and negatives[i].any()]
    terms = [
        torch.log1p(torch.exp(distances[i, positives[i]].max() - distances[i, negatives[i]].min()))
        for i in anchors
    ]
    return mean(torch.stack(terms), weights[anchors]) if terms else torch.zeros((), dtype=z.dtype)


def mean(values, weights):
    return (values * weights).sum() / weights.sum()


def cosine(z, pairs):
    products = cosines(z)
    loss = torch.stack([(products[i, j] - y) ** 2 for i, j, y in pairs]).mean()
    first, second, targets = (list(column) for column in zip(*pairs))
    halves = iter((z[first], z[second]))
    theirs = library_losses.CosineSimilarityLoss(Given(lambda: next(halves)))([{}, {}], torch.tensor(targets, dtype=z.dtype))
    agree(loss, theirs)
    return loss


def given_pairs(labels):
    """Returns pairs [i, j, y] for the cosine loss: one twice, one in both directions and a text with itself among them."""
    drawn = random.Random(len(labels))
    count = len(labels)
    pairs = [sorted(drawn.sample(range(count), 2)) for _ in range(count)]
    pairs += [pairs[0], pairs[1][::-1], [count - 1, count - 1]]
    return [[i, j, int(labels[i] == labels[j])] for i, j in pairs]


class Given(torch.nn.Module):
    """Stands for an encoder in the libraries' losses: gives embeddings that are there already."""

    def __init__(self, embeddings):
        super().__init__()
        self.embeddings = embeddings

    def forward(self, _):
        return {"sentence_embedding": self.embeddings()}


def setfit_supcon(z, labels, temperature):
    loss = SupConLoss(Given(lambda: z), temperature=temperature, base_temperature=temperature)
    value = loss([{}], torch.tensor(labels)).item()
    positives = [labels.count(label) > 1 for label in labels]
    assert math.isfinite(value) == all(positives)
    if not math.isfinite(value):
        return None
    same = torch.tensor([[a == b for b in labels] for a in labels])
    others = ~torch.eye(len(labels), dtype=torch.bool)
    agree(supcon(z, same & others, others, temperature), value)
    return value


def library_triplet(z, labels):
    distance = library_losses.BatchHardTripletLossDistanceFunction.cosine_distance
    loss = library_losses.BatchHardSoftMarginTripletLoss(Given(lambda: z), distance_metric=distance)
    value = loss([{}], torch.tensor(labels)).item()
    if all(1 < labels.count(label) < len(labels) for label in labels):
        same = torch.tensor([[a == b for b in labels] for a in labels])
        others = ~torch.eye(len(labels), dtype=torch.bool)
        agree(triplet(z, same & others, ~same), value)
    return value


def agree(ours, theirs):
    assert abs(float(ours) - float(theirs)) < 1e-12, (float(ours), float(theirs))


def permutation(texts):
    size = texts * (texts + 1) // 2
    return {"texts": texts, "size": size, "order": numpy.random.RandomState(42).permutation(size).tolist()}


def sampled(labels, settings):
    # Each sentence is its own number, so that the pairs say which texts they are of.
    sentences = list(range(len(labels)))
    sampler = ContrastiveDataset(sentences, labels, multilabel=False, **settings)
    try:
        pairs = [[pair["sentence_1"], pair["sentence_2"], int(pair["label"])] for pair in sampler]
    except IndexError:
        pairs = None
    return {
        "labels": labels,
        **settings,
        "positives": len(sampler.pos_pairs),
        "negatives": len(sampler.neg_pairs),
        "pairs": pairs,
    }


def schedule(steps):
    rate, share = 2e-5, 0.1
    warmup = math.ceil(steps * share)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    scheduler = transformers.get_linear_schedule_with_warmup(optimizer, warmup, steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == rates_of_a_run(steps)
    return {"learning_rate": rate, "steps": steps, "warmup": share, "warmup_steps": warmup, "rates": rates}


def rates_of_a_run(steps):
    """Returns the rates that setfit's Trainer has at each step, when its training takes this many."""
    seen = []

    class Watch(transformers.TrainerCallback):
        def on_step_begin(self, args, state, control, optimizer, **_):
            rates = {group["lr"] for group in optimizer.param_groups}
            assert len(rates) == 1
            seen.extend(rates)

    # A round over two texts gives four pairs, which is one batch.
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        model = setfit.SetFitModel.from_pretrained(str(DATA / "tiny-bert"), device="cpu")
        settings = setfit.TrainingArguments(
            output_dir=folder, num_iterations=steps, batch_size=4, report_to="none", save_strategy="no",
            show_progress_bar=False,
        )
        examples = datasets.Dataset.from_dict({"text": ["good", "bad"], "label": [0, 1]})
        trainer = setfit.Trainer(model=model, args=settings, train_dataset=examples, callbacks=[Watch()])
        trainer.train()
    return seen


def lay_out(value, indent):
    """Returns JSON with a line for each row of a matrix, where json's own indentation has one for each number."""
    pad = "  " * (indent + 1)
    if isinstance(value, dict):
        items = [f"{pad}{json.dumps(key)}: {lay_out(item, indent + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + "\n" + "  " * indent + "}"
    rows = isinstance(value, list) and value and isinstance(value[0], list) and isinstance(value[0][0], float)
    if rows or isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(pad + lay_out(item, indent + 1) for item in value) + "\n" + "  " * indent + "]"
    return json.dumps(value)


if __name__ == "__main__":
    main()
