"""Opens a model folder with an adapter of `peft` and prints the probabilities of texts as JSON.

python tests/open_in_peft.py MODEL ADAPTER   (needs torch, transformers, peft)
Reads {"texts", "max_length"} from stdin; a tensor that the adapter lacks or has beside is an error.
"""

import json
import sys

import peft
import torch
import transformers


def main(folder, adapter):
    transformers.utils.logging.disable_progress_bar()
    asked = json.load(sys.stdin)
    base = transformers.AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager")
    config = peft.PeftConfig.from_pretrained(adapter)
    model = peft.get_peft_model(base, config)
    found = peft.utils.load_peft_weights(adapter, device="cpu")
    expected = peft.get_peft_model_state_dict(model)
    if found.keys() != expected.keys():
        sys.exit(f"other tensors: {sorted(found.keys() ^ expected.keys())}")
    result = peft.set_peft_model_state_dict(model, found)
    if result.unexpected_keys:
        sys.exit(f"unexpected: {result.unexpected_keys}")
    model = peft.PeftModel.from_pretrained(
        transformers.AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager"), adapter)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(asked["texts"], padding=True, truncation=True, max_length=asked["max_length"],
                        return_tensors="pt", return_token_type_ids=False)
    inputs = {name: encoded[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        logits = model.eval()(**inputs).logits
    print(json.dumps(logits.double().softmax(-1).tolist()))


if __name__ == "__main__":
    main(*sys.argv[1:])
