"""Makes tiny tokenizer files of every kind without a tokenizer.json, and records the ids that
`transformers` gives for texts that are put together by a rule.

Needs: transformers, tokenizers, sentencepiece and protobuf (recorded with transformers 5.24.0 and
sentencepiece 0.2.3). Writes: tests/data/tokenizers/. Run from the repository's root:
python3 tests/record_tokenizers.py

A text is made of fragments that a linear congruential generator picks; `texts` below and the
function of the same name in tests/suite/tokenizers.rs follow one rule.
"""

import hashlib
import io
import json
import pathlib
import random
import shutil
import sys
import tempfile

import sentencepiece
import tokenizers
import transformers

FOLDER = pathlib.Path("tests/data/tokenizers")
TEXTS = 2000
WHOLE = 30
LONG = 1_000_000

ENGLISH = """the a slow good service was friendly and quick meal cold table waited waiting price
prices Germany Berlin I we They're don't it's unbelievable returning customers complained
re-ordered e-mail www 3.14 1,000 2024 $5 50% naïve café déjà Straße Ångström jalapeño""".split()
CHINESE = "今天 天气 很好 我们 去 公园 散步 服务 太 慢 了 东西 不错 价格 便宜 ， 。 「 」".split()
JAPANESE = "これは ペン です カタカナ ﾊﾝｶｸ 東京 タワー ー ゛".split()
ARABIC = "الخدمة كانت بطيئة جدا والطعام لذيذ مُحَمَّد ١٢٣ ، ؟ العربية".split()
HINDI = "सेवा बहुत धीमी थी खाना अच्छा था नमस्ते क्षत्रिय १२३ ।".split()
OTHERS = "Привет мир Ёлка ελληνικά Σίσυφος 한국어 한국 שלום ไทย đường İstanbul ıssız ǅ".split()
CODE = """def f(x): return x+1; if(a==b){c[i]->d;} #include <stdio.h> //TODO x!=y a&&b
"quoted" 'single' ``double'' \\n \\\\ @user #tag :-) ... ---""".split()
EMOJI = ["😀", "👍🏽", "👩\u200d💻", "🇩🇪", "❤️", "☃", "🤷🏻\u200d♀️", "1️⃣"]
SPACES = [" ", "  ", "    ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2003", "\u200b", "\u2028"]
ODD = [
    "\u0000", "\u0007", "\u007f", "\u0085", "\ufeff", "\ufffd", "\ufffe", "\ue000", "\U000e0001",
    "\U0010ffff", "e\u0301", "a\u0308\u0323", "\u0301", "\u1100\u1161\u11a8", "ﬁ", "Ⅳ", "½", "ＡＢＣ",
    "①", "㎞", "𝒜", "𝟘", "\u202e", "\u200d", "\u00ad", "\u212b", "\u212a", "ſ", "ß", "ẞ", "a" * 120, "▁", "▁▁a",
    "Ġ", "##ing", "Zalgo\u0300\u0316\u0350\u035b",
]  # fmt: skip
SPECIAL = [
    "[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]", "<s>", "</s>", "<mask>", "<unk>", "<pad>",
    " <mask> ", "[mask]", "<new>", "[NEW]", "<sym>", "<0x41>", "Café[NEW]",
]  # fmt: skip
GROUPS = [
    ENGLISH, CHINESE, JAPANESE, ARABIC, HINDI, OTHERS, CODE, EMOJI, SPACES, ODD, SPECIAL,
]  # fmt: skip


class Generator:
    """Knuth's 64-bit linear congruential generator; its upper bits choose."""

    def __init__(self, seed):
        self.state = seed

    def below(self, number):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % number


def texts():
    """Text i is empty, white space, of one group, or of all; most fragments follow a space."""
    generator = Generator(7)
    found = []
    for index in range(TEXTS):
        if index == 0:
            found.append("")
            continue
        if index == TEXTS - 1:
            group, count, least = None, 0, LONG
        else:
            groups = [SPACES] if index % 97 == 1 else [GROUPS[index % len(GROUPS)]]
            group = groups[0] if index % 3 else None
            count, least = 1 + generator.below(24), 0
        made = size = 0
        pieces = []
        while made < count or size < least:
            source = group if group is not None else GROUPS[generator.below(len(GROUPS))]
            piece = source[generator.below(len(source))]
            if generator.below(10) < 7 and made:
                piece = " " + piece
            pieces.append(piece)
            made += 1
            size += len(piece.encode())
        found.append("".join(pieces))
    return found


