"""Opens a model folder with sentence-transformers and prints its embeddings of texts as JSON.

python tests/embed_folder.py FOLDER TEXTS_JSON   (needs torch, sentence-transformers; TEXTS_JSON is a list of texts)
Prints {"modules", "max_length", "raw", "normalised"}. The raw embeddings are those before a `Normalize` module. All is
computed in double precision, one text at a time, so that nothing is padded. The folder's default prompt is applied.
"""

import json
import sys

from sentence_transformers import SentenceTransformer


def main(folder, texts):
    model = SentenceTransformer(folder, device="cpu", local_files_only=True).double().eval()
    kinds = {name: type(module).__name__ for name, module in model.named_children()}
    for name in [name for name, kind in kinds.items() if kind == "Normalize"]:
        delattr(model, name)
    texts = json.load(open(texts, encoding="utf-8"))
    embed = lambda unit: model.encode(texts, batch_size=1, show_progress_bar=False, normalize_embeddings=unit).tolist()
    print(json.dumps({"modules": list(kinds.values()), "max_length": model.max_seq_length,
                      "raw": embed(False), "normalised": embed(True)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
