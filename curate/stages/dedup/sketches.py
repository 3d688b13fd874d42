"""Sketches of documents: a hash of the words, the keys of the buckets, and what later shows and ranks a document.

``Sketcher`` is the seam: a method for near duplicates is a class here that turns a slice of documents into a
table. Documents with the same key in one of its bucket columns are candidates, and every candidate pair is then
compared exactly, so a method decides only which pairs are compared. ``make_sketcher`` chooses the class.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from curate.corpus import Documents
from curate.matching import minhash, numba_kernels, shingles, strict_words, words
from curate.matching.words import Words
from curate.runtime.arrays import Array, Int64Array, UInt64Array

BATCH_CHARS = 65_536
"""Characters that are split at a time, so that words and shingles stay in the processor's cache."""
LEAST_BYTES = 20_000_000
"""Bytes of a corpus, as stored, from which on loading numba pays: that takes half a second, 5 s at its first time."""
OPENING_CHARS = 80
"""Characters of a text that are kept to show it."""
RunBatches = Callable[..., Iterator[Any]]
"""Calls a function with each of some batches and yields the results in their order: ``map``."""
TALLIES = ("read", "empty", "unreadable", "wordless", "by_character", "bytes")


@dataclass(frozen=True, slots=True)
class SketchConfig:
    """How documents are sketched."""

    shingle: int
    """Words of a shingle."""
    permutations: int
    """Values of a MinHash signature."""
    seed: int
    """The seed of the permutations."""
    bands: minhash.Bands | None
    """None to find exact copies only."""
    strict_below: int = 0
    """Documents of fewer words than this are near copies by their strict words, longer ones by their plain words."""
    rules: str = strict_words.RULES
    """The rules by which texts are words; sketches by other rules are not used."""

    @property
    def band_names(self) -> list[str]:
        """The bucket columns: documents that have the same key in one of them are compared."""
        return [f"band_{number:04d}" for number in range(self.bands.bands if self.bands else 0)]


@dataclass(frozen=True, slots=True, eq=False)
class SketchedSlice:
    """One slice: its documents, the table of those with words, and what was counted."""

    documents: Documents
    table: pa.Table
    """A row for each document with words, in the order of the slice (``Sketcher.sketch``)."""
    tallies: Mapping[str, int]
    """Counts by the names in TALLIES."""


class Sketcher(Protocol):
    """A method that finds candidates for near duplicates."""

    def sketch(self, documents: Documents, run: RunBatches = map) -> SketchedSlice:
        """Return the sketches of a slice, whose texts go in batches through ``run``, such as the ``map`` of a pool.

        The texts are taken out of ``documents``: those of the next slice are read meanwhile.

        The columns of the table: ``file`` (large_string), ``row`` (int64), ``id`` and ``opening`` (large_string),
        ``bytes`` and ``words`` (int64), ``high`` and ``low`` (uint64), which are equal for documents of the same words
        (``shingles.hash_sequences``), and one of uint64 for each name in ``SketchConfig.band_names``.
        """
        ...


def make_sketcher(config: SketchConfig, compiled: bool = False) -> Sketcher:
    """Return the sketcher of the method that a config describes: MinHash today.

    ``compiled`` makes the same sketches by numba (``pays_to_compile``).
    """
    return MinHashSketcher(config, compiled)


def pays_to_compile(sizes: Sequence[int | None]) -> bool:
    """Return whether numba is installed and files of these sizes, None where one is unknown, are worth loading it."""
    known = [size for size in sizes if size is not None]
    return (len(known) < len(sizes) or sum(known) >= LEAST_BYTES) and numba_kernels.is_numba_available()


class MinHashSketcher:
    """Sketches by MinHash: the bucket columns are the keys of the LSH bands of a signature."""

    def __init__(self, config: SketchConfig, compiled: bool = False):
        self._config, self._compiled = config, compiled
        self._permutations = minhash.make_permutations(config.permutations, config.seed)
        self._make_columns(["so that the loops are compiled and the tables are made before threads need them"])

    def sketch(self, documents: Documents, run: RunBatches = map) -> SketchedSlice:
        """Return the sketches of a slice (``Sketcher``)."""
        ok = [index for index, status in enumerate(documents.statuses) if status == "ok"]
        columns = self._make_columns(
            [documents.texts[index] or "" for index in ok], run, partial(drop_texts, documents)
        )
        worded = np.flatnonzero(columns["words"])
        kept = [ok[index] for index in worded]
        files, num_bytes = documents.files, columns.pop("bytes")
        by_character = int(columns.pop("by_character").sum())
        table = pa.table(
            {
                "file": pa.array([files[index] for index in kept], pa.large_string()),
                "row": documents.rows[kept],
                "id": pa.array([documents.ids[index] for index in kept], pa.large_string()),
                "bytes": num_bytes[worded],
                "opening": pa.array(columns.pop("opening")[worded], pa.large_string()),
                **{name: values[worded] for name, values in columns.items()},
            }
        )
        counts = [documents.statuses.count(status) for status in ("empty", "unreadable")]
        tallies = (len(documents), *counts, len(ok) - len(worded), by_character, int(num_bytes.sum()))
        return SketchedSlice(documents, table, dict(zip(TALLIES, tallies, strict=True)))

    def _make_columns(
        self, texts: list[str], run: RunBatches = map, begun: Callable[[], None] = lambda: None
    ) -> dict[str, Array]:
        """Return bytes and words (int64), high, low and the band keys (uint64), each with an entry for every text.

        Before them ``opening`` (object), and ``by_character``, which has counts that are to be added. ``begun`` is
        called once nothing but the batches that are still to be sketched has the texts.
        """
        pieces = batch_texts(texts)
        del texts
        results = run(self._sketch_batch, pieces)
        begun()
        batches = list(results)
        columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0] if name != "keys"}
        if self._config.bands is not None:
            keys = np.concatenate([batch["keys"] for batch in batches])
            columns |= dict(zip(self._config.band_names, np.ascontiguousarray(keys.T), strict=True))
        return columns

    def _sketch_batch(self, texts: Sequence[str]) -> dict[str, Array]:
        sets = hash_texts(texts, self._config, self._compiled)
        opening, by_character = np.empty(len(texts), object), count_by_character(texts, sets.num_bytes, sets.counts)
        opening[:] = [cut_opening(text) for text in texts]
        columns: dict[str, Array] = {
            "bytes": sets.num_bytes, "words": sets.counts, "high": sets.high, "low": sets.low, "opening": opening,
            "by_character": np.array([by_character]),
        }  # fmt: skip
        if self._config.bands is not None and self._compiled:
            from curate.stages.dedup import numba_sketches

            columns["keys"] = numba_sketches.compute_keys(
                sets.hashes, sets.offsets, self._permutations, self._config.bands
            )
        elif self._config.bands is not None:
            signatures = minhash.compute_signatures(sets.hashes, sets.offsets, self._permutations)
            columns["keys"] = minhash.band_keys(signatures, self._config.bands)
        return columns


