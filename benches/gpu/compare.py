"""Trains encoders of common sizes with PyTorch eager and with `pipe runtime check`, in turn on the same GPU, and prints the ratios.

    python3 benches/gpu/compare.py --pipe target/release/pipe --rounds 3

Both sides train all parameters with AdamW, dropout 0.1 and clipping of the gradient norm, on the same sizes, and word tables of as many rows. PyTorch's
precisions are autocast (`fp16` with a GradScaler, `bf16`), and full single precision with TF32 off (`fp32`) and on (`tf32`).
"""

import argparse
import collections
import contextlib
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import torch
from transformers import BertConfig, BertForSequenceClassification

ROWS = 2000
SIZES = {"MiniLM-L6": (384, 6, 12), "BERT-base": (768, 12, 12)}
PRECISIONS = ["fp32", "tf32", "fp16", "bf16"]
BATCH, LENGTH, WARM_UP, STEPS = 32, 128, 16, 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pipe", default="pipe", help="the program")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    own, peer = collections.defaultdict(list), collections.defaultdict(list)
    for _ in range(arguments.rounds):
        for speed in checked(arguments.pipe):
            if speed["backend"] == "session":
                own[speed["model"], speed["precision"]].append(speed["examples_per_second"])
        for name, size in SIZES.items():
            for precision in PRECISIONS:
                peer[name, precision].append(BATCH / step_seconds(size, precision))
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, {BATCH} x {LENGTH}, medians of {arguments.rounds} rounds")
    print("| model | precision | pipe, examples/s | PyTorch, examples/s | ratio |\n|---|---|---|---|---|")
    for key in peer:
        if own[key]:
            a, b = statistics.median(own[key]), statistics.median(peer[key])
            print(f"| {key[0]} | {key[1]} | {a:.0f} | {b:.0f} | {a / b:.2f} |")


def checked(program: str) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "check.json"
        # A check that fails is told, and speeds are compared nevertheless.
        subprocess.run([program, "runtime", "check", "--device", "cuda", "--json", str(path)], check=False)
        return json.loads(path.read_text())["speeds"]


def step_seconds(size: tuple[int, int, int], precision: str) -> float:
    hidden, layers, heads = size
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=ROWS,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        num_labels=2,
    )
    model = BertForSequenceClassification(config).cuda().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01)
    scaler = torch.amp.GradScaler("cuda", enabled=precision == "fp16")
    low = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision)
    ids = torch.randint(1, ROWS, (BATCH, LENGTH), device="cuda")
    mask = torch.ones_like(ids)
    labels = torch.arange(BATCH, device="cuda") % 2

    def step() -> None:
        with torch.autocast("cuda", dtype=low) if low else contextlib.nullcontext():
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)

    for _ in range(WARM_UP):
        step()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / STEPS


main()
