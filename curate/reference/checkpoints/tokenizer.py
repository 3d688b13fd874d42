"""Text to token ids, exactly as the model's tokenizer reads plain text.

No special token is added (the scorer adds the prefix), none is recognised in the text (a page that spells out an
end-of-text marker is text), and truncation and padding that a checkpoint may carry are switched off.

Where ``fastokens`` is installed (the extra ``fast``), large batches go through it: many times as fast, and without a
Python object for each token. It is used as long as it gives the same ids as the model's tokenizer on the user's text:
on a probe of a megabyte of the first batch, and on a sample of every batch after that.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import xxhash

from curate.errors import ModelError
from curate.runtime import console
from curate.runtime.arrays import Int32Array, Int64Array

QUICK_FROM = 200_000  # characters of a batch from which on fastokens is worth its probe
AFTER = 32  # tokens behind a place that may still spell a part of the character before it
PIECE, OVERLAP = 500_000, 4_000  # characters of a piece of a long text, and those that it shares with the next
PIECES = 4  # pieces that are read at once
SAME = 24  # tokens in a row that two pieces must agree on
PROBE_FIRST, PROBE_LATER = 1_000_000, 20_000  # characters that both tokenizers read, of the first batch and the others

BLANKS = ("▁", "Ġ", " ")
"""How vocabularies spell a blank."""
BYTE = re.compile("<0x[0-9A-F]{2}>")
"""The pieces of SentencePiece that stand for a byte."""


class TextEncoder:
    """The text side of a transformers tokenizer; ``name`` is a hash of everything that its ids depend on.

    A control token that a text spells out is text, unless ``control_tokens`` is set.
    """

    def __init__(self, tokenizer: Any, control_tokens: bool = False):
        self._tokenizer = tokenizer
        self._control_tokens = control_tokens
        self._fast = None
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is not None:
            self._fast = type(backend).from_str(
                backend.to_str()
            )  # a copy: the settings below must not change the original
            self._fast.no_truncation()
            self._fast.no_padding()
            self._fast.encode_special_tokens = not control_tokens
            content = self._fast.to_str()
            self._is_bytes = "ByteLevel(" in f"{self._fast.pre_tokenizer!r} {self._fast.decoder!r}"
        else:
            content = f"{type(tokenizer).__name__} {sorted(tokenizer.get_vocab().items())}"
        self._pieces: list[bytes] | None = None
        self._quick: Any = None  # fastokens' tokenizer; None: not tried yet, or given up
        self._may_be_quick = self._fast is not None and not control_tokens
        self.name = xxhash.xxh3_128_hexdigest(content.encode("utf-8", "surrogatepass"))

    def obeying_control_tokens(self) -> "TextEncoder":
        """Return an encoder of the same tokenizer to which a control token that a text spells out is one."""
        return TextEncoder(self._tokenizer, control_tokens=True)

    def encode(self, texts: Sequence[str]) -> list[Int32Array]:
        """Return the token ids of each text."""
        if self._may_be_quick and sum(map(len, texts)) >= QUICK_FROM:
            quick = self._encode_quickly(texts)
            if quick is not None:
                return quick
        return self._encode_exactly(texts)

    def _encode_exactly(self, texts: Sequence[str]) -> list[Int32Array]:
        if self._fast is not None:
            encodings = self._fast.encode_batch_fast(list(texts), add_special_tokens=False)
            return [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]
        return [np.array(self._slow_ids(text), dtype=np.int32) for text in texts]

    def encode_in_pieces(self, texts: Sequence[str]) -> list[Int32Array]:
        """Return the token ids of each text, as ``encode`` does; a long text is read in pieces, in bounded memory.

        Pieces overlap, and are joined where both give ``SAME`` tokens in a row at the same characters. A text of which
        two pieces never agree is read as one.
        """
        long = [at for at, text in enumerate(texts) if len(text) > 2 * PIECE and self._fast is not None]
        joined = {}
        for at in long:
            quick = self._encode_long_quickly(texts[at])
            joined[at] = self._join_pieces(texts[at]) if quick is None else quick
        whole = [at for at in range(len(texts)) if joined.get(at) is None]
        found = dict(zip(whole, self.encode([texts[at] for at in whole]), strict=True))
        return [ids if (ids := joined.get(at)) is not None else found[at] for at in range(len(texts))]

    def _encode_long_quickly(self, text: str) -> Int32Array | None:
        """Return the ids of a long text from fastokens, probed on its beginning; None where it cannot be used."""
        if not self._may_be_quick:
            return None
        self._quick = self._quick or open_fastokens(self._fast)
        self._may_be_quick = self._quick is not None
        if self._quick is None:
            return None
        try:
            buffer, _ = self._quick.encode_batch_flat([text], False, True)
        except Exception as error:
            self._give_up_quick(f"it fails ({str(error).splitlines()[0][:80] if str(error) else type(error).__name__})")
            return None
        ids = np.frombuffer(buffer, np.int32)
        (truth,) = self._encode_exactly([text[:PROBE_LATER]])
        probed = max(len(truth) - AFTER, 0)
        if not np.array_equal(ids[:probed], truth[:probed]):
            self._give_up_quick("its ids for one of the texts differ from those of the model's tokenizer")
            return None
        return ids

    def _join_pieces(self, text: str) -> Int32Array | None:
        """Return the ids of a long text from its pieces; None where two neighbours do not agree."""
        assert self._fast is not None
        begins = range(0, max(1, len(text) - OVERLAP), PIECE - OVERLAP)
        parts: list[Int32Array] = []
        before: EncodedPiece | None = None
        for first in range(0, len(begins), PIECES):
            some = begins[first : first + PIECES]
            encodings = self._fast.encode_batch([text[at : at + PIECE] for at in some], add_special_tokens=False)
            for begin, encoding in zip(some, encodings, strict=True):
                piece = EncodedPiece(begin, np.array(encoding.ids, dtype=np.int32), encoding)
                if before is not None:
                    end, start = find_joint(before, piece)
                    if end < 0:
                        return None
                    parts.append(before.ids[before.first : end])
                    piece.first = start
                before = piece
        assert before is not None
        return np.concatenate([*parts, before.ids[before.first :]])

    def _encode_quickly(self, texts: Sequence[str]) -> list[Int32Array] | None:
        """Return the same ids from fastokens, or None where it is not available, fails, or gives other ids."""
        probe = PROBE_LATER
        if self._quick is None:
            self._quick, probe = open_fastokens(self._fast), PROBE_FIRST
            self._may_be_quick = self._quick is not None
            if self._quick is None:
                return None
        try:
            buffer, bounds = self._quick.encode_batch_flat(list(texts), False, True)
        except Exception as error:  # whatever it does not support, the model's tokenizer does
            self._give_up_quick(f"it fails ({str(error).splitlines()[0][:80] if str(error) else type(error).__name__})")
            return None
        ids, ends = np.frombuffer(buffer, np.int32), np.frombuffer(bounds, np.int64).tolist()
        encoded = [ids[begin:end] for begin, end in pairwise(ends)]
        chosen = choose_probe([len(text) for text in texts], probe)
        truth = self._encode_exactly([texts[at] for at in chosen])
        if not all(np.array_equal(encoded[at], ids) for at, ids in zip(chosen, truth, strict=True)):
            self._give_up_quick("its ids for one of the texts differ from those of the model's tokenizer")
            return None
        return encoded

    def _give_up_quick(self, why: str) -> None:
        self._quick, self._may_be_quick = None, False
        console.warn(f"fastokens is not used from here on: {why}")

    def count_start_bytes(self, text: str, ids: Int32Array, counts: Sequence[int]) -> list[int]:
        """Return how many UTF-8 bytes of a text its first n tokens spell, for each n in ``counts``.

        ``ids`` are all tokens of the text. What a tokenizer puts in front of a text (the dummy blank of SentencePiece)
        spells nothing. Of a character that several tokens spell, each counts its own bytes; where they do not add up
        to it, since the tokenizer rewrites the text, the last of them counts all. Only a beginning of the text is read
        again.
        """
        if self._fast is None:
            whole = len(text.encode())
            return [min(whole, len(self._tokenizer.decode(ids[:count].tolist()).encode())) for count in counts]
        encoding = self._encode_start(text, ids, max(counts, default=0))
        return [count_bytes(text, encoding.tokens, encoding.offsets, count, self._is_bytes) for count in counts]

    def _encode_start(self, text: str, ids: Int32Array, tokens: int) -> Any:
        """Return the encoding of a beginning of a text that has its first ``tokens`` tokens and some after them."""
        assert self._fast is not None
        needed = ids[: tokens + AFTER].tolist()
        length = 8 * len(needed) + 64
        while True:
            encoding = self._fast.encode(text[:length], add_special_tokens=False)
            if length >= len(text) or encoding.ids[: len(needed)] == needed:
                return encoding
            length *= 2

    @property
    def locates_tokens(self) -> bool:
        """Whether ``spans`` can map tokens to characters."""
        return self._fast is not None

    def spans(self, text: str) -> Int64Array:
        """Return the range of characters of each token of a text, N×2: begin, end (excluded).

        A token that is a part of a character spans all of it; a tokenizer may leave white space out. Raises ModelError
        for a tokenizer that is not of the fast kind.
        """
        if self._fast is None:
            raise ModelError("this model's tokenizer cannot map tokens to characters: it is not a fast tokenizer")
        offsets = self._fast.encode(text, add_special_tokens=False).offsets
        return np.array(offsets, dtype=np.int64).reshape(-1, 2)

    def spell_pieces(self) -> list[bytes]:
        """Return what each id spells in UTF-8, as its piece of the vocabulary says; nothing for ids without a piece.

        A blank that a tokenizer puts in front of a text is among the pieces. Empty where the tokenizer is not of the
        fast kind.
        """
        if self._pieces is None:
            self._pieces = [] if self._fast is None else spell_vocabulary(self._fast, self._is_bytes)
        return self._pieces

    def largest_text_id(self) -> int:
        """Return the largest id that plain text can give; special tokens do not count."""
        if self._fast is not None:
            special = {at for at, added in self._fast.get_added_tokens_decoder().items() if added.special}
            return max((at for at in self._fast.get_vocab(True).values() if at not in special), default=0)
        special = set(self._tokenizer.all_special_ids)
        return max((at for at in self._tokenizer.get_vocab().values() if at not in special), default=0)

    def spell(self, ids: Sequence[int]) -> str:
        """Return the text of some ids, to show to a user."""
        return str(self._tokenizer.decode(list(ids)))

    def _slow_ids(self, text: str) -> list[int]:
        encoding = self._tokenizer(text, add_special_tokens=False, split_special_tokens=not self._control_tokens)
        return list(encoding["input_ids"])


def open_fastokens(backend: Any) -> Any:
    """Return fastokens' tokenizer of the same description, or None where it is not installed or does not support it."""
    try:
        from fastokens import Tokenizer
    except ImportError:
        return None
    try:
        quick = Tokenizer.from_json_str(backend.to_str())
        quick.no_truncation()
        quick.no_padding()
    except Exception:  # a kind of tokenizer that it does not support
        return None
    return quick


