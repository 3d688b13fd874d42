"""Text to token ids, exactly as the model's tokenizer reads plain text.

No special token is added (the prefix is ours to add), none is recognised in the text (a page that spells out an
end-of-text marker is text), and truncation and padding that a checkpoint may carry are switched off.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from curate.errors import ModelError


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
        self.name = xxhash.xxh3_128_hexdigest(content.encode("utf-8", "surrogatepass"))

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """The token ids of each text."""
        if self._fast is not None:
            found = self._fast.encode_batch_fast(list(texts), add_special_tokens=False)
            return [np.array(one.ids, dtype=np.int32) for one in found]
        return [np.array(self._slow_ids(text), dtype=np.int32) for text in texts]

    def start_of(self, text: str, tokens: int) -> str:
        """As much of a long text's beginning as decides its first ``tokens`` tokens; a short text whole.

        A cut can only change tokens near it, so a beginning is long enough when one twice as long begins with the
        same tokens. Saves reading fifty megabytes for the fifty tokens that ``--max-tokens 50`` keeps.
        """
        length = 64 * tokens + 4096
        while 2 * length < len(text):
            once, twice = self.encode([text[:length], text[: 2 * length]])
            if len(once) > tokens and np.array_equal(once[:tokens], twice[:tokens]):
                return text[: 2 * length]
            length *= 2
        return text

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
