"""Records the windows into which `transformers` cuts texts that are longer than the input.

Writes tests/data/windows.json: token ids by `return_overflowing_tokens=True`, for the tokenizers of the tiny models,
several lengths and strides, and both ends at which texts are cut.

Run from anywhere: python tests/record_windows.py   (needs transformers)
"""

import json
import pathlib

import transformers

DATA = pathlib.Path(__file__).parent / "data"
TEXTS = [
    "the food was good",
    "the food was good and the service was kind, and we waited an hour for the bill",
    "slow " * 40,
    "",
]


def main():
    cases = []
    for model in ["tiny-bert", "tiny-roberta", "tiny-mpnet"]:
        for side in ["right", "left"]:
            tokenizer = transformers.AutoTokenizer.from_pretrained(DATA / model, truncation_side=side)
            for length, stride in [(8, 0), (8, 3), (12, 9), (24, 4), (200, 64)]:
                windows = []
                for text in TEXTS:
                    encoded = tokenizer(text, truncation=True, max_length=length, stride=stride,
                                        return_overflowing_tokens=True)
                    windows.append(encoded["input_ids"])
                cases.append({"model": model, "side": side, "length": length, "stride": stride, "windows": windows})
    lines = ",\n    ".join(json.dumps(case) for case in cases)
    (DATA / "windows.json").write_text(
        '{\n  "made_by": "tests/record_windows.py",\n'
        f'  "versions": {{"transformers": "{transformers.__version__}"}},\n'
        f'  "texts": {json.dumps(TEXTS)},\n  "cases": [\n    {lines}\n  ]\n}}\n')


if __name__ == "__main__":
    main()
