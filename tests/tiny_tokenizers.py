"""Small tokenizers of our own for the tiny models that the tests/record_*.py scripts make.

Each function writes PATH/tokenizer.json and returns the names of its special tokens, as
tokenizer_config.json has them, and the size of its vocabulary.
"""

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

WORDS = """the a an and was is it we they food good service slow bill wrong place kind people hour noon again never
nobody came come will open at lovely waited then""".split()
# The special tokens that open and close the vocabulary of each family, in the order of their ids.
FIRST_AND_LAST = {
    "bert": (["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], []),
    "mpnet": (["<s>", "<pad>", "</s>", "<unk>", "[UNK]"], ["<mask>"]),
    "albert": (["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"], []),
    "deberta": (["[PAD]", "[CLS]", "[SEP]", "[UNK]"], ["[MASK]"]),
}


def wordpiece(path, family="bert", with_limits=False):
    """BERT's pipeline over a vocabulary of letters, endings and a few words, with a family's special tokens."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    marks = ". , ! ? ' $ # @ : / - [ ] < >".split()
    first, last = FIRST_AND_LAST[family]
    vocabulary = first + marks + list("0123456789") + list(letters)
    vocabulary += ["##" + letter for letter in letters] + ["##ed", "##ing", "##ly"]
    vocabulary += [word for word in WORDS if word not in vocabulary] + last
    ids = {token: index for index, token in enumerate(vocabulary)}
    names = special_names(family)
    start, end = names["cls_token"], names["sep_token"]
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token=names["unk_token"], max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    if family == "mpnet":
        tokenizer.add_special_tokens(first + [AddedToken("<mask>", lstrip=True, special=True)])
        tokenizer.post_processor = processors.RobertaProcessing((end, ids[end]), (start, ids[start]),
                                                                add_prefix_space=False)
    else:
        tokenizer.add_special_tokens(first + last)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{start} $A {end}", pair=f"{start} $A {end} $B:1 {end}:1",
            special_tokens=[(start, ids[start]), (end, ids[end])])
    if with_limits:
        # Files of sentence encoders come with both switched on; a reader has to switch them off.
        tokenizer.enable_truncation(max_length=8)
        tokenizer.enable_padding(pad_id=ids[names["pad_token"]], pad_token=names["pad_token"], length=12)
    tokenizer.save(str(path / "tokenizer.json"))
    return names, len(vocabulary)


def special_names(family):
    if family == "mpnet":
        return {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "[UNK]", "sep_token": "</s>", "pad_token": "<pad>",
                "cls_token": "<s>", "mask_token": "<mask>"}
    angular = family == "albert"
    return {"unk_token": "<unk>" if angular else "[UNK]", "pad_token": "<pad>" if angular else "[PAD]",
            "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


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
