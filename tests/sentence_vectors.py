"""Opens a model folder with sentence-transformers and prints the vectors of texts as JSON.

python tests/sentence_vectors.py FOLDER < JSON   (needs torch, transformers, sentence-transformers)

Reads {"texts": [...], "masked": bool} and prints {"vectors": [[...]]}. With `masked`, the folder must
open as a masked language model too, with every weight that it has.
"""

import json
import sys

import sentence_transformers
import transformers


def main(folder):
    transformers.utils.logging.disable_progress_bar()
    asked = json.load(sys.stdin)
    if asked["masked"]:
        kind = transformers.AutoModelForMaskedLM
        _, info = kind.from_pretrained(folder, output_loading_info=True)
        if info["missing_keys"] or info.get("mismatched_keys"):
            sys.exit(f"missing or mismatched: {info['missing_keys']} {info.get('mismatched_keys')}")
    model = sentence_transformers.SentenceTransformer(folder, device="cpu")
    vectors = model.encode(asked["texts"], show_progress_bar=False)
    print(json.dumps({"vectors": vectors.tolist()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
