"""Records what PyTorch says of averages, rates by layer, the pull towards first weights, R-Drop, mixup
and mixout, and what transformers says of mixed states.

Writes tests/data/stability.json.
Run from anywhere: python tests/record_stability.py   (needs torch and transformers)
"""

import json
import pathlib

import torch
import torch.nn.functional as F
import transformers
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn
from transformers import AutoModel

PATH = pathlib.Path(__file__).parent / "data" / "stability.json"
torch.set_default_dtype(torch.float64)


def averages(steps, **rule):
    """Averages by torch's AveragedModel, whose first update copies."""
    torch.manual_seed(steps)
    weights = torch.randn(steps + 1, 5)  # before the first step, then after each
    model = torch.nn.Module()
    model.w = torch.nn.Parameter(weights[0].clone())
    if "last" in rule:
        averaged, first = AveragedModel(model), steps - rule["last"] + 1
    else:
        averaged, first = AveragedModel(model, avg_fn=get_ema_avg_fn(rule["decay"])), 0
    for step in range(first, steps + 1):
        model.w.data.copy_(weights[step])
        averaged.update_parameters(model)
    return {"steps": steps, **rule, "weights": weights.tolist(), "average": averaged.module.w.detach().tolist()}


def rates(layers, rate, decay):
    """The rates of the groups in revisit-bert-finetuning: head and pooler, the layers from the top, embeddings."""
    groups, now = [["head", rate]], rate
    for layer in reversed(range(layers)):
        now = now * decay
        groups.append([f"layer.{layer}", now])
    groups.append(["embeddings", now * decay])
    return {"layers": layers, "rate": rate, "decay": decay, "groups": groups}


def pull(strength, clip, optimizer):
    """Steps on a loss with the penalty in it: strength / 2 * |w - w0|^2 of the first tensor alone."""
    torch.manual_seed(3)
    first = [torch.randn(3, 4), torch.randn(4)]
    weights = [w.clone().requires_grad_() for w in first]
    groups = [{"params": [weights[0]], "weight_decay": 0.0}, {"params": [weights[1]], "weight_decay": 0.1}]
    make = {"adamw": lambda: torch.optim.AdamW(groups, lr=0.05),
            "sgd": lambda: torch.optim.SGD(groups, lr=0.05, momentum=0.9)}
    inner = make[optimizer]()
    gradients, after, norms = [], [], []
    for _ in range(4):
        given = [torch.randn_like(w) for w in weights]
        loss = sum((w * g).sum() for w, g in zip(weights, given))
        loss = loss + strength / 2 * (weights[0] - first[0]).square().sum()
        inner.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(weights, clip).item())
        inner.step()
        gradients.append([g.flatten().tolist() for g in given])
        after.append([w.detach().flatten().tolist() for w in weights])
    return {"strength": strength, "clip": clip, "optimizer": optimizer, "first": [w.flatten().tolist() for w in first],
            "gradients": gradients, "norms": norms, "after": after}


def r_drop(texts, classes, alpha):
    """Two passes: half the sum of both cross-entropies and alpha / 2 * (KL12 + KL21), each the mean over texts."""
    torch.manual_seed(texts)
    logits = torch.randn(2, texts, classes, requires_grad=True)
    labels = torch.randint(classes, (texts,))
    p, q = F.log_softmax(logits[0], -1), F.log_softmax(logits[1], -1)
    loss = 0.5 * (F.cross_entropy(logits[0], labels) + F.cross_entropy(logits[1], labels))
    there = F.kl_div(p, q, reduction="batchmean", log_target=True)
    back = F.kl_div(q, p, reduction="batchmean", log_target=True)
    loss = loss + alpha * 0.5 * (there + back)
    loss.backward()
    return {"alpha": alpha, "labels": labels.tolist(), "logits": logits.detach().tolist(), "loss": loss.item(),
            "gradient": logits.grad.tolist()}


def mixup(texts, classes, width):
    """The vectors of texts are mixed below the last linear layer, and so are their targets."""
    torch.manual_seed(texts + 1)
    z = torch.randn(texts, width, requires_grad=True)
    layer = torch.nn.Linear(width, classes)
    labels = torch.randint(classes, (texts,))
    partners = torch.randperm(texts)
    share = torch.distributions.Beta(0.4, 0.4).sample((texts, 1))
    mixed = share * z + (1 - share) * z[partners]
    one_hot = F.one_hot(labels, classes).double()
    loss = F.cross_entropy(layer(mixed), share * one_hot + (1 - share) * one_hot[partners])
    loss.backward()
    return {"labels": labels.tolist(), "partners": partners.tolist(), "shares": share.flatten().tolist(),
            "z": z.detach().tolist(),
            "weight": layer.weight.detach().tolist(), "bias": layer.bias.detach().tolist(), "loss": loss.item(),
            "gradient": z.grad.tolist(), "weight_gradient": layer.weight.grad.tolist()}