def drop_texts(documents: Documents) -> None:
    """Let go of the texts of some documents, whose lists keep their lengths."""
    for each in (documents, *documents.gathered):
        each.texts[:] = [None] * len(each)
        if each.turns is not None:
            each.turns[:] = [None] * len(each)


@dataclass(frozen=True, slots=True, eq=False)
class NearSets:
    """Some documents as sequences of words and as sets; the first four have an entry for each document."""

    num_bytes: Int64Array
    """Of the text in UTF-8."""
    counts: Int64Array
    """Strict words."""
    high: UInt64Array
    """The halves of a hash of the strict words (``shingles.hash_sequences``)."""
    low: UInt64Array
    hashes: UInt64Array
    """The elements of all sets (``make_near_sets``), one set after the other."""
    offsets: Int64Array
    """Set d has the hashes in [offsets[d], offsets[d + 1])."""


def hash_texts(texts: Sequence[str], config: SketchConfig, compiled: bool = False) -> NearSets:
    """Return the near sets of some texts; ``compiled`` by numba, which gives the same."""
    if compiled:
        from curate.stages.dedup import numba_sketches

        num_bytes, counts, (high, low), hashes, offsets = numba_sketches.make_near_sets(
            texts, config.shingle, config.strict_below
        )
        return NearSets(num_bytes, counts, high, low, hashes, offsets)
    split = strict_words.split_strict_words(texts)
    num_bytes = np.array([len(text.encode()) for text in texts], np.int64)
    return NearSets(num_bytes, split.counts, *shingles.hash_sequences(split), *make_near_sets(texts, split, config))


def make_near_sets(texts: Sequence[str], strict: Words, config: SketchConfig) -> tuple[UInt64Array, Int64Array]:
    """Return the hashes by which documents are near copies, and the offsets of each, as ``make_shingle_sets`` does.

    ``strict`` are the strict words of the texts. A document of fewer than ``config.strict_below`` of them, where one
    other symbol may say something else, has the shingles of these words, those that it repeats told apart; so has one
    with next to no other words. A longer one has the shingles of its words without accents and punctuation, so that it
    stays a copy of itself in another typography.
    """
    is_strict = strict.counts < config.strict_below
    plain = words.split_words(["" if short else text for text, short in zip(texts, is_strict, strict=True)])
    is_strict |= plain.counts < config.shingle
    mixed = strict_words.mix_words(strict, plain, is_strict)
    hashes, offsets = shingles.make_shingle_sets(mixed, config.shingle)
    return shingles.number_repeats(hashes, offsets, is_strict), offsets


def batch_texts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield consecutive texts in batches of about BATCH_CHARS characters; one empty batch where there are no texts."""
    first, filled = 0, 0
    for index, text in enumerate(texts):
        if filled and filled + len(text) > BATCH_CHARS:
            yield texts[first:index]
            first, filled = index, 0
        filled += len(text)
    yield texts[first:]


def cut_opening(text: str) -> str:
    """Return the first OPENING_CHARS characters of a text, on one line."""
    head = text[:OPENING_CHARS]
    if head.isprintable() and "  " not in head and not head.startswith(" ") and not head.endswith(" "):
        return head  # of all white space only the space is printable
    return " ".join(text[: 4 * OPENING_CHARS].split())[:OPENING_CHARS]


def count_by_character(texts: Sequence[str], num_bytes: Int64Array, num_words: Int64Array) -> int:
    """Return how many documents have at least half of their words as single characters of a script without spaces.

    ``num_bytes`` are those of each text in UTF-8, ``num_words`` its words. Such characters take three bytes or four, so
    a text of fewer spare bytes than words is not examined.
    """
    alone, documents = strict_words.load_strict_folding().kinds == strict_words.ALONE, 0
    for text, size, count in zip(texts, num_bytes.tolist(), num_words.tolist(), strict=True):
        if count and size - len(text) >= count:
            points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
            documents += bool(2 * np.count_nonzero(alone[points]) >= count)
    return documents