def corpus():
    """Sentences for training: more of what is plain, some of all."""
    draw = random.Random(3)
    groups = [ENGLISH, ENGLISH, ENGLISH, CHINESE, JAPANESE, ARABIC, HINDI, OTHERS, CODE]
    lines = []
    for _ in range(3000):
        words = draw.choice(groups)
        lines.append(" ".join(draw.choice(words) for _ in range(draw.randint(3, 12))))
    return lines


def word_pieces(folder, special, lower):
    """vocab.txt, a token a line; the special tokens stand first."""
    model = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    model.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lower)
    model.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=700, special_tokens=special, show_progress=False
    )
    model.train_from_iterator(corpus(), trainer)
    vocabulary = model.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.get)
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")


def byte_pairs(folder, special):
    """vocab.json and merges.txt of byte-level BPE."""
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=special,
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    model.train_from_iterator(corpus(), trainer)
    parts = json.loads(model.to_str())["model"]
    vocabulary = json.dumps(parts["vocab"], ensure_ascii=False)
    (folder / "vocab.json").write_text(vocabulary)
    merges = "".join(" ".join(merge) + "\n" for merge in parts["merges"])
    (folder / "merges.txt").write_text("#version: 0.2\n" + merges)


def sentence_pieces(folder, name, **settings):
    """A SentencePiece model with rules of our own: its own tables of rules are large."""
    rules = {
        "ﬁ": "fi", "Ⅳ": "IV", "½": "1/2", "ＡＢＣ": "ABC", "①": "1", "㎞": "km", "\u00a0": " ",
        "\u3000": " ", "\t": " ", "\n": " ", "e\u0301": "é", "\u200b": "", "ſ": "s", "ﾊ": "ハ",
        "\u1100\u1161\u11a8": "각", "\u202e": "", "\u00ad": "", "\u212b": "\u00c5",
    }  # fmt: skip
    if settings.pop("lowercase", False):
        rules |= {chr(letter).upper(): chr(letter) for letter in range(ord("a"), ord("z") + 1)}
    hexadecimal = lambda text: " ".join(f"{ord(letter):X}" for letter in text)
    with tempfile.TemporaryDirectory() as at:
        table = pathlib.Path(at) / "rules.tsv"
        lines = [f"{hexadecimal(old)}\t{hexadecimal(new)}\n" for old, new in rules.items()]
        table.write_text("".join(lines))
        if not settings.pop("plain", False):
            settings["normalization_rule_tsv"] = str(table)
        else:
            settings["normalization_rule_name"] = "identity"
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus()),
            model_writer=out,
            hard_vocab_limit=False,
            num_threads=1,
            minloglevel=2,
            vocab_size=settings.pop("vocab_size", 600),
            **settings,
        )
    # What remains of the training in the file (its rules, a path) is not read by anyone.
    from sentencepiece import sentencepiece_model_pb2 as proto

    model = proto.ModelProto()
    model.ParseFromString(out.getvalue())
    model.normalizer_spec.ClearField("normalization_rule_tsv")
    model.trainer_spec.ClearField("input")
    (folder / name).write_bytes(model.SerializeToString())


def write(folder, name, value):
    (folder / name).write_text(json.dumps(value, ensure_ascii=False) + "\n")


BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def make_bert(folder):
    word_pieces(folder, BERT, True)
    write(folder, "tokenizer_config.json", {"tokenizer_class": "BertTokenizer"})


def make_bert_cased(folder):
    word_pieces(folder, BERT, False)
    write(folder, "config.json", {"model_type": "bert"})
    write(folder, "tokenizer_config.json", {"do_lower_case": False})
    special = {name + "_token": f"[{name.upper()}]" for name in ["unk", "sep", "pad", "cls", "mask"]}
    write(folder, "special_tokens_map.json", special)


def make_bert_chinese(folder):
    word_pieces(folder, ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], True)
    write(folder, "config.json", {"model_type": "bert"})
    settings = {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}
    write(folder, "tokenizer_config.json", settings)
    tokens = {"[NEW]": 900, "<new>": 901, "Café": 902}
    write(folder, "added_tokens.json", tokens)
    write(folder, "special_tokens_map.json", {"additional_special_tokens": ["[NEW]"]})


