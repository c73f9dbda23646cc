"""Records what `transformers` and PyTorch say about objectives of texts alone, for the tests of the Rust
program.

Writes tests/data/adaptation/ with `expected.json` and, for each NAME of `MODELS`, `NAME/model.safetensors`:

- `masked`: for each model tests/data/tiny-NAME-mlm (made by tests/record_augmentation.py), a padded
  batch in which some tokens are hidden. `ids` are the tokens as they are, `shown` what the network
  reads, `hidden` the pairs [text, place] that it has to tell. `loss` is that of the model of
  `transformers` with `labels` (-100 where nothing is hidden), in double precision. The file beside it
  has the gradient of the loss by parameter name.
- `simcse`: two random vectors for each text, not normalised, with the temperature, the loss of equation 4 of
  arXiv 2104.08821 (unsupervised) and its gradients by both vectors, in double precision.

Run from anywhere: python tests/record_adaptation.py   (needs torch, transformers, tokenizers, safetensors)
"""

import os
import sys

# One thread, so that sums are taken in the same order on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.dont_write_bytecode = True

import safetensors
import safetensors.torch
import tokenizers
import torch
import transformers
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
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, tokenizers)},
        "masked": [masked(name, generator) for name in MODELS],
        "simcse": [simcse(texts, temperature, generator) for texts, temperature in BATCHES],
    })


if __name__ == "__main__":
    main()
