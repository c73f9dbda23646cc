"""Writes the weights of the tiny BERT as `torch.save` does, and checkpoints that ask for more.

Needs: torch, safetensors. Writes: tests/data/pickled/. Run from the repository's root:
python3 tests/record_pickles.py
"""

import collections
import json
import os
import pathlib
import pickle
import shutil

import torch
from safetensors.torch import load_file

FOLDER = pathlib.Path("tests/data/pickled")


class Evil:
    def __reduce__(self):
        return os.system, ("touch pipe-ran-a-pickle",)


class Evaluated:
    def __reduce__(self):
        return eval, ("open('pipe-ran-a-pickle', 'w')",)


def transposed(tensor):
    return tensor.t().contiguous().t() if tensor.dim() == 2 else tensor


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    state = collections.OrderedDict(load_file("tests/data/tiny-bert/model.safetensors"))
    torch.save({name: transposed(tensor) for name, tensor in state.items()}, FOLDER / "zip.bin")
    torch.save(state, FOLDER / "legacy.bin", _use_new_zipfile_serialization=False)
    names = sorted(state)
    shards = [f"pytorch_model-0000{number}-of-00002.bin" for number in [1, 2]]
    half = len(names) // 2
    for shard, part in zip(shards, [names[:half], names[half:]]):
        torch.save({name: state[name] for name in part}, FOLDER / shard)
    table = {name: shards[names.index(name) >= half] for name in names}
    index = {"metadata": {}, "weight_map": table}
    (FOLDER / "pytorch_model.bin.index.json").write_text(json.dumps(index) + "\n")

    one = {"a": torch.ones(2)}
    torch.save(Evil(), FOLDER / "evil-zip.bin")
    torch.save(Evaluated(), FOLDER / "evil-legacy.bin", _use_new_zipfile_serialization=False)
    torch.save(one | {"b": Evil()}, FOLDER / "evil-value.bin")
    (FOLDER / "evil-plain.bin").write_bytes(pickle.dumps(Evil()))
    # All tensors are views of one number.
    number = torch.ones(1, dtype=torch.float64)
    huge = {name: number.expand(tensor.shape) for name, tensor in state.items()}
    torch.save(huge, FOLDER / "evil-size.bin")
    (FOLDER / "evil-depth.bin").write_bytes(b"\x80\x02)" + b"\x85" * 3000 + b".")


main()
