"""A run of a few rows, and the values of a column that its documents carry."""

from helpers.runs import made_up, make_run, write_lines

from curate.rundir import aligned_parts


def rows_of(count, **more):
    return [{"id": f"d{n}", "text": f"document {n} word", "domain": "ab"[n % 2], **more} for n in range(count)]


def make(tmp_path, rows, **options):
    write_lines(tmp_path / "corpus" / "a.jsonl", rows)
    return make_run(tmp_path / "run", [tmp_path / "corpus"], made_up, **options)


def values_of(run, name):
    return [value for part in aligned_parts.read_parts(run, ["row"], [name]) for value in part.table[name].to_pylist()]
