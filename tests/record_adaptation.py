"""Records what `transformers` and PyTorch say about objectives of texts alone, for the tests of the Rust
program.

Writes tests/data/adaptation/ with `expected.json` and, for each NAME of `MODELS`, `NAME/model.safetensors`:

- `masked`: for each model tests/data/tiny-NAME-mlm (made by tests/record_augmentation.py), a padded
  batch in which some tokens are hidden. `ids` are the tokens as they are, `shown` what the network
  reads, `hidden` the pairs [text, place] that it has to tell. `loss` is that of the model of
  `transformers` with `labels` (-100 where nothing is hidden), in double precision. The file beside it
  has the gradient of the loss by parameter name.
- `tsdae`: for models of `DECODERS`, a padded batch `ids`, the tokens `kept` of each text that the encoder reads,
  and the loss of sentence-transformers' DenoisingAutoEncoderLoss with mean pooling, its decoder tied to the encoder,
  in double precision. `added` are the decoder's own parameters, drawn here; TSDAE-NAME/model.safetensors has
  them, and the gradients of all, which begin with `gradient.`. Those of queries and keys over a single vector are
  nothing, which is asserted, and left out.
- `simcse`: two random vectors for each text, not normalised, with the temperature, the loss of equation 4 of
  arXiv 2104.08821 (unsupervised) and its gradients by both vectors, in double precision.

Run from anywhere: python tests/record_adaptation.py   (needs torch, sentence-transformers)
"""

import os
import sys

# One thread, so that sums are taken in the same order on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
sys.dont_write_bytecode = True

import safetensors
import safetensors.torch
import sentence_transformers
import tokenizers
import torch
import transformers
from sentence_transformers.sentence_transformer.losses import DenoisingAutoEncoderLoss
from torch.nn.functional import cross_entropy, normalize

from record_transformers import DATA, in_double_precision, rounded, write

MADE_BY = "tests/record_adaptation.py"
MODELS = {
    "bert": transformers.BertForMaskedLM,
    "roberta": transformers.RobertaForMaskedLM,
    # Its word table is narrower than its states, and its layers are one.
    "albert": transformers.AlbertForMaskedLM,
    # The head of the published files of version 3.
    "deberta-v2-nonlegacy": transformers.DebertaV2ForMaskedLM,
}
DECODERS = ["bert", "roberta"]
TEXTS = ["the food was good and the service was kind", "never again", "it was a slow hour and we came"]
BATCHES = [(2, 0.05), (5, 0.05), (7, 0.2)]
WIDTH = 6


