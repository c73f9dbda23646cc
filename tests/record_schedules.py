"""Records learning rates: PyTorch's ReduceLROnPlateau and the schedules of `transformers`.

Writes tests/data/plateau.json and tests/data/schedules.json.
Run from anywhere: python tests/record_schedules.py   (needs torch, transformers)
"""

import json
import math
import pathlib
import warnings

import torch
import transformers
from torch.optim.lr_scheduler import ReduceLROnPlateau

DATA = pathlib.Path(__file__).parent / "data"
NAN = math.nan
FALLING = [1.0, 0.9, 0.8, 0.8, 0.8, 0.8, 0.8, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7]
RAGGED = [2.0, 1.5, 1.6, 1.4999, 1.49, 1.3, 1.35, 1.31, 1.3, 1.2999, 1.2, 1.25, 1.1, 1.1, 1.1, 1.1, 1.05, 1.2, 1.0, 1.0]
BROKEN = [1.0, NAN, 0.9, NAN, NAN, NAN, 0.8, NAN, NAN, NAN, NAN, 0.7, 0.7, NAN, 0.6]
RISING = [0.5, 0.6, 0.6, 0.61, 0.61, 0.61, 0.62, 0.62, 0.62, 0.62, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7]
NEGATIVE = [-1.0, -1.00005, -1.1, -1.1, -1.1, -1.1, -1.05, -1.2, -1.2, -1.2, -1.2, -1.2]
FIRST_NAN = [NAN, NAN, NAN, 1.0, 1.0, 1.0, 1.0, 1.0]
INFINITE = [math.inf, math.inf, 3.0, math.inf, math.inf, math.inf, 2.0, 2.0, 2.0]

PLATEAUS = [
    ({}, 1e-3, FALLING),
    ({"patience": 2}, 1e-3, FALLING),
    ({"patience": 0}, 1e-3, RAGGED),
    ({"patience": 1, "factor": 0.5}, 5e-5, RAGGED),
    ({"patience": 1, "factor": 0.5, "threshold": 0.05}, 5e-5, RAGGED),
    ({"patience": 1, "factor": 0.5, "threshold": 0.05, "threshold_mode": "abs"}, 5e-5, RAGGED),
    ({"patience": 1, "cooldown": 3}, 1.0, FALLING),
    ({"patience": 0, "cooldown": 2, "factor": 0.3}, 1.0, RAGGED),
    ({"patience": 0, "min_lr": 1e-4}, 1e-3, FALLING),
    ({"patience": 0, "eps": 1e-5}, 1e-3, FALLING),
    ({"patience": 1}, 1e-3, BROKEN),
    ({"patience": 2, "cooldown": 1, "mode": "max"}, 1e-3, BROKEN),
    ({"patience": 1, "mode": "max"}, 1e-3, RISING),
    ({"patience": 1, "mode": "max", "threshold": 0.015, "threshold_mode": "abs"}, 1e-3, RISING),
    ({"patience": 1, "mode": "max", "threshold": 0.1}, 1e-3, RISING),
    ({"patience": 1}, 1e-3, NEGATIVE),
    ({"patience": 1, "mode": "max"}, 1e-3, NEGATIVE),
    ({"patience": 1}, 1e-3, FIRST_NAN),
    ({"patience": 1}, 1e-3, INFINITE),
]


def optimizer(rate):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def plateau(options, rate, values):
    inner = optimizer(rate)
    schedule = ReduceLROnPlateau(inner, **options)
    rates = []
    for value in values:
        inner.step()
        schedule.step(value)
        rates.append(inner.param_groups[0]["lr"])
    full = {"mode": "min", "factor": 0.1, "patience": 10, "threshold": 1e-4, "threshold_mode": "rel", "cooldown": 0,
            "min_lr": 0.0, "eps": 1e-8, **options}
    # JSON has no numbers for these; the reader takes the strings.
    named = [value if math.isfinite(value) else str(value) for value in values]
    return {"options": full, "learning_rate": rate, "values": named, "rates": rates}


def schedule(name, make, rate, steps, warmup, **options):
    inner = optimizer(rate)
    scheduler = make(inner, warmup, steps)
    rates = [inner.param_groups[0]["lr"]]  # the rate that each step uses, from the first one on
    for _ in range(steps - 1):
        inner.step()
        scheduler.step()
        rates.append(inner.param_groups[0]["lr"])
    return {"schedule": name, "learning_rate": rate, "steps": steps, "warmup_steps": warmup, **options, "rates": rates}


def schedules():
    constant = lambda o, w, n: transformers.get_constant_schedule_with_warmup(o, w)
    linear = transformers.get_linear_schedule_with_warmup
    cosine = transformers.get_cosine_schedule_with_warmup

    def polynomial(power, end):
        return lambda o, w, n: transformers.get_polynomial_decay_schedule_with_warmup(o, w, n, lr_end=end, power=power)

    for rate, steps, warmup in [(5e-5, 20, 0), (5e-5, 20, 2), (1e-3, 37, 4), (1.0, 10, 10), (1.0, 1, 0), (2e-5, 12, 1)]:
        yield schedule("constant", constant, rate, steps, warmup)
        yield schedule("linear", linear, rate, steps, warmup)
        yield schedule("cosine", cosine, rate, steps, warmup)
        for power, end in [(1.0, 0.0), (2.0, 0.0), (3.0, 0.1), (0.5, 0.01)]:
            yield schedule("polynomial", polynomial(power, end * rate), rate, steps, warmup, power=power, end=end)


def write(path, cases):
    head = {"made_by": "tests/record_schedules.py",
            "versions": {m.__name__: m.__version__ for m in (torch, transformers)}}
    lines = ",\n".join("    " + json.dumps(case) for case in cases)
    path.write_text(json.dumps(head)[:-1] + ',\n"cases": [\n' + lines + "\n]}\n")


def main():
    warnings.filterwarnings("ignore")
    DATA.mkdir(exist_ok=True)
    write(DATA / "plateau.json", [plateau(*case) for case in PLATEAUS])
    write(DATA / "schedules.json", list(schedules()))


if __name__ == "__main__":
    main()
