"""Samples of a dataset: they depend on the contents alone, and a larger sample contains every smaller one.

The dataset is read once, keeping the length and the hash of each example. The examples are kept as well while they have
fewer than ``KEPT_CHARACTERS``; beyond that, a second pass reads the drawn ones.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np
import orjson
import xxhash

from curate.errors import CorpusError
from curate.runtime.calls import repeat_command
from curate.sft.datasets.reading import DrawnExample, InstructionSet, RowCount, RowCounts, explain_no_example, read_set
from curate.sft.datasets.strata import order_evenly
from curate.sft.examples import Example, Which, scored_turns

KEPT_CHARACTERS = 64_000_000
"""Characters of all examples up to which they are kept in memory during the first pass."""


@dataclass(frozen=True, slots=True)
class DatasetSample:
    """The drawn examples, in the order of the dataset, and counts of all its rows.

    ``rows`` = rows that gave examples (``giving``) + refused + unreadable.
    """

    examples: tuple[DrawnExample, ...]
    available: int
    """Number of examples in the dataset."""
    rows: int
    giving: int
    refused: dict[str, RowCount]
    """Rows without anything to learn, by reason."""
    unreadable: dict[str, RowCount]
    """Rows that no schema reads, by reason; numbers in a reason are replaced by N."""
    schemas: dict[str, int]
    """Rows by the schema that read them, refused rows included."""
    marks: dict[str, RowCount]
    """Rows that gave examples, by what is to be said of the marks of their turns."""


@dataclass(slots=True)
class ExampleStore:
    """The examples read so far, as long as they fit into ``room`` characters; dropped once they do not."""

    room: int
    examples: list[DrawnExample] | None = field(default_factory=list)
    """None once they were dropped."""

    def add(self, drawn: DrawnExample) -> None:
        """Keep an example, or drop all of them where it does not fit."""
        if self.examples is None:
            return
        self.room -= sum(len(turn.text) for turn in drawn.example.turns) + len(drawn.example.tools or "")
        self.examples.append(drawn)
        if self.room < 0:
            self.examples = None


def draw_sample(dataset: InstructionSet, count: int | None, seed: int, which: Which = "all") -> DatasetSample:
    """Draw ``count`` examples, stratified by length; all of them for None, or where the dataset has no more.

    The strata are tenths of the examples by the number of characters in their scored turns. The draw depends on the
    turns of each example and the seed alone: a copy of the dataset in another order, format or schema gives the same
    examples. The sample of a smaller count is part of that of a larger one. Raises CorpusError where the dataset has no
    example, or changes while it is read; ValueError for a count below one.
    """
    if count is not None and count < 1:
        raise ValueError(f"count must be at least 1 or None, not {count}")
    counts, store = RowCounts(), ExampleStore(KEPT_CHARACTERS)
    lengths, hashes = array("q"), array("Q")
    for drawn in read_set(dataset, counts):
        lengths.append(count_scored(drawn.example, which))
        hashes.append(hash_example(drawn.example, seed))
        store.add(drawn)
    if not hashes:
        raise explain_no_example(dataset, counts)
    order = order_evenly(np.array(lengths, dtype=np.int64), np.array(hashes, dtype=np.uint64))
    indices = sorted(order[:count].tolist())
    if store.examples is None:
        examples = read_drawn(dataset, {index: hashes[index] for index in indices}, seed)
    else:
        examples = [store.examples[index] for index in indices]
    return DatasetSample(
        tuple(examples),
        len(hashes),
        counts.rows,
        counts.giving,
        counts.refused,
        counts.unreadable,
        counts.schemas,
        counts.marks,
    )


def count_scored(example: Example, which: Which) -> int:
    """Return the number of characters in the scored turns."""
    return sum(len(example.turns[index].text) for index in scored_turns(example, which))


def hash_example(example: Example, seed: int) -> int:
    """Return a 64-bit hash of the turns and the seed, which depends on neither the schema nor the file and row."""
    turns = [[turn.role, turn.text, *([] if turn.learnt else [False])] for turn in example.turns if turn.text.strip()]
    return xxhash.xxh3_64_intdigest(orjson.dumps(turns), seed & (1 << 64) - 1)


def read_drawn(dataset: InstructionSet, index_to_hash: dict[int, int], seed: int) -> list[DrawnExample]:
    """Read the examples with these indices in a second pass.

    Raises CorpusError where one is missing or its hash is not that of the first pass.
    """
    examples = []
    for index, drawn in enumerate(read_set(dataset, RowCounts())):
        if index in index_to_hash:
            if hash_example(drawn.example, seed) != index_to_hash[index]:
                break
            examples.append(drawn)
        if len(examples) == len(index_to_hash):
            return examples
    raise CorpusError(f"{dataset.name} changed while it was read", repeat_command("rank_sft"))
