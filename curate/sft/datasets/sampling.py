"""A sample of a dataset: the same examples wherever they lie, a larger sample holding every smaller one.

The dataset is read once, and only a number or two of each example is kept; the examples themselves are kept while they
are few. Where they are more, a second reading takes those that are drawn.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np
import orjson
import xxhash

from curate.errors import CorpusError
from curate.sft.datasets.reading import DrawnExample, InstructionSet, RowCount, RowCounts, read_set, refuse_all
from curate.sft.datasets.strata import order_evenly
from curate.sft.examples import Example, Which, scored_turns

# Characters of all examples up to which they are kept in memory while they are counted.
HELD_CHARACTERS = 64_000_000


@dataclass(frozen=True, slots=True)
class DatasetSample:
    """The examples drawn, in the order of the dataset, and what became of all its rows.

    ``rows`` are those that gave examples (``giving``), those refused, and the unreadable.
    """

    examples: tuple[DrawnExample, ...]
    available: int
    """All examples of the dataset."""
    rows: int
    giving: int
    refused: dict[str, RowCount]
    """Rows that hold nothing to learn, by reason."""
    unreadable: dict[str, RowCount]
    """Rows that no schema reads, by reason; numbers in a reason are N."""
    schemas: dict[str, int]
    """Rows by the schema that read them, those refused among them."""


@dataclass(slots=True)
class ExampleStore:
    """All examples so far, while they are no more than ``room`` characters; none once they are more."""

    room: int
    held: list[DrawnExample] | None = field(default_factory=list)

    def add(self, drawn: DrawnExample) -> None:
        if self.held is None:
            return
        self.room -= sum(len(turn.text) for turn in drawn.example.turns) + len(drawn.example.tools or "")
        self.held.append(drawn)
        if self.room < 0:
            self.held = None


def draw(dataset: InstructionSet, count: int | None, seed: int, which: Which = "all") -> DatasetSample:
    """A sample of ``count`` examples, all where None or where there are no more, stratified by the length of what is
    scored of them (tenths, in characters).

    What is drawn goes by the turns of each example and the seed: the same from a copy of the dataset in another order,
    format or schema. The sample of a smaller count is part of that of a larger one. CorpusError where the dataset has
    no example, or changes while it is read; ValueError for a count below one.
    """
    if count is not None and count < 1:
        raise ValueError(f"a sample of {count} examples; expected one at least")
    ledger, shelf = RowCounts(), ExampleStore(HELD_CHARACTERS)
    lengths, hashes = array("q"), array("Q")
    for drawn in read_set(dataset, ledger):
        lengths.append(count_scored(drawn.example, which))
        hashes.append(hash_example(drawn.example, seed))
        shelf.add(drawn)
    if not hashes:
        raise refuse_all(dataset, ledger)
    order = order_evenly(np.array(lengths, dtype=np.int64), np.array(hashes, dtype=np.uint64))
    wanted = sorted(order[:count].tolist())
    if shelf.held is None:
        examples = take_again(dataset, {place: hashes[place] for place in wanted}, seed)
    else:
        examples = [shelf.held[place] for place in wanted]
    return DatasetSample(
        tuple(examples), len(hashes), ledger.rows, ledger.giving, ledger.refused, ledger.unreadable, ledger.schemas
    )


def count_scored(example: Example, which: Which) -> int:
    """Characters of the turns that are scored."""
    return sum(len(example.turns[index].text) for index in scored_turns(example, which))


def hash_example(example: Example, seed: int) -> int:
    """64 bits of the turns and the seed; neither the place nor the schema has a say."""
    turns = [[turn.role, turn.text] for turn in example.turns]
    return xxhash.xxh3_64_intdigest(orjson.dumps(turns), seed & (1 << 64) - 1)


def take_again(dataset: InstructionSet, wanted: dict[int, int], seed: int) -> list[DrawnExample]:
    """The examples of some places, read once more; each must have the hash that it had."""
    taken = []
    for place, drawn in enumerate(read_set(dataset, RowCounts())):
        if place in wanted:
            if hash_example(drawn.example, seed) != wanted[place]:
                break
            taken.append(drawn)
        if len(taken) == len(wanted):
            return taken
    raise CorpusError(f"{dataset.name} changed while it was read", "the same command again")
