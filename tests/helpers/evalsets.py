"""Eval sets of a file each, and the commits and rows of a made-up Hub."""

from helpers.corpora import write_records

from curate.stages.decontaminate.evalsets import open_evals, parse_fields

COMMIT, OTHER = "a" * 40, "b" * 40


def read_rows(tmp_path, rows, fields=None, name="set.jsonl"):
    """The eval set that one file of these rows is."""
    path = write_records(tmp_path / name, rows)
    (found,) = open_evals([str(path)], parse_fields(fields))
    return found


def read_item(tmp_path, row, fields=None):
    """The item that a file of one row holds."""
    (item,) = read_rows(tmp_path, [row], fields).items
    return item


GSM8K = [{"question": "2 + 2?", "answer": "#### 4"}, {"question": "1 + 1?", "answer": "#### 2"}]
