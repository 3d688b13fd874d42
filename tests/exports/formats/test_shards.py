"""The table of formats: each reads back what it wrote, and no other file knows a format by its name."""

import ast
import json
import typing
from pathlib import Path

import pyarrow as pa
import pytest
from helpers.exports import read_in_order, rich_table
from helpers.runs import make_run, write_lines, write_order
from helpers.tokens import READERS, TEXTS, a_tokenizer, plain_ids

import curate
from curate.corpus.values.schema_widening import SchemaShape, fit_table
from curate.exports.formats.shards import FORMATS, TABLE_FORMATS, list_shards, make_bucket_pattern
from curate.exports.verify.reader import open_export, read_columns
from curate.verbs.export import export
from curate.verbs.verify import verify

PACKAGE = Path(curate.__file__).parent
ASKING = [
    *sorted(path for path in (PACKAGE / "exports").rglob("*.py") if path.name != "shards.py"),
    PACKAGE / "verbs" / "export.py",
    PACKAGE / "verbs" / "verify.py",
]


def names_in(node):
    """The names of formats that stand in an expression: as a value, or in a tuple, list or set."""
    parts = node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else [node]
    return {part.value for part in parts if isinstance(part, ast.Constant)} & set(FORMATS)


def find_comparisons(source):
    """Lines that decide by the name of a format: a comparison, a ``case``, or a table of two names or more."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            columns = isinstance(node.ops[0], (ast.In, ast.NotIn)) and isinstance(node.left, ast.Constant)
            foreign = ast.unparse(node.left) == "source.format"  # The format of a file of the corpus.
            if not columns and not foreign and any(map(names_in, [node.left, *node.comparators])):
                lines.append(node.lineno)
        if isinstance(node, ast.Dict) and len(set().union(*map(names_in, node.keys))) > 1:
            lines.append(node.lineno)
        if isinstance(node, ast.MatchValue) and names_in(node.value):
            lines.append(node.value.lineno)
    return lines


@pytest.mark.parametrize("path", ASKING, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_other_file_decides_by_the_name_of_a_format(path):
    assert find_comparisons(path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        'kind == "jsonl"',
        '"hf" != job.format',
        'format in ("hf", "parquet")',
        'END = {"hf": ".arrow", "parquet": ".parquet"}',
        'match kind:\n    case "tokens":\n        pass',
    ],
)
def test_the_law_finds_every_way_to_compare(line):
    assert find_comparisons(line)


def test_a_format_that_can_be_chosen_is_in_the_table_and_the_other_way_round():
    choices = typing.get_type_hints(export)["format"]
    assert typing.get_args(choices) == tuple(FORMATS)


@pytest.mark.parametrize("name", TABLE_FORMATS)
def test_a_shard_gives_back_the_rows_and_the_columns_that_were_written(tmp_path, name):
    tables, rows = TABLE_FORMATS[name], rich_table(50)
    shape = SchemaShape()
    shape.see(rows)
    written = fit_table(rows, shape.schema())
    shard = tables.open_shard(tmp_path / "shard", written.schema)
    for start in range(0, 50, 20):
        shard.write(written.slice(start, 20))
    shard.close()
    read = pa.concat_tables(tables.read_shard(tmp_path / "shard", None), promote_options="permissive")
    chosen = pa.concat_tables(tables.read_shard(tmp_path / "shard", ["big", "text"]))
    assert chosen.column_names == ["big", "text"]
    for column in ("text", "big", "unsigned", "real", "flag", "meta", "spans"):
        assert read.column(column).to_pylist() == written.column(column).to_pylist()
    assert chosen.to_pylist() == written.select(["big", "text"]).to_pylist()
    if not tables.writes_lines:
        assert read.schema.equals(written.schema)


@pytest.mark.parametrize("name", TABLE_FORMATS)
def test_the_shards_of_a_bucket_have_the_suffix_of_their_format_and_are_named_as_load_dataset_looks_for_them(name):
    suffix = {"hf": "arrow", "parquet": "parquet", "jsonl": "jsonl"}[name]
    assert make_bucket_pattern(name, "head").format(2, 12) == f"data/head/train-00002-of-00012.{suffix}"


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_back_every_document_of_an_export_and_is_verified(tmp_path, name, ordered):
    write_lines(tmp_path / "c" / "a.jsonl", ({"text": text} for text in TEXTS))
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=700)
    count, out, text = len(TEXTS), tmp_path / "out", FORMATS[name].holds_text
    expected = TEXTS[::-1] if ordered else TEXTS
    if ordered:
        write_order(run, range(count)[::-1])
    options = {} if text else {"tokenizer": a_tokenizer(tmp_path)}
    export(str(out), str(run.path), format=name, shard_size="900B", **options)
    opened = open_export(out)
    assert len(opened.shards) > 2 and sum(shard["rows"] for shard in opened.shards) == count
    assert opened.shards == list_shards(json.loads((out / "manifest.json").read_text())["files"], name)
    if text:
        parts = [part for shard in opened.shards for part in read_columns(opened, shard["path"], ["text"])]
        assert pa.concat_tables(parts).column("text").to_pylist() == expected
        assert [row["text"] for row in read_in_order(out)] == expected
    else:
        read, _ = READERS["megatron"]
        assert [ids for shard in opened.shards for ids in read(out / shard["path"])] == plain_ids(expected, [0])
    checked = verify(str(out), loader="none")
    assert checked.exit_code == 0 and checked.ordered is ordered
