"""Sketches of documents: a hash of the words, LSH band keys, and what is needed to show and rank a document later."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from curate.corpus import Documents
from curate.matching import minhash, shingles, words

Array = np.ndarray[Any, np.dtype[Any]]

BATCH_CHARS = 65_536  # that are split at a time, so that words and shingles stay in the processor's cache
OPENING_CHARS = 80  # of a text that are kept to show it
TALLIES = ("read", "empty", "unreadable", "wordless", "by_character", "bytes")


@dataclass(frozen=True, slots=True)
class SketchConfig:
    """How documents are sketched."""

    shingle: int
    permutations: int
    seed: int
    bands: minhash.Bands | None
    """None where exact copies alone are looked for."""

    @property
    def band_names(self) -> list[str]:
        return [f"band_{number:04d}" for number in range(self.bands.bands if self.bands else 0)]


@dataclass(frozen=True, slots=True, eq=False)
class SketchedSlice:
    """One slice: its documents, the table of those with words, and what was counted."""

    documents: Documents
    table: pa.Table
    tallies: Mapping[str, int]


class Sketcher:
    """Sketches slices by one recipe; several threads may call it at once."""

    def __init__(self, recipe: SketchConfig):
        self._recipe = recipe
        self._permutations = minhash.permutations(recipe.permutations, recipe.seed)
        self._columns(["so that the kernel is compiled and the tables are made before threads ask for them"])

    def sketch(self, documents: Documents) -> SketchedSlice:
        ok = [place for place, status in enumerate(documents.statuses) if status == "ok"]
        texts = [documents.texts[place] or "" for place in ok]
        octets = [len(text.encode()) for text in texts]
        columns = self._columns(texts)
        worded = np.flatnonzero(columns["words"])
        places = [ok[place] for place in worded]
        table = pa.table(
            {
                "row": documents.rows[places],
                "id": pa.array([documents.ids[place] for place in places], pa.large_string()),
                "bytes": np.array(octets, np.int64)[worded],
                "opening": pa.array([opening(texts[place]) for place in worded], pa.large_string()),
                **{name: values[worded] for name, values in columns.items()},
            }
        )
        counts = [documents.statuses.count(status) for status in ("empty", "unreadable")]
        spelled = count_by_character(texts, octets, columns["words"])
        counted = (len(documents), *counts, len(ok) - len(worded), spelled, sum(octets))
        return SketchedSlice(documents, table, dict(zip(TALLIES, counted, strict=True)))

    def _columns(self, texts: Sequence[str]) -> dict[str, Array]:
        found = [self._sketch_batch(batch) for batch in batch_texts(texts)]
        columns = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
        if self._recipe.bands is not None:
            keys = minhash.band_keys(columns.pop("signed"), self._recipe.bands)
            columns |= dict(zip(self._recipe.band_names, keys.T, strict=True))
        return columns

    def _sketch_batch(self, texts: Sequence[str]) -> dict[str, Array]:
        split = words.split_words(texts)
        high, low = shingles.hash_sequences(split)
        found = {"words": split.counts, "high": high, "low": low}
        if self._recipe.bands is not None:
            sets = shingles.shingle_sets(split, self._recipe.shingle)
            found["signed"] = minhash.signatures(*sets, self._permutations)
        return found


def batch_texts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Runs of texts of about BATCH_CHARS characters; one run of none where there are no texts."""
    first, filled = 0, 0
    for place, text in enumerate(texts):
        if filled and filled + len(text) > BATCH_CHARS:
            yield texts[first:place]
            first, filled = place, 0
        filled += len(text)
    yield texts[first:]


def opening(text: str) -> str:
    """How a text begins, on one line."""
    return " ".join(text[: 4 * OPENING_CHARS].split())[:OPENING_CHARS]


def count_by_character(texts: Sequence[str], octets: Sequence[int], counts: Array) -> int:
    """Documents in which at least half of the words are single characters of a script without spaces.

    Such characters take three bytes or four, so a text of fewer spare bytes than words need not be looked at.
    """
    alone, found = words.folding().alone, 0
    for text, size, count in zip(texts, octets, counts.tolist(), strict=True):
        if count and size - len(text) >= count:
            points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
            found += bool(2 * np.count_nonzero(alone[points]) >= count)
    return found