def make_electra(folder):
    word_pieces(folder, BERT, True)
    write(folder, "config.json", {"model_type": "electra"})


def make_distilbert(folder):
    word_pieces(folder, BERT, True)
    write(folder, "config.json", {"model_type": "distilbert"})
    mask = {"content": "[MASK]", "lstrip": True, "rstrip": False, "normalized": True}
    special = {"mask_token": mask | {"single_word": False}, "pad_token": "[PAD]"}
    write(folder, "special_tokens_map.json", special)
    settings = {"do_lower_case": True, "strip_accents": False, "tokenizer_class": "DistilBertTokenizer"}
    write(folder, "tokenizer_config.json", settings)


def make_mpnet(folder):
    word_pieces(folder, ["<s>", "<pad>", "</s>", "[UNK]"], True)
    with (folder / "vocab.txt").open("a") as file:
        file.write("<mask>\n")
    write(folder, "config.json", {"model_type": "mpnet"})


def make_roberta(folder):
    byte_pairs(folder, ROBERTA)
    write(folder, "config.json", {"model_type": "roberta"})


def make_roberta_prefix(folder):
    byte_pairs(folder, ROBERTA)
    token = {"lstrip": False, "rstrip": False, "single_word": False}
    decoder = {
        "0": {"content": "<s>", "special": True, "normalized": False} | token,
        "2": {"content": "</s>", "special": True, "normalized": False} | token,
        "4": {"content": "<mask>", "special": True, "normalized": False} | token | {"lstrip": True},
        "800": {"content": "<new>", "special": False, "normalized": True} | token,
        "801": {"content": "[NEW]", "special": True, "normalized": False} | token | {"rstrip": True},
    }
    settings = {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True}
    write(folder, "tokenizer_config.json", settings | {"added_tokens_decoder": decoder})


def make_deberta(folder):
    byte_pairs(folder, ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"])
    write(folder, "config.json", {"model_type": "deberta"})
    write(folder, "tokenizer_config.json", {"tokenizer_class": "DebertaTokenizerFast"})


def make_modernbert(folder):
    byte_pairs(folder, ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"])
    write(folder, "config.json", {"model_type": "modernbert"})
    plain = {"lstrip": False, "rstrip": False, "single_word": False}
    mask = plain | {"content": "[MASK]", "special": True, "normalized": False, "lstrip": True}
    spaces = plain | {"content": "  ", "special": False, "normalized": True}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "mask_token": "[MASK]"}
    decoder = {"4": mask, "700": spaces}
    write(folder, "tokenizer_config.json", settings | {"added_tokens_decoder": decoder})


def modernbert(folder):
    """ModernBERT has no class that reads these files: its published rules, put together here."""
    vocabulary = json.loads((folder / "vocab.json").read_text())
    merges = [tuple(line.split(" ")) for line in (folder / "merges.txt").read_text().split("\n")[1:-1]]
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    made.normalizer = tokenizers.normalizers.NFC()
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ["[CLS]", "[SEP]"]],
    )
    special = tokenizers.AddedToken
    made.add_tokens([special("[MASK]", lstrip=True, special=True, normalized=False)])
    made.add_tokens([special("  ", normalized=True)])
    named = {name + "_token": f"[{name.upper()}]" for name in ["unk", "sep", "pad", "cls"]}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, **named)


def make_xlm_roberta(folder):
    sentence_pieces(folder, "sentencepiece.bpe.model", model_type="unigram")
    write(folder, "config.json", {"model_type": "xlm-roberta"})
    mask = {"content": "<mask>", "lstrip": True, "rstrip": False, "normalized": True}
    special = {"mask_token": {"__type": "AddedToken", **mask, "single_word": False}}
    write(folder, "tokenizer_config.json", {"tokenizer_class": "XLMRobertaTokenizer"} | special)


def make_camembert(folder):
    # The special tokens of fairseq stand before those of SentencePiece, which has `<unk>` alone.
    sentence_pieces(
        folder, "sentencepiece.bpe.model", model_type="unigram", bos_id=-1, eos_id=-1
    )
    write(folder, "config.json", {"model_type": "camembert"})


