"""A small dataset with repeated prompts, the run of its examples, and the columns of that."""

import pyarrow.parquet as pq
from helpers import sft_datasets as sft

import curate
from curate.rundir import document_columns
from curate.rundir.run import open_run

SAID = ["Because the sky is wide and blue.", "It depends on what you ask me today.", "Nobody knows, and that is fine."]


def make_rows():
    """Twenty questions of one answer each, two that are asked three times, and rows without anything to learn."""
    asked = [{"question": row["question"], "answer": row["answer"]} for row in sft.MATHS[:20]]
    again = [{"question": f"Why, {who}?", "answer": said} for who in ("Ada", "Bob") for said in SAID]
    return [*asked, *again, {"question": "And?", "answer": ""}, {"question": "So?", "answer": True}]


def make_example_run(tmp_path, llama, rows):
    """The run of a ranking's ``--examples``.  → its path"""
    data = sft.write(tmp_path / "asked.jsonl", rows)
    options = {"model": llama, "exact": True, "draws": 100, "sample": 0}
    found = curate.rank_sft([data], out=str(tmp_path / "ranked"), examples=str(tmp_path / "runs"), **options)
    return found.runs[0]


def read(run, name):
    """A column beside the scores, row by row."""
    opened = open_run(run)
    return pq.read_table(document_columns.locate_column(opened, name), partitioning=None)["value"].to_pylist()
