"""Opens a model folder with `transformers` and prints its logits (or pooled states) for recorded inputs as JSON.

python tests/open_in_transformers.py FOLDER EXPECTED_JSON   (needs torch, transformers)
Prints {"class", "labels", "logits", "mean_pooled", "tokens"}; a weight that is missing in the folder is an error.
"""

import json
import sys

import torch
import transformers


def main(folder, expected):
    transformers.utils.logging.disable_progress_bar()
    recorded = json.load(open(expected, encoding="utf-8"))["forward"]
    inputs = {name: torch.tensor(recorded[name]) for name in ("input_ids", "attention_mask")}
    config = transformers.AutoConfig.from_pretrained(folder)
    classifier = config.architectures[0].endswith("ForSequenceClassification")
    kind = transformers.AutoModelForSequenceClassification if classifier else transformers.AutoModel
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    missing = [name for name in info["missing_keys"] if not name.startswith("pooler.")]
    if missing or info.get("mismatched_keys"):
        sys.exit(f"missing or mismatched: {missing} {info.get('mismatched_keys')}")
    if classifier and info["unexpected_keys"]:
        sys.exit(f"unexpected: {info['unexpected_keys']}")
    with torch.no_grad():
        out = model.eval()(**inputs, output_hidden_states=True)
    mask = inputs["attention_mask"].unsqueeze(-1).float()
    mean = (out.hidden_states[-1] * mask).sum(1) / mask.sum(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    print(json.dumps({
        "class": type(model).__name__,
        "labels": [config.id2label[i] for i in range(len(config.id2label))],
        "logits": out.logits.tolist() if classifier else None,
        "mean_pooled": mean.tolist(),
        "tokens": [tokenizer(text)["input_ids"] for text in recorded["texts"]],
    }))


if __name__ == "__main__":
    main(*sys.argv[1:])
