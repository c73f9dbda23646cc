"""Microsoft's own makers and readers of training artifacts, as a witness for ours.

    pip install onnxruntime-training-cpu==1.19.2 onnx==1.16.2 "numpy<2"
    python tests/witness/ort_training.py make FOLDER --vocabulary V --classes K [--dropout P]
    python tests/witness/ort_training.py train FOLDER [--save FILE] < JSON

`make` writes artifacts with `generate_artifacts` for a small network of its own: the mean of the word vectors under the mask, a layer with
tanh, dropout, a layer. `train` loads a folder with `onnxruntime.training.api`, takes the steps that it reads
({"learning_rate": η, "batches": [{"input_ids": [[...]], "attention_mask": [[...]], "labels": [...]}, ...]}), saves the checkpoint with the
optimizer's state and prints {"losses": [...], "parameters": {"name": [...]}}.
"""

import argparse
import json
import os
import pathlib
import sys
import types

import numpy
import onnxruntime

# The package imports torch for parts that are of no use here; its modules work without.
package = types.ModuleType("onnxruntime.training")
package.__path__ = [os.path.join(os.path.dirname(onnxruntime.__file__), "training")]
sys.modules["onnxruntime.training"] = package

FILES = ("training_model.onnx", "eval_model.onnx", "optimizer_model.onnx", "checkpoint")


def make(folder, vocabulary, classes, dropout, width=16):
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime.training import artifacts

    random = numpy.random.default_rng(7)
    trained = {
        "words": random.normal(size=(vocabulary, width)),
        "hidden.weight": random.normal(size=(width, width)) / 4,
        "hidden.bias": numpy.zeros(width),
        "classifier.weight": random.normal(size=(width, classes)) / 4,
        "classifier.bias": numpy.zeros(classes),
    }
    frozen = {"scale": numpy.full(width, 1.5)}
    constants = {
        "last": numpy.array([2]),
        "tokens": numpy.array([1]),
        "rate": numpy.array(dropout, dtype=numpy.float32),
        "training": numpy.array(True),
    }
    initializers = [numpy_helper.from_array(value.astype(numpy.float32), name) for name, value in (trained | frozen).items()]
    initializers += [numpy_helper.from_array(value, name) for name, value in constants.items()]
    node = helper.make_node
    nodes = [
        node("Gather", ["words", "input_ids"], ["vectors"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["mask", "last"], ["column"]),
        node("Mul", ["vectors", "column"], ["seen"]),
        node("ReduceSum", ["seen", "tokens"], ["sum"], keepdims=0),
        node("ReduceSum", ["mask", "tokens"], ["count"], keepdims=1),
        node("Div", ["sum", "count"], ["mean"]),
        node("Mul", ["mean", "scale"], ["scaled"]),
        node("Gemm", ["scaled", "hidden.weight", "hidden.bias"], ["inner"]),
        node("Tanh", ["inner"], ["active"]),
        node("Dropout", ["active", "rate", "training"], ["kept", "which"]),
        node("Gemm", ["kept", "classifier.weight", "classifier.bias"], ["scores"]),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in ("input_ids", "attention_mask")]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", classes])]
    graph = helper.make_graph(nodes, "witness", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    artifacts.generate_artifacts(
        model,
        requires_grad=list(trained),
        frozen_params=list(frozen),
        loss=artifacts.LossType.CrossEntropyLoss,
        optimizer=artifacts.OptimType.AdamW,
        artifact_directory=folder,
    )


def train(folder, save):
    from onnxruntime.training import api

    asked = json.load(sys.stdin)
    training, evaluation, optimizer, checkpoint = (str(folder / name) for name in FILES)
    state = api.CheckpointState.load_checkpoint(checkpoint)
    module = api.Module(training, state, evaluation, device="cpu")
    optimizer = api.Optimizer(optimizer, module)
    optimizer.set_learning_rate(asked["learning_rate"])
    names = [name for name in module.input_names()]
    losses = []
    for batch in asked["batches"]:
        module.train()
        feeds = [numpy.array(batch[name], dtype=numpy.int64) for name in names]
        loss = module(*feeds)
        losses.append(float(numpy.asarray(loss[0] if isinstance(loss, (list, tuple)) else loss).reshape(())))
        optimizer.step()
        module.lazy_reset_grad()
    if save:
        api.CheckpointState.save_checkpoint(state, str(save), include_optimizer_state=True)
    parameters = {name: parameter.data.ravel().tolist() for name, parameter in state.parameters}
    print(json.dumps({"losses": losses, "parameters": parameters}))


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make")
    maker.add_argument("folder", type=pathlib.Path)
    maker.add_argument("--vocabulary", type=int, required=True)
    maker.add_argument("--classes", type=int, required=True)
    maker.add_argument("--dropout", type=float, default=0.0)
    trainer = commands.add_parser("train")
    trainer.add_argument("folder", type=pathlib.Path)
    trainer.add_argument("--save", type=pathlib.Path)
    asked = parser.parse_args()
    if asked.command == "make":
        asked.folder.mkdir(parents=True, exist_ok=True)
        make(str(asked.folder), asked.vocabulary, asked.classes, asked.dropout)
    else:
        train(asked.folder, asked.save)


if __name__ == "__main__":
    main()