@in_double_precision
def masked(name, generator):
    folder = DATA / f"tiny-{name}-mlm"
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encoded = [tokenizer.encode(text) for text in TEXTS]
    mask = next(id for token in ("[MASK]", "<mask>") if (id := tokenizer.token_to_id(token)) is not None)
    size = tokenizer.get_vocab_size()
    ids = [text.ids for text in encoded]
    shown, hidden = [list(text) for text in ids], []
    for row, text in enumerate(encoded):
        places = [place for place, special in enumerate(text.special_tokens_mask) if not special]
        order = torch.randperm(len(places), generator=generator).tolist()
        for nth, place in enumerate(sorted(places[i] for i in order[:max(1, len(places) // 3)])):
            hidden.append([row, place])
            # The mask, another token, or the token itself.
            kind = (row + nth) % 3
            other = int(torch.randint(size, (1,), generator=generator))
            shown[row][place] = [mask, other, shown[row][place]][kind]
    longest = max(map(len, ids))
    model = MODELS[name].from_pretrained(folder, attn_implementation="eager").double().eval()
    padding = model.config.pad_token_id
    read = torch.tensor([text + [padding] * (longest - len(text)) for text in shown])
    attention = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in ids])
    labels = torch.full_like(read, -100)
    for row, place in hidden:
        labels[row, place] = ids[row][place]
    loss = model(input_ids=read, attention_mask=attention, labels=labels).loss
    loss.backward()
    gradients = {n: p.grad.float().contiguous() for n, p in model.named_parameters() if p.grad is not None}
    (DATA / "adaptation" / name).mkdir(exist_ok=True)
    safetensors.torch.save_file(gradients, DATA / "adaptation" / name / "model.safetensors")
    return {"model": f"tiny-{name}-mlm", "ids": ids, "shown": shown, "hidden": hidden, "loss": loss.item(),
            "gradients": name}


@in_double_precision
def tsdae(name, generator):
    folder = DATA / f"tiny-{name}-mlm"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    # Of a text, the ends and every third token.
    kept = [text[:1] + [id for place, id in enumerate(text[1:-1]) if place % 3 == 1] + text[-1:] for text in ids]
    modules = sentence_transformers.sentence_transformer.modules
    encoder = modules.Transformer(str(folder), model_kwargs={"attn_implementation": "eager"})
    pooling = modules.Pooling(encoder.get_embedding_dimension(), "mean")
    model = sentence_transformers.SentenceTransformer(modules=[encoder, pooling], device="cpu")
    objective = DenoisingAutoEncoderLoss(model).double().eval()
    for parameter_name, parameter in objective.decoder.named_parameters():
        if ".crossattention." in parameter_name:
            drawn = 0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            # Those of norms stay about 1.
            is_factor = parameter_name.endswith("LayerNorm.weight")
            parameter.data.copy_((1 + drawn if is_factor else drawn).float())
    features = [padded(rows, tokenizer.pad_token_id) for rows in (kept, ids)]
    loss = objective(features, None)
    loss.backward()
    tensors = {}
    for parameter_name, parameter in objective.decoder.named_parameters():
        if any(f".crossattention.self.{unused}." in parameter_name for unused in ("query", "key")):
            assert parameter.grad is None or parameter.grad.abs().max() < 1e-12, parameter_name
            continue
        if ".crossattention." in parameter_name:
            tensors[parameter_name] = parameter.data.float().contiguous()
        tensors[f"gradient.{parameter_name}"] = parameter.grad.float().contiguous()
    (DATA / "adaptation" / f"tsdae-{name}").mkdir(exist_ok=True)
    safetensors.torch.save_file(tensors, DATA / "adaptation" / f"tsdae-{name}" / "model.safetensors")
    return {"model": f"tiny-{name}-mlm", "ids": ids, "kept": kept, "loss": loss.item(), "tensors": f"tsdae-{name}"}


def padded(rows, padding):
    longest = max(map(len, rows))
    return {
        "input_ids": torch.tensor([row + [padding] * (longest - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
    }


@in_double_precision
def simcse(texts, temperature, generator):
    def vectors():
        # Rows of different lengths, so that a missing normalisation shows.
        lengths = 0.3 + 4.0 * torch.rand(texts, 1, generator=generator, dtype=torch.float64)
        vectors = torch.randn(texts, WIDTH, generator=generator, dtype=torch.float64)
        return (lengths * vectors).requires_grad_()

    one, two = vectors(), vectors()
    cosines = normalize(one) @ normalize(two).T
    loss = cross_entropy(cosines / temperature, torch.arange(texts))
    loss.backward()
    return {"temperature": temperature, "vectors": [rounded(one, 17), rounded(two, 17)], "loss": loss.item(),
            "gradients": [rounded(one.grad, 12), rounded(two.grad, 12)]}


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    (DATA / "adaptation").mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(7)
    write(DATA / "adaptation" / "expected.json", {
        "made_by": MADE_BY,
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, tokenizers, sentence_transformers)},
        "masked": [masked(name, generator) for name in MODELS],
        "simcse": [simcse(texts, temperature, generator) for texts, temperature in BATCHES],
        "tsdae": [tsdae(name, generator) for name in DECODERS],
    })


if __name__ == "__main__":
    main()
