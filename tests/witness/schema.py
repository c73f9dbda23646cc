"""Checks pipelines/pipeline.schema.json with an independent validator (jsonschema) and YAML 1.2 reader (ruamel.yaml).

    pip install jsonschema ruamel.yaml
    python tests/witness/schema.py [PIPELINE.yaml ...]

It has to be a valid schema of draft 2020-12, take the sound documents below and every file that is given, and refuse the others.
"""

import json
import pathlib
import sys

import jsonschema
from ruamel.yaml import YAML

SCHEMA = json.loads((pathlib.Path(__file__).parents[2] / "pipelines/pipeline.schema.json").read_text())
TRAIN = "version: 1\nstages:\n  t:\n    train:\n      data: d\n      model: { pretrained: m }\n"

SOUND = [
    TRAIN,
    TRAIN + "      optimizer: { adamw: { learning_rate: 1e-5, betas: [0.9, 0.98] } }\n",
    TRAIN + "      epochs: ${params.epochs}\n      schedule: ${params.schedule}\n      dropout: null\n",
    TRAIN + "      optimizer: { adamw: { learning_rate: '${params.rate}', betas: ['${env:B1}', 0.9] } }\n",
    TRAIN + "      schedule: linear\n      freeze: encoder\n",
    TRAIN + "      schedule: { linear: {} }\n      freeze: { all_but_top_layers: 2 }\n",
    TRAIN + "      loss: { class_weights: { given: { a: 1, b: 0.5 } } }\n",
    "version: 1\nname: a.b-c_d\nseed: 3\nparams: { x: { y: [1] } }\nstages: { e: { evaluate: { model: t, data: d, split: dev } } }\n",
]
BROKEN = [
    "stages: { d: { load: { path: x } } }\n",
    "version: 2\nstages: { d: { load: { path: x } } }\n",
    "version: 1\nstages: {}\n",
    "version: 1\nstages: { 'a b': { load: { path: x } } }\n",
    "version: 1\nstages: { d: { laod: { path: x } } }\n",
    "version: 1\nstages: { d: { load: { path: x }, train: {} } }\n",
    "version: 1\nseed: -1\nstages: { d: { load: { path: x } } }\n",
    TRAIN + "      epoch: 3\n",
    TRAIN + "      epochs: three\n",
    TRAIN + "      epochs: 1.5\n",
    TRAIN + "      freeze: all_but_top_layers\n",
    TRAIN + "      schedule: linaer\n",
    TRAIN + "      optimizer: { adamw: { learning_rate: fast } }\n",
    TRAIN + "      optimizer: { adamw: { betas: [0.9] } }\n",
    TRAIN.replace("      data: d\n", ""),
]


def main():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    yaml = YAML(typ="safe", pure=True)
    wrong = 0
    for expected, texts in [
        (True, SOUND + [pathlib.Path(path).read_text() for path in sys.argv[1:]]),
        (False, BROKEN),
    ]:
        for text in texts:
            document = json.loads(json.dumps(yaml.load(text)))
            if validator.is_valid(document) != expected:
                wrong += 1
                print(f"expected {'sound' if expected else 'broken'}:\n{text}")
    print(f"{len(SOUND) + len(sys.argv) - 1} sound and {len(BROKEN)} broken documents, {wrong} judged wrongly")
    sys.exit(wrong > 0)


main()
