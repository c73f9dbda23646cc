"""Runs one of Optuna's samplers on a test function, as a peer figure for `cargo bench --bench search`.

Prints one JSON object: the least value that each seed found, the seconds each seed took, and in `note` what was run. With `--suggestions`
it times that many suggestions in a space of five parameters instead, on values that cost nothing to compute.

    python search.py --sampler tpe --function branin --trials 100 --seeds 20
"""

import argparse
import json
import math
import time
import warnings

import optuna


def main() -> None:
    arguments = parse_arguments()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)
    best, seconds = [], []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        study = optuna.create_study(sampler=sampler(arguments.sampler, seed))
        started = time.perf_counter()
        study.optimize(FUNCTIONS[arguments.function], n_trials=arguments.trials)
        seconds.append(round(time.perf_counter() - started, 3))
        best.append(study.best_value)
    print(json.dumps({"best": best, "seconds": seconds, "note": f"Optuna {optuna.__version__}"}), flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sampler", required=True, choices=["tpe", "gp"])
    parser.add_argument("--function", required=True, choices=sorted(FUNCTIONS))
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch, which the Gaussian process runs on")
    return parser.parse_args()


def sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed)
    return optuna.samplers.TPESampler(multivariate=True, seed=seed)


def branin(trial: optuna.Trial) -> float:
    x, y = trial.suggest_float("x", -5, 10), trial.suggest_float("y", 0, 15)
    valley = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


WEIGHTS = [1.0, 1.2, 3.0, 3.2]
SHARPNESS = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
CENTRES = [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
]


def hartmann6(trial: optuna.Trial) -> float:
    x = [trial.suggest_float(f"x{i}", 0, 1) for i in range(6)]
    wells = zip(WEIGHTS, SHARPNESS, CENTRES, strict=True)
    return -sum(w * math.exp(-sum(a * (v - c) ** 2 for a, v, c in zip(s, x, p, strict=True))) for w, s, p in wells)


def rosenbrock4(trial: optuna.Trial) -> float:
    x = [trial.suggest_float(f"x{i}", -2, 2) for i in range(4)]
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in zip(x, x[1:], strict=False))


def ackley5(trial: optuna.Trial) -> float:
    # The box is not symmetric, so that its middle is no good guess.
    x = [trial.suggest_float(f"x{i}", -16, 24) for i in range(5)]
    distance = math.sqrt(sum(v * v for v in x) / 5)
    waves = sum(math.cos(2 * math.pi * v) for v in x) / 5
    return 20 + math.e - 20 * math.exp(-0.2 * distance) - math.exp(waves)


def mixed(trial: optuna.Trial) -> float:
    # One of four bowls by a choice; a step and two numbers place the point, and one more number exists with one of the choices only.
    kind = trial.suggest_categorical("kind", [0, 1, 2, 3])
    depth = trial.suggest_int("depth", 0, 7)
    x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
    value = [0.3, 0.1, 0.2, 0.0][kind] + 0.02 * (depth - 5) ** 2 + 3 * (x - 0.2 - 0.2 * kind) ** 2 + 2 * (y - x) ** 2
    if kind == 3:
        value += 2 * (trial.suggest_float("extra", 0, 1) - 0.7) ** 2
    return value


FUNCTIONS = {"branin": branin, "hartmann6": hartmann6, "rosenbrock4": rosenbrock4, "ackley5": ackley5, "mixed": mixed}

if __name__ == "__main__":
    main()