def choose_probe(lengths: Sequence[int], most: int) -> list[int]:
    """Return indices of texts, spread evenly over a batch, that have about ``most`` characters in total; at least one.

    A text longer than ``most`` is left out; where all are, the shortest is chosen. ``lengths`` is not empty.
    """
    fit = [at for at, length in enumerate(lengths) if length <= most] or [int(np.argmin(lengths))]
    mean = max(1.0, sum(lengths[at] for at in fit) / len(fit))
    step = max(1, round(len(fit) / max(1.0, most / mean)))
    return fit[::step]


@dataclass(slots=True)
class EncodedPiece:
    """A piece of a long text as tokens."""

    begin: int
    """Characters of the text before it."""
    ids: Int32Array
    encoding: Any
    first: int = 0
    """Index of the first token that no piece before it has."""

    def list_starts(self, low: int, high: int) -> list[tuple[int, int]]:
        """Return (character of the text, token) for each place from ``low`` to ``high`` at which a token begins."""
        token, starts = self.encoding.char_to_token(max(0, low - self.begin)) or 0, list[tuple[int, int]]()
        while token < len(self.ids):
            start = self.begin + self.encoding.token_to_chars(token)[0]
            if start >= high:
                break
            if not starts or start > starts[-1][0]:
                starts.append((start, token))
            token += 1
        return starts


