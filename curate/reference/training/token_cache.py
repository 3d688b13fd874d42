"""A corpus as token ids on disk: encoded once, read in place for as long as the training lasts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from curate.reference.training.tokenizer import END, hash_text
from curate.runtime.console import progress

CHARACTERS_PER_TOKEN = 12  # a bound for cutting a document before it is encoded; English has about 4


@dataclass(frozen=True, slots=True)
class EncodedCorpus:
    """A corpus as token ids: document ``i`` is ``ids[starts[i]:starts[i + 1]]``, ``<|endoftext|>`` at both ends."""

    ids: np.ndarray
    starts: np.ndarray
    hashes: np.ndarray

    def document(self, index: int) -> np.ndarray:
        return self.ids[self.starts[index] : self.starts[index + 1]]

    def documents_of(self, places: np.ndarray) -> np.ndarray:
        """The documents that these places in the ids lie in."""
        return np.searchsorted(self.starts, places, side="right") - 1


def batches(texts: Iterable[str], characters: int = 4_000_000) -> Iterator[list[str]]:
    """Consecutive texts in lists of about so many characters."""
    held, size = [], 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= characters:
            yield held
            held, size = [], 0
    if held:
        yield held


def encode_corpus(texts: Iterable[str], tokenizer: Tokenizer, folder: Path, document_tokens: int | None) -> None:
    """Write the ids of every text that is not blank, with their starts and hashes, into ``folder``."""
    tokenizer.encode_special_tokens = True  # a text that spells out <|endoftext|> is text
    kind = np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32
    most = document_tokens - 1 if document_tokens else None
    lengths, hashes = [], []
    with (folder / "tokens.bin").open("wb") as file, progress("encoding") as bar:
        for group in batches(texts):
            cut = [text[: most * CHARACTERS_PER_TOKEN] if most else text for text in group]
            for text, encoding in zip(group, tokenizer.encode_batch_fast(cut, add_special_tokens=False), strict=True):
                ids = [END, *encoding.ids[:most]] if most and len(encoding.ids) > most else [END, *encoding.ids, END]
                file.write(np.array(ids, dtype=kind).tobytes())
                lengths.append(len(ids))
                hashes.append(hash_text(text))
            bar.advance(documents=len(group), tokens=sum(lengths[-len(group) :]))
    np.save(folder / "starts.npy", np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))
    np.save(folder / "hashes.npy", np.array(hashes, dtype=np.uint64))


def save_groups(groups: Iterable[str], folder: Path) -> None:
    """Write the group of every encoded document as a whole number, by the order of the names."""
    _, numbers = np.unique(np.array(list(groups), dtype=object).astype(str), return_inverse=True)
    np.save(folder / "groups.npy", numbers.astype(np.int32))


def load_groups(folder: Path) -> np.ndarray:
    """What ``save_groups`` wrote, one number a document."""
    found: np.ndarray = np.load(folder / "groups.npy")
    return found


def open_encoded(folder: Path, vocabulary: int) -> EncodedCorpus:
    """The corpus that ``encode_corpus`` wrote; its ids stay on disk."""
    kind = np.uint16 if vocabulary <= 1 << 16 else np.uint32
    starts = np.load(folder / "starts.npy")
    return EncodedCorpus(np.memmap(folder / "tokens.bin", dtype=kind, mode="r"), starts, np.load(folder / "hashes.npy"))
