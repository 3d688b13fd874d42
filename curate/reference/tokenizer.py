"""Text to token ids, exactly as the model's tokenizer reads plain text.

No special token is added (the scorer adds the prefix), none is recognised in the text (a page that spells out an
end-of-text marker is text), and truncation and padding that a checkpoint may carry are switched off.

Where ``fastokens`` is installed (the extra ``fast``), large batches go through it: many times as fast, and without a
Python object for each token. It is used as long as it gives the same ids as the model's tokenizer on the user's text:
on a probe of a megabyte of the first batch, and on a sample of every batch after that.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import xxhash

from curate.errors import ModelError
from curate.runtime import console
from curate.runtime.arrays import Int32Array, Int64Array

QUICK_FROM = 200_000  # characters of a batch from which on fastokens is worth its probe
PROBE_FIRST, PROBE_LATER = 1_000_000, 20_000  # characters that both tokenizers read, of the first batch and the others


class TextEncoder:
    """The text side of a transformers tokenizer; ``name`` is a hash of everything that its ids depend on."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        self._fast = None
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is not None:
            self._fast = type(backend).from_str(
                backend.to_str()
            )  # a copy: the settings below must not change the original
            self._fast.no_truncation()
            self._fast.no_padding()
            self._fast.encode_special_tokens = True
            content = self._fast.to_str()
        else:
            content = f"{type(tokenizer).__name__} {sorted(tokenizer.get_vocab().items())}"
        self._quick: Any = None  # fastokens' tokenizer; None: not tried yet, or given up
        self._may_be_quick = self._fast is not None
        self.name = xxhash.xxh3_128_hexdigest(content.encode("utf-8", "surrogatepass"))

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

    def encode_starts(self, texts: Sequence[str], tokens: int) -> tuple[list[str], list[Int32Array]]:
        """Return a beginning of each text that decides its first ``tokens`` tokens, and the ids of that beginning.

        A short text is returned complete. A cut can only change tokens near it, so a beginning is long enough when one
        twice as long begins with the same tokens. This saves reading fifty megabytes for the fifty tokens that
        ``--truncate 50`` keeps.
        """
        starts = list(texts)
        length = 8 * tokens + 1024
        open_texts = [at for at, text in enumerate(texts) if len(text) > 2 * length]
        while open_texts:
            once = self.encode([texts[at][:length] for at in open_texts])
            twice = self.encode([texts[at][: 2 * length] for at in open_texts])
            for at, short, long in zip(open_texts, once, twice, strict=True):
                if len(short) > tokens and np.array_equal(short[:tokens], long[:tokens]):
                    starts[at] = texts[at][:length]
            length *= 2
            open_texts = [at for at in open_texts if starts[at] is texts[at] and len(texts[at]) > 2 * length]
        return starts, self.encode(starts)

    def num_bytes_until(self, text: str, token: int) -> int:
        """Return the number of UTF-8 bytes of ``text`` up to the end of its token number ``token`` (from 0).

        A character of which the token ends in the middle counts in full.
        """
        if self._fast is None:
            return len(self._tokenizer.decode(self._slow_ids(text)[: token + 1]).encode())
        ends = self._fast.encode(text, add_special_tokens=False).token_to_chars(token)
        return len(text[: ends[1]].encode()) if ends is not None else 0

    def spans(self, text: str) -> Int64Array:
        """Return the range of characters of each token of a text, N×2: begin, end (excluded).

        A token that is a part of a character spans all of it; a tokenizer may leave white space out. Raises ModelError
        for a tokenizer that is not of the fast kind.
        """
        if self._fast is None:
            raise ModelError("this model's tokenizer cannot map tokens to characters: it is not a fast tokenizer")
        offsets = self._fast.encode(text, add_special_tokens=False).offsets
        return np.array(offsets, dtype=np.int64).reshape(-1, 2)

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
        encoding = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)
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
