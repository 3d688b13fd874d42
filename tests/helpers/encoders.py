"""Tokenizers that do all that tokenizers do to a text before they cut it, and short texts that show it."""

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE, Unigram

PIECES = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "ab", "▁▁", "▁ab", "1", "2"]
TEXTS = [
    "é",
    "日",
    "🙂",
    "a",
    " a",
    "▁",
    "▁a",
    "ab",
    " é",
    "  ab",
    "日本語 a",
    "\n",
    "é é",
    "🙂🙂",
    " ",
    "½",
    "½a",
    "ａ",
    "b" * 400,
]
BYTE_LEVEL = {char: number for number, char in enumerate(pre_tokenizers.ByteLevel.alphabet())}


def sentencepiece(model, blank):
    """A tokenizer as those of Llama: a dummy blank before the text or not, bytes for what the vocabulary lacks."""
    pieces = [piece for piece in PIECES if piece != "▁ab" or blank == "joined"]
    scores = [(piece, -1.0 if piece in ("a", "b", "ab", "▁ab") else -2.0) for piece in pieces]
    merges = [("a", "b"), ("▁", "▁"), *([("▁", "ab")] if blank == "joined" else [])]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    made = Tokenizer(
        Unigram(scores, unk_id=0, byte_fallback=True)
        if model == "unigram"
        else BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>")
    )
    if blank == "prepend":
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace(
            prepend_scheme=blank if blank in ("first", "never") else "always", split=blank != "nosplit"
        )
    if blank == "nfkc":
        made.normalizer = normalizers.NFKC()
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return made


def byte_level(add_prefix_space):
    made = Tokenizer(BPE(BYTE_LEVEL, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    made.decoder = decoders.ByteLevel()
    return made


BLANKS = ("always", "first", "never", "nosplit", "prepend", "joined", "nfkc")
KINDS = {f"{model}-{blank}": (sentencepiece, model, blank) for model in ("unigram", "bpe") for blank in BLANKS}
KINDS |= {"bytes": (byte_level, False), "bytes with a blank": (byte_level, True)}
