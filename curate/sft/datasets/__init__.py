"""Instruction datasets: name them, open them with their schema, and draw a sample of each.

    for dataset in open_sets(["alpaca.json", "oasst=data/oasst.jsonl"], schema=None, on_error="quarantine"):
        drawn = draw_sample(dataset, count=1000, seed=0)
        drawn.examples, drawn.refused, drawn.unreadable

Every row is counted: it gives examples, or is refused since there is nothing to learn, or is unreadable.

names     NAME=PATH, names from paths    reading           rows as examples, reasons
sampling  the sample                     strata            the order in which examples are drawn
fields    options that name columns      recognition       the schema by the first rows (dataset_start)
mending   errors about columns, with the command that mends them, from column_guesses and message_guesses
"""

from curate.sft.datasets.fields import name_fields
from curate.sft.datasets.names import name_sets
from curate.sft.datasets.reading import DrawnExample, InstructionSet, RowCount, open_set, open_sets
from curate.sft.datasets.sampling import DatasetSample, draw_sample, hash_example

__all__ = [
    "DatasetSample",
    "DrawnExample",
    "InstructionSet",
    "RowCount",
    "draw_sample",
    "hash_example",
    "name_fields",
    "name_sets",
    "open_set",
    "open_sets",
]
