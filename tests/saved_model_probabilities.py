"""Predicts texts with a saved model, once through `transformers` and once through ONNX Runtime, and prints the probabilities as JSON.

python tests/saved_model_probabilities.py FOLDER < JSON   (needs torch, transformers, onnxruntime, safetensors)
Reads {"texts": [...], "max_length": L, "head": "auto" | "mean" | "cls" | "max"} and prints {"transformers": [[...]], "onnxruntime": [[...]]}.
A folder of sentence-transformers with `head: auto` is opened by that in place of `transformers`, so it is needed too.
Nothing is padded, so that a mistake in the mask shows; the ONNX model gets all texts in one padded batch as well, which has to agree.
"""

import json
import pathlib
import sys

import numpy
import onnxruntime
import safetensors.torch
import torch
import transformers


def main(folder):
    transformers.utils.logging.disable_progress_bar()
    asked = json.load(sys.stdin)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    # A position table may be shorter than the texts are allowed to be; RoBERTa's begins after the padding id.
    config = transformers.AutoConfig.from_pretrained(folder)
    offset = config.pad_token_id + 1 if config.model_type == "roberta" else 0
    longest = min(asked["max_length"], config.max_position_embeddings - offset)
    place = pathlib.Path(folder)
    sentences = asked["head"] == "auto" and (place / "modules.json").is_file()
    own = asked["head"] == "auto" and not sentences
    read = lambda name: json.loads((place / name).read_text()) if (place / name).is_file() else {}
    prompts, lower = read("config_sentence_transformers.json"), read("sentence_bert_config.json").get("do_lower_case")
    prompt = prompts.get("prompts", {}).get(prompts.get("default_prompt_name")) or ""
    prepared = [(prompt + text).lower() if lower else prompt + text for text in asked["texts"]]
    tokens = [tokenizer(text, truncation=True, max_length=longest)["input_ids"] for text in prepared]
    kind = transformers.AutoModelForSequenceClassification if own else transformers.AutoModel
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    missing = [name for name in info["missing_keys"] if not name.startswith("pooler.")]
    if missing or info.get("mismatched_keys"):
        sys.exit(f"missing or mismatched: {missing} {info.get('mismatched_keys')}")
    model.eval()
    weights = {} if own else safetensors.torch.load_file(place / "head.safetensors")
    session = onnxruntime.InferenceSession(str(pathlib.Path(folder) / "model.onnx"), providers=["CPUExecutionProvider"])

    def by_transformers(ids):
        with torch.no_grad():
            out = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long))
            if own:
                return out.logits[0].numpy()
            states = out.last_hidden_state[0]
            read = {"mean": lambda: states.mean(0), "cls": lambda: states[0], "max": lambda: states.max(0).values}
            return (weights["classifier.weight"] @ read[asked["head"]]() + weights["classifier.bias"]).numpy()

    def by_sentence_transformers():
        import sentence_transformers

        opened = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
        opened.max_seq_length = longest
        read = opened.encode(asked["texts"], convert_to_tensor=True, show_progress_bar=False).clone()
        return over_vectors(read).numpy()

    def over_vectors(read):
        if "classifier.vectors" not in weights:
            return read @ weights["classifier.weight"].T + weights["classifier.bias"]
        k = config.pipe_nearest["k"]
        near, places = (read.double() @ weights["classifier.vectors"].double().T).topk(k)
        shares = ((near - near[:, :1]) / weights["classifier.temperature"].double()).exp()
        sums = torch.einsum("bk,bkc->bc", shares, weights["classifier.votes"].double()[places])
        return (sums + 1e-6).log() + weights["classifier.bias"]

    def by_onnxruntime(rows):
        width = max(len(ids) for ids in rows)
        ids = numpy.array([row + [config.pad_token_id] * (width - len(row)) for row in rows], dtype=numpy.int64)
        mask = numpy.array([[1] * len(row) + [0] * (width - len(row)) for row in rows], dtype=numpy.int64)
        return session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]

    found = {
        "transformers": by_sentence_transformers() if sentences else numpy.stack([by_transformers(ids) for ids in tokens]),
        "onnxruntime": numpy.concatenate([by_onnxruntime([ids]) for ids in tokens]),
    }
    padded = by_onnxruntime(tokens)
    # A low temperature enlarges the rounding of cosines.
    tolerance = 1e-3 if "classifier.vectors" in weights else 1e-5
    if not numpy.allclose(padded, found["onnxruntime"], atol=tolerance):
        sys.exit(f"padding changes the ONNX model's logits by {abs(padded - found['onnxruntime']).max()}")
    softmax = lambda logits: torch.softmax(torch.from_numpy(logits).double(), -1).tolist()
    print(json.dumps({name: softmax(logits) for name, logits in found.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
