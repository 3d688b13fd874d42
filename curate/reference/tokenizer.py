"""Text to token ids, exactly as the model's tokenizer reads plain text.

No special token is added (the prefix is ours to add), none is recognised in the text (a page that spells out an
end-of-text marker is text), and truncation and padding that a checkpoint may carry are switched off.

Where ``fastokens`` is installed (the extra ``fast``), large batches go through it: many times as fast, and without a
Python object for each token. It is believed as long as it gives the same ids on the user's own text: on a first piece
of a megabyte before anything else, and on a sample of every batch after that.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from curate.errors import ModelError
from curate.runtime import console

QUICK_FROM = 200_000  # characters of a batch from which on the quick tokenizer is worth its probe
PROBE_FIRST, PROBE_LATER = 1_000_000, 20_000  # characters that both tokenizers read, of the first batch and the others


class TextEncoder:
    """The text side of a transformers tokenizer; ``name`` hashes everything that decides about its ids."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        self._fast = None
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is not None:
            self._fast = type(backend).from_str(backend.to_str())  # a copy: the settings below are ours alone
            self._fast.no_truncation()
            self._fast.no_padding()
            self._fast.encode_special_tokens = True
            content = self._fast.to_str()
        else:
            content = f"{type(tokenizer).__name__} {sorted(tokenizer.get_vocab().items())}"
        self._quick: Any = None  # fastokens' tokenizer; None: not tried yet, or not to be used
        self._may_be_quick = self._fast is not None
        self.name = xxhash.xxh3_128_hexdigest(content.encode("utf-8", "surrogatepass"))

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """The token ids of each text."""
        if self._may_be_quick and sum(map(len, texts)) >= QUICK_FROM:
            quick = self._encode_quickly(texts)
            if quick is not None:
                return quick
        return self._encode_surely(texts)

    def _encode_surely(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        if self._fast is not None:
            found = self._fast.encode_batch_fast(list(texts), add_special_tokens=False)
            return [np.array(one.ids, dtype=np.int32) for one in found]
        return [np.array(self._slow_ids(text), dtype=np.int32) for text in texts]

    def _encode_quickly(self, texts: Sequence[str]) -> list[NDArray[np.int32]] | None:
        """The same by fastokens, or None where that is not to be had, or not to be believed."""
        probe = PROBE_LATER
        if self._quick is None:
            self._quick, probe = open_quick(self._fast), PROBE_FIRST
            self._may_be_quick = self._quick is not None
            if self._quick is None:
                return None
        try:
            octets, bounds = self._quick.encode_batch_flat(list(texts), False, True)
        except Exception as error:  # whatever it does not know how to do, the other one does
            self._give_up_quick(f"it fails ({str(error).splitlines()[0][:80] if str(error) else type(error).__name__})")
            return None
        ids, ends = np.frombuffer(octets, np.int32), np.frombuffer(bounds, np.int64).tolist()
        found = [ids[begin:end] for begin, end in pairwise(ends)]
        chosen = choose_probe([len(text) for text in texts], probe)
        truth = self._encode_surely([texts[at] for at in chosen])
        if not all(np.array_equal(found[at], ids) for at, ids in zip(chosen, truth, strict=True)):
            self._give_up_quick("it gives other ids for a text of yours than the model's own tokenizer")
            return None
        return found

    def _give_up_quick(self, why: str) -> None:
        self._quick, self._may_be_quick = None, False
        console.warn(f"fastokens is not used from here on: {why}")

    def encode_starts(self, texts: Sequence[str], tokens: int) -> tuple[list[str], list[NDArray[np.int32]]]:
        """As much of each text's beginning as decides its first ``tokens`` tokens, a short text whole; and their ids.

        A cut can only change tokens near it, so a beginning is long enough when one twice as long begins with the
        same tokens. Saves reading fifty megabytes for the fifty tokens that ``--truncate 50`` keeps.
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

    def octets_until(self, text: str, token: int) -> int:
        """How many UTF-8 bytes of ``text`` end where its token number ``token`` (from 0) ends.

        A token that ends inside a character counts that character whole.
        """
        if self._fast is None:
            return len(self._tokenizer.decode(self._slow_ids(text)[: token + 1]).encode())
        ends = self._fast.encode(text, add_special_tokens=False).token_to_chars(token)
        return len(text[: ends[1]].encode()) if ends is not None else 0

    def spans(self, text: str) -> NDArray[np.int64]:
        """Where the tokens of a text lie in it, in characters.  → N×2: begin, end (excluded)

        A token that is a part of a character spans it whole; a tokenizer may leave white space out. ModelError for a
        tokenizer that is not of the fast kind, which does not know.
        """
        if self._fast is None:
            raise ModelError("this model's tokenizer does not say which characters a token stands for")
        found = self._fast.encode(text, add_special_tokens=False).offsets
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    def largest_text_id(self) -> int:
        """The largest id that plain text can become."""
        if self._fast is not None:
            special = {at for at, added in self._fast.get_added_tokens_decoder().items() if added.special}
            return max((at for at in self._fast.get_vocab(True).values() if at not in special), default=0)
        special = set(self._tokenizer.all_special_ids)
        return max((at for at in self._tokenizer.get_vocab().values() if at not in special), default=0)

    def spell(self, ids: Sequence[int]) -> str:
        """The text of some ids, to show to a person."""
        return str(self._tokenizer.decode(list(ids)))

    def _slow_ids(self, text: str) -> list[int]:
        found = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)
        return list(found["input_ids"])


def open_quick(backend: Any) -> Any:
    """fastokens' tokenizer of the same description, or None where it is not installed or does not know it."""
    try:
        from fastokens import Tokenizer
    except ImportError:
        return None
    try:
        quick = Tokenizer.from_json_str(backend.to_str())
        quick.no_truncation()
        quick.no_padding()
    except Exception:  # a kind of tokenizer that it does not know
        return None
    return quick


def choose_probe(lengths: Sequence[int], most: int) -> list[int]:
    """Texts spread evenly over a batch that have about ``most`` characters together; one at least, and short ones.

    A text longer than all that a probe may read is left out, unless there is no other.
    """
    fit = [at for at, length in enumerate(lengths) if length <= most] or [int(np.argmin(lengths))]
    mean = max(1.0, sum(lengths[at] for at in fit) / len(fit))
    step = max(1, round(len(fit) / max(1.0, most / mean)))
    return fit[::step]