def mixout(rows, outputs, inputs, probability):
    """One linear layer: each weight is the first one with this probability, and itself in the mean."""
    torch.manual_seed(rows + outputs)
    x, first = torch.randn(rows, inputs), torch.randn(outputs, inputs)
    weight = (first + 0.3 * torch.randn(outputs, inputs)).requires_grad_()
    bias = torch.randn(outputs)
    replaced = torch.bernoulli(torch.full((outputs, inputs), probability))
    mixed = (replaced * first + (1 - replaced) * weight - probability * first) / (1 - probability)
    y = F.linear(x, mixed, bias)
    given = torch.randn_like(y)
    (y * given).sum().backward()
    return {"probability": probability, "x": x.tolist(), "first": first.tolist(),
            "weight": weight.detach().tolist(), "bias": bias.tolist(), "replaced": replaced.tolist(),
            "y": y.detach().tolist(), "given": given.tolist(),
            "gradient": weight.grad.tolist()}


def tmix(model, after, ids, partners, shares, layer):
    """States after so many layers are mixed: a text's own mask is below, the union of both above."""
    model.zero_grad()
    ids = torch.tensor(ids)
    mask = (ids != 0).double()
    share = torch.tensor(shares)[:, None]

    def additive(mask):
        return (1 - mask)[:, None, None, :] * torch.finfo(torch.float64).min

    states, at = model.embeddings(ids), 0
    while True:
        if at == after:
            states = share[:, :, None] * states + (1 - share[:, :, None]) * states[partners]
            mask = torch.maximum(mask, mask[partners])
        if at == len(model.encoder.layer):
            break
        made = model.encoder.layer[at](states, additive(mask))
        states, at = made[0] if isinstance(made, tuple) else made, at + 1
    mean = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    logits = layer(mean)
    (logits * torch.arange(1.0, 1 + logits.numel()).reshape(logits.shape)).sum().backward()
    norm = model.embeddings.LayerNorm.weight.grad
    return {"after": after, "ids": ids.tolist(), "partners": partners, "shares": shares,
            "weight": layer.weight.detach().tolist(), "bias": layer.bias.detach().tolist(),
            "logits": logits.detach().tolist(), "gradient": norm.tolist()}


def tmixes():
    model = AutoModel.from_pretrained(PATH.parent / "tiny-bert", attn_implementation="eager").double().eval()
    torch.manual_seed(5)
    layer = torch.nn.Linear(model.config.hidden_size, 2)
    texts = [[2, 9, 14, 31, 7, 3], [2, 11, 3, 0, 0, 0], [2, 40, 8, 23, 3, 0]]
    return [tmix(model, after, texts, partners, shares, layer)
            for after, partners, shares in [(0, [1, 2, 0], [0.7, 0.9, 0.55]), (1, [1, 0, 2], [0.5, 0.8, 0.6]),
                                            (2, [2, 0, 1], [0.6, 0.75, 1.0])]]


def main():
    cases = {
        "averages": [averages(40, decay=0.75), averages(12, decay=0.9), averages(40, last=10), averages(7, last=2),
                     averages(3, last=3)],
        "rates": [rates(6, 2e-5, 0.9), rates(12, 3e-5, 0.95), rates(1, 1e-3, 0.5)],
        "pulls": [pull(0.01, 1e9, "adamw"), pull(0.5, 1.0, "adamw"), pull(0.5, 1.0, "sgd")],
        "r_drops": [r_drop(4, 3, 1.0), r_drop(1, 2, 0.5), r_drop(7, 5, 4.0)],
        "mixups": [mixup(5, 3, 4), mixup(2, 2, 3), mixup(1, 3, 2)],
        "mixouts": [mixout(3, 4, 5, 0.7), mixout(1, 2, 3, 0.5), mixout(5, 3, 2, 0.9)],
        "tmixes": tmixes(),
    }
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    head = {"made_by": "tests/record_stability.py", "versions": versions}
    lists = [f'"{name}": [\n' + ",\n".join("    " + json.dumps(case) for case in found) + "\n]"
             for name, found in cases.items()]
    PATH.write_text(json.dumps(head)[:-1] + ",\n" + ",\n".join(lists) + "\n}\n")


if __name__ == "__main__":
    main()
