"""Instruction datasets: named, opened with their schema, and a sample drawn of each.

    for name, path in name_sets(["alpaca.json", "oasst=data/oasst.jsonl"]).items():
        drawn = draw(open_set(path, name=name), count=1000, seed=0)
        drawn.examples, drawn.refused, drawn.unreadable

Every row is accounted for: it gives examples, or is refused since there is nothing to learn, or is unreadable.
"""

from curate.sft.datasets.names import name_sets
from curate.sft.datasets.reading import DrawnExample, InstructionSet, RowCount, open_set
from curate.sft.datasets.sampling import DatasetSample, draw, hash_example

__all__ = [
    "DatasetSample",
    "DrawnExample",
    "InstructionSet",
    "RowCount",
    "draw",
    "hash_example",
    "name_sets",
    "open_set",
]
