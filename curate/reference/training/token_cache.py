"""A corpus as token ids on disk: encoded once, then memory-mapped as long as the training lasts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from curate.reference.training.tokenizer import END, hash_text
from curate.runtime.arrays import Array, Int32Array, Int64Array, UInt64Array
from curate.runtime.console import progress

CHARACTERS_PER_TOKEN = 12  # a bound for cutting a document before it is encoded; English has about 4


@dataclass(frozen=True, slots=True)
class EncodedCorpus:
    """A corpus as token ids: document ``i`` is ``ids[starts[i]:starts[i + 1]]``, ``<|endoftext|>`` at both ends.

    A document that was cut off has no ``<|endoftext|>`` at its end.
    """

    ids: Array
    """All ids in uint16 or uint32, on disk."""
    starts: Int64Array
    """One more than there are documents."""
    hashes: UInt64Array
    """``hash_text`` of each document."""

    def document(self, index: int) -> Array:
        """Return the ids of a document."""
        return self.ids[self.starts[index] : self.starts[index + 1]]

    def documents_of(self, indices: Int64Array) -> Int64Array:
        """Return the index of the document of each of these indices into ``ids``."""
        return np.searchsorted(self.starts, indices, side="right") - 1


def batch_texts(texts: Iterable[str], characters: int = 4_000_000) -> Iterator[list[str]]:
    """Yield consecutive texts in lists of about so many characters; no list is empty."""
    batch, size = [], 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def encode_corpus(texts: Iterable[str], tokenizer: Tokenizer, folder: Path, document_tokens: int | None) -> None:
    """Write the ids of every text, with their starts and hashes, into ``folder``.

    A text is cut off after ``document_tokens`` tokens, ``<|endoftext|>`` included; None keeps all.
    """
    tokenizer.encode_special_tokens = True  # a text that spells out <|endoftext|> is text
    kind = np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32
    most = document_tokens - 1 if document_tokens else None
    lengths, hashes = [], []
    with (folder / "tokens.bin").open("wb") as file, progress("encoding") as bar:
        for batch in batch_texts(texts):
            cut = [text[: most * CHARACTERS_PER_TOKEN] if most else text for text in batch]
            for text, encoding in zip(batch, tokenizer.encode_batch_fast(cut, add_special_tokens=False), strict=True):
                ids = [END, *encoding.ids[:most]] if most and len(encoding.ids) > most else [END, *encoding.ids, END]
                file.write(np.array(ids, dtype=kind).tobytes())
                lengths.append(len(ids))
                hashes.append(hash_text(text))
            bar.advance(documents=len(batch), tokens=sum(lengths[-len(batch) :]))
    np.save(folder / "starts.npy", np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))
    np.save(folder / "hashes.npy", np.array(hashes, dtype=np.uint64))


def save_groups(groups: Iterable[str], folder: Path) -> None:
    """Write the group of every encoded document as an integer, which numbers the sorted names from 0."""
    _, numbers = np.unique(np.array(list(groups), dtype=object).astype(str), return_inverse=True)
    np.save(folder / "groups.npy", numbers.astype(np.int32))


def load_groups(folder: Path) -> Int32Array:
    """Return what ``save_groups`` wrote, one number a document."""
    groups: Int32Array = np.load(folder / "groups.npy")
    return groups


def open_encoded(folder: Path, vocabulary: int) -> EncodedCorpus:
    """Return the corpus that ``encode_corpus`` wrote; its ids stay on disk."""
    kind = np.uint16 if vocabulary <= 1 << 16 else np.uint32
    starts = np.load(folder / "starts.npy")
    return EncodedCorpus(np.memmap(folder / "tokens.bin", dtype=kind, mode="r"), starts, np.load(folder / "hashes.npy"))
