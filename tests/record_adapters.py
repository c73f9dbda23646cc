"""Records what `peft` says about adapters of the tiny models, for the tests of the Rust program.

Writes tests/data/adapters/: `expected.json` with the settings, logits and loss of each case of `CASES`, and for each
MODEL-CASE a file CASE of tensors by their names relative to the encoder, with what they are before them: `adapter/`
(the values, drawn here, none of them at its beginning), `gradient/` (of the loss of the recorded batch) and `merged/`
(the weights and biases that merging changes). The models and batches are those of tests/record_transformers.py, which
has to run first.

Loss, gradients and merged weights are computed in double precision, logits in single precision.

Run from anywhere: python tests/record_adapters.py   (needs torch, transformers, peft, tokenizers, safetensors)
"""

import json
import sys
import warnings

sys.dont_write_bytecode = True

import peft
import safetensors.torch
import torch
import transformers

from record_transformers import DATA, in_double_precision, opened, rounded, write

FOLDER = DATA / "adapters"
BERT = {
    "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
    "output": "attention.output.dense", "up": "intermediate.dense", "down": "output.dense",
}
DISTILBERT = {
    "query": "attention.q_lin", "key": "attention.k_lin", "value": "attention.v_lin", "output": "attention.out_lin",
    "up": "ffn.lin1", "down": "ffn.lin2",
}
DEBERTA = {**BERT, "query": "attention.self.query_proj", "key": "attention.self.key_proj",
           "value": "attention.self.value_proj"}
ALBERT = {
    "query": "attention.query", "key": "attention.key", "value": "attention.value", "output": "attention.dense",
    "up": "ffn", "down": "ffn_output",
}
MODERNBERT = {"packed": "attn.Wqkv", "output": "attn.Wo", "up": "mlp.Wi", "down": "mlp.Wo"}
# The model, the prefix of its encoder, the name of a layer, its modules.
MODELS = {
    "tiny-bert": ("bert.", "encoder.layer.{}.", 2, BERT),
    "tiny-roberta": ("roberta.", "encoder.layer.{}.", 2, BERT),
    "tiny-distilbert": ("distilbert.", "transformer.layer.{}.", 2, DISTILBERT),
    "tiny-deberta-v2": ("deberta.", "encoder.layer.{}.", 2, DEBERTA),
    "tiny-albert": ("albert.", "encoder.albert_layer_groups.{}.albert_layers.0.", 1, ALBERT),
    "tiny-modernbert": ("model.", "layers.{}.", 4, MODERNBERT),
}
LORA = {"lora": {"rank": 3, "alpha": 5.0, "targets": ["query", "value"], "rs": False}}
IA3 = {"ia3": {}}


def lora(**settings):
    return {"lora": {**LORA["lora"], **settings}}


CASES = [
    ("tiny-bert", "query-value", LORA),
    ("tiny-bert", "all-linear", lora(targets="all_linear", rank=2)),
    ("tiny-bert", "rs", lora(rs=True, targets=["key"])),
    ("tiny-bert", "ia3", IA3),
    ("tiny-roberta", "query-value", LORA),
    ("tiny-roberta", "ia3", IA3),
    ("tiny-distilbert", "all-linear", lora(targets="all_linear", rank=2)),
    ("tiny-distilbert", "ia3", IA3),
    ("tiny-deberta-v2", "query-value", lora(targets=["query", "value", "key"])),
    ("tiny-deberta-v2", "ia3", IA3),
    ("tiny-albert", "query-value", LORA),
    ("tiny-albert", "ia3", IA3),
    ("tiny-modernbert", "packed", LORA),
    ("tiny-modernbert", "ia3", IA3),
]


def targets(model, roles):
    """The whole names of the modules with these roles; a packed one makes queries, keys and values."""
    prefix, layer, count, modules = MODELS[model]
    names = []
    for index in range(count):
        for role, name in modules.items():
            is_wanted = roles == "all_linear" or role in roles
            if is_wanted or role == "packed" and {"query", "key", "value"} & set(roles):
                names.append(prefix + layer.format(index) + name)
    return names


def adapted(model, settings):
    # Without a task, so that the head stays as it is.
    base = opened(DATA / model)
    if "ia3" in settings:
        config = peft.IA3Config(target_modules=targets(model, ["key", "value", "down"]),
                                feedforward_modules=targets(model, ["down"]))
    else:
        own = settings["lora"]
        config = peft.LoraConfig(r=own["rank"], lora_alpha=own["alpha"], lora_dropout=0.0,
                                 use_rslora=own["rs"], target_modules=targets(model, own["targets"]))
    return peft.get_peft_model(base, config)


def own_name(model, name):
    """The name of a parameter relative to the encoder."""
    name = name.removeprefix("base_model.model.").replace(".default", "").replace(".base_layer", "")
    return name.removeprefix(MODELS[model][0])


def own_form(name, tensor):
    """The factors of (IA)³ as a vector, those of queries left out."""
    if "ia3_l" not in name:
        return tensor.contiguous()
    flat = tensor.flatten()
    return flat[len(flat) // 3:].clone() if "Wqkv" in name else flat.clone()


def adapter_parameters(network):
    return {name: p for name, p in network.named_parameters() if "lora_" in name or "ia3_l" in name}


def draw(network, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(adapter_parameters(network).items()):
            drawn = torch.randn(p.shape, generator=generator)
            p.copy_(1 + 0.3 * drawn if "ia3_l" in name else 0.2 * drawn)
            if "Wqkv" in name and "ia3_l" in name:
                p[: len(p) // 3] = 1


def inputs(batch):
    return {name: torch.tensor(batch[name]) for name in ["input_ids", "attention_mask"]}


@in_double_precision
def gradients(network, step):
    network = network.double().train()
    loss = torch.nn.functional.cross_entropy(network(**inputs(step)).logits, torch.tensor(step["labels"]))
    loss.backward()
    return loss.item(), {name: p.grad.float() for name, p in adapter_parameters(network).items()}


def record(model, case, settings, seed):
    given = json.loads((DATA / model / "expected.json").read_text())
    network = adapted(model, settings)
    draw(network, seed)
    tensors = {}
    for name, p in adapter_parameters(network).items():
        tensors[f"adapter/{own_name(model, name)}"] = own_form(name, p.detach())
    with torch.no_grad():
        logits = network.eval()(**inputs(given["forward"])).logits
    loss, found = gradients(network, given["step"])
    for name, gradient in found.items():
        tensors[f"gradient/{own_name(model, name)}"] = own_form(name, gradient)
    before = opened(DATA / model).double().state_dict()
    after = network.eval().merge_and_unload().state_dict()
    assert before.keys() == after.keys()
    for name, merged in after.items():
        if not torch.equal(merged, before[name]):
            tensors[f"merged/{own_name(model, name)}"] = merged.float().contiguous()
    safetensors.torch.save_file(tensors, FOLDER / f"{model}-{case}.safetensors")
    return {"model": model, "case": case, "adapters": settings, "logits": rounded(logits), "loss": loss}


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    warnings.simplefilter("ignore")
    FOLDER.mkdir(exist_ok=True)
    write(FOLDER / "expected.json", {
        "made_by": "tests/record_adapters.py",
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, peft)},
        "cases": [record(*case, seed) for seed, case in enumerate(CASES)],
    })


if __name__ == "__main__":
    main()
