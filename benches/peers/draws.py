"""Writes the draws of few_shot.py and setfit_peer.py as tables that `pipe` loads.

They are FOLDER/SHOTS-SEED.csv and FOLDER/test.csv.

    python draws.py --train sst2/train.csv --test sst2/test.csv --shots 8 --to draws/sst2
"""

import argparse
import csv
import pathlib

from few_shot import draw, read, sample_test


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True, help="CSV with the columns `text` and `label`")
    parser.add_argument("--test", required=True, help="CSV with the columns `text` and `label`")
    parser.add_argument("--test-size", type=int, default=1000)
    parser.add_argument("--shots", type=int, default=8, help="texts per class")
    parser.add_argument("--seeds", type=int, nargs="+", default=[13, 21, 42, 87, 100])
    parser.add_argument("--to", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    rows = read(arguments.train)
    labels = sorted({label for _, label in rows})
    arguments.to.mkdir(parents=True, exist_ok=True)
    write(arguments.to / "test.csv", sample_test(read(arguments.test), arguments.test_size))
    for seed in arguments.seeds:
        taken, _ = draw(rows, labels, arguments.shots, seed)
        write(arguments.to / f"{arguments.shots}-{seed}.csv", taken)


def write(path: pathlib.Path, rows: list[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