def find_joint(left: EncodedPiece, right: EncodedPiece) -> tuple[int, int]:
    """Return the token of ``left`` before which it ends and that of ``right`` with which it goes on; −1, −1 for none.

    ``right`` begins within ``left``, and from there on both have the same ``SAME`` tokens at least.
    """
    low, high = right.begin, right.begin + OVERLAP
    token_of = dict(right.list_starts(low, high))
    for start, token in left.list_starts(low, high):
        other = token_of.get(start, -1)
        same = left.ids[token : token + SAME]
        if start > low and other >= 0 and len(same) == SAME and np.array_equal(same, right.ids[other : other + SAME]):
            return token, other
    return -1, -1


def count_bytes(text: str, pieces: Sequence[str], spans: Sequence[tuple[int, int]], count: int, is_bytes: bool) -> int:
    """Return the UTF-8 bytes of a text that its first ``count`` tokens spell.

    ``pieces`` are the tokens as the vocabulary spells them, ``spans`` their ranges of characters; ``is_bytes``: a
    character of a piece stands for a byte. Tokens that share characters with the last of the ``count`` share their
    bytes by their own lengths; a leading blank that the text does not have counts for nothing.
    """
    if not 0 < count <= len(spans):
        return 0
    end = max(stop for _, stop in spans[:count])
    after = min((start for start, _ in spans[count : count + AFTER]), default=len(text))
    if after >= end:
        return len(text[:end].encode())
    first, last = count - 1, count
    while first > 0 and spans[first - 1][1] > min(start for start, _ in spans[first:count]):
        first -= 1
    while last < len(spans) and spans[last][0] < max(stop for _, stop in spans[first:last]):
        last += 1
    begin, stop = min(start for start, _ in spans[first:last]), max(stop for _, stop in spans[first:last])
    lengths = [_piece_bytes(piece, is_bytes) for piece in pieces[first:last]]
    shared = len(text[begin:stop].encode())
    if first == 0 and sum(lengths) == shared + 1 and pieces[0][:1] in BLANKS:
        lengths[0] -= 1
    before = len(text[:begin].encode())
    if sum(lengths) == shared:
        return before + sum(lengths[: count - first])
    return max(before, len(text[:after].encode()))