def albert(folder, **settings):
    sentence_pieces(
        folder,
        "spiece.model",
        model_type="unigram",
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
        control_symbols=["[CLS]", "[SEP]"],
        user_defined_symbols=["[MASK]"],
        **settings,
    )


def make_albert(folder):
    albert(folder, lowercase=True)
    write(folder, "config.json", {"model_type": "albert"})


def make_albert_cased(folder):
    albert(folder)
    write(folder, "config.json", {"model_type": "albert"})
    settings = {"do_lower_case": False, "keep_accents": True, "remove_space": True}
    write(folder, "tokenizer_config.json", {"tokenizer_class": "AlbertTokenizer"} | settings)


def deberta_v2(folder, settings):
    sentence_pieces(
        folder,
        "spm.model",
        model_type="unigram",
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        pad_piece="[PAD]",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        unk_piece="[UNK]",
    )
    write(folder, "config.json", {"model_type": "deberta-v2"})
    write(folder, "tokenizer_config.json", settings)


def make_deberta_v3(folder):
    deberta_v2(folder, {"do_lower_case": False, "vocab_type": "spm"})
    write(folder, "added_tokens.json", {"[MASK]": 600})


def make_deberta_v2_split(folder):
    deberta_v2(folder, {"do_lower_case": True, "split_by_punct": True, "add_prefix_space": False})


def make_unigram(folder):
    sentence_pieces(folder, "tokenizer.model", model_type="unigram", byte_fallback=True)
    write(folder, "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    write(folder, "config.json", {"model_type": "bert"})


def make_unigram_plain(folder):
    sentence_pieces(
        folder,
        "tokenizer.model",
        model_type="unigram",
        plain=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        user_defined_symbols=["<sym>"],
    )
    write(folder, "config.json", {"model_type": "bert"})
    settings = {"add_bos_token": True, "add_eos_token": True}
    write(folder, "tokenizer_config.json", {"tokenizer_class": "TokenizersBackend"} | settings)


def make_bpe(folder):
    sentence_pieces(folder, "tokenizer.model", model_type="bpe", byte_fallback=True)
    write(folder, "config.json", {"model_type": "bert"})
    settings = {"add_bos_token": True, "legacy": False}
    write(folder, "tokenizer_config.json", {"tokenizer_class": "TokenizersBackend"} | settings)


def make_bpe_symbols(folder):
    sentence_pieces(
        folder, "tokenizer.model", model_type="bpe", user_defined_symbols=["<sym>", "don't"]
    )
    write(folder, "config.json", {"model_type": "bert"})
    write(folder, "tokenizer_config.json", {"tokenizer_class": "TokenizersBackend"})


def record(folder, made):
    with tempfile.TemporaryDirectory() as at:
        at = pathlib.Path(at) / "model"
        shutil.copytree(folder, at)
        if not (at / "config.json").exists():
            write(at, "config.json", {"model_type": "bert"})
        own = {"modernbert": modernbert}.get(folder.name)
        found = own(at) if own else transformers.AutoTokenizer.from_pretrained(at)
    ids = [found(text)["input_ids"] for text in made]
    digest = lambda one: hashlib.sha256(" ".join(map(str, one)).encode()).hexdigest()[:8]
    expected = {
        "class": type(found).__name__,
        "unknown": sum(one.count(found.unk_token_id) for one in ids[:-1]),
        "tokens": sum(len(one) for one in ids[:-1]),
        "ids": ids[:WHOLE],
        "digests": "".join(digest(one) for one in ids),
    }
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    print(folder.name, type(found).__name__, len(found), expected["tokens"], expected["unknown"])


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    kinds = {name[5:]: make for name, make in globals().items() if name.startswith("make_")}
    made = texts()
    digest = hashlib.sha256("\n".join(made).encode()).hexdigest()
    settings = {
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "sentencepiece": sentencepiece.__version__,
        "texts": TEXTS,
        "longest": LONG,
        "sha256": digest,
        "groups": GROUPS,
    }
    (FOLDER / "texts.json").write_text(json.dumps(settings) + "\n")
    for name, make in kinds.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        folder = FOLDER / name.replace("_", "-")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        make(folder)
        record(folder, made)


main()