def spell_vocabulary(backend: Any, is_bytes: bool) -> list[bytes]:
    """Return what each id of a tokenizer spells; ``is_bytes``: a character of a piece stands for a byte."""
    added = backend.get_added_tokens_decoder()
    vocabulary = {at: piece for piece, at in backend.get_vocab(True).items()}
    pieces = [b""] * (max(vocabulary, default=-1) + 1)
    byte_of = {char: bytes([byte]) for byte, char in list_byte_characters().items()} if is_bytes else {}
    for at, piece in vocabulary.items():
        if at in added:
            pieces[at] = added[at].content.encode("utf-8", "surrogatepass")
        elif is_bytes:
            pieces[at] = b"".join(byte_of.get(char, b"") for char in piece)
        else:
            pieces[at] = bytes([int(piece[3:5], 16)]) if BYTE.fullmatch(piece) else piece.replace("▁", " ").encode()
    return pieces


def list_byte_characters() -> dict[int, str]:
    """Return the character by which a byte-level vocabulary writes each byte, as GPT-2 does (``bytes_to_unicode``)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(shown)]
    return {byte: chr(byte) for byte in shown} | {byte: chr(256 + number) for number, byte in enumerate(others)}


def _piece_bytes(piece: str, is_bytes: bool) -> int:
    """Return the bytes that a piece of a vocabulary stands for."""
    if is_bytes or BYTE.fullmatch(piece):
        return len(piece) if is_bytes else 1
    return len(piece.replace("▁", " ").encode())
