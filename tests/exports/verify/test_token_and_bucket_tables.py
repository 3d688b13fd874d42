"""Token files and folders by bucket, each with one thing wrong, and what a replay of one step proves."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.exports import plain_run, shuffled
from helpers.ordered_exports import an_export
from helpers.runs import write_buckets
from helpers.tokens import a_tokenizer

from curate.exports.verify import integrity, replay, replays
from curate.exports.verify.reader import open_export
from curate.verbs.export import export


def problems_of(findings):
    return [(finding.check, finding.detail) for finding in findings if not finding.ok]


def edit_table(path, name, change):
    table = pq.read_table(path)
    values, kind = table[name].to_pylist(), table.schema.field(name).type
    change(values)
    pq.write_table(table.set_column(table.column_names.index(name), name, pa.array(values, kind)), path)


def edit_manifest(out, change):
    manifest = json.loads((out / "manifest.json").read_text())
    change(manifest)
    (out / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def ordered_tokens(tmp_path):
    run, _ = plain_run(tmp_path, 40)
    shuffled(run, list(range(40)), 40)
    out, words = tmp_path / "out", a_tokenizer(tmp_path)
    export(str(out), str(run.path), format="tokens", tokenizer=words, shard_size="900B")
    return out


def test_token_files_that_follow_their_order_are_right(ordered_tokens):
    found = open_export(ordered_tokens)
    assert len(found.shards) > 2
    assert problems_of([*integrity.check_order(found), *integrity.check_tokens(found)]) == []
    notes = found.manifest["tokenised"]
    told = f"{notes['tokens']:,} {notes['dtype']} ids of 40 documents, as their indexes and documents.parquet say"
    assert [finding.detail for finding in integrity.check_tokens(found)] == [told]


def swap_tokens(values):
    """Give the first document another number of tokens, and the last what keeps the sum."""
    values[0], values[-1] = values[0] + 1, values[-1] - 1


def test_a_document_of_other_tokens_than_the_order_says_is_named(ordered_tokens):
    edit_table(ordered_tokens / "documents.parquet", "tokens", swap_tokens)
    [(check, detail)] = problems_of(integrity.check_order(open_export(ordered_tokens)))
    assert check == "documents" and detail.startswith("position 0 (a.jsonl, row ")
    assert detail.endswith("): its tokens are not so many")


@pytest.mark.parametrize("rows", [39, 41])
def test_documents_parquet_of_other_rows_than_the_order_is_a_problem(ordered_tokens, rows):
    table = pq.read_table(ordered_tokens / "documents.parquet")
    more = pa.concat_tables([table, table.slice(39)]).slice(0, rows)
    pq.write_table(more, ordered_tokens / "documents.parquet")
    [(check, detail)] = problems_of(integrity.check_order(open_export(ordered_tokens)))
    assert check == "documents"
    assert detail == "the shards have 39 documents, the order 40" if rows == 39 else "after the last position" in detail


@pytest.mark.parametrize("key", ["dtype", "rows"])
def test_ids_of_another_type_or_files_of_other_rows_than_the_manifest_says_are_named(ordered_tokens, key):
    found = open_export(ordered_tokens)
    first, kind = found.shards[0], found.manifest["tokenised"]["dtype"]
    other = {"uint16": "int32", "int32": "uint16"}[kind]

    def change(manifest):
        if key == "dtype":
            manifest["tokenised"]["dtype"] = other
            return
        for file in manifest["files"]:
            file["rows"] += file["path"] == first["path"]

    edit_manifest(ordered_tokens, change)
    [(check, detail)] = problems_of(integrity.check_tokens(open_export(ordered_tokens)))
    says = f"{first['rows']} of {other}" if key == "dtype" else f"{first['rows'] + 1} of {kind}"
    assert check == "token files"
    assert detail == f"{first['path']} has {first['rows']} documents of {kind} ids, the manifest says {says}"


def test_a_bucket_that_is_not_in_order_inside_is_named(tmp_path):
    run, _ = plain_run(tmp_path, 30)
    write_buckets(run, ["head" if n % 3 else "tail" for n in range(30)])
    shuffled(run, list(range(30)), 30)
    out = tmp_path / "out"
    export(str(out), str(run.path), format="jsonl", by_bucket=True)
    right = integrity.check_order(open_export(out))
    assert problems_of(right) == []
    assert right[0].detail == "a permutation of 30 documents, in order inside each of 2 buckets"

    def swap(values):
        values[-1], values[-2] = values[-2], values[-1]

    name = pq.read_table(out / "order.parquet")["shard"][-1].as_py()
    edit_table(out / "order.parquet", "position", swap)
    assert ("order", f"the bucket of {name} is not in order") in problems_of(integrity.check_order(open_export(out)))


@pytest.mark.parametrize(("size", "proves"), [(60, False), (30, True), (59, True)])
def test_one_step_of_all_documents_proves_nothing(tmp_path, size, proves):
    out = an_export(tmp_path)
    batches = [list(range(first, min(first + size, 60))) for first in range(0, 60, size)]
    found = replay(str(out), batches, key=lambda batch: batch)
    assert (found.kept, found.proves, found.total, found.documents) == (True, proves, 60, 60)
    assert (found.loader, found.settings, found.shown, found.note) == ("yours", "any", "", None)


def test_a_departure_names_both_documents_and_the_tokens_before_it(tmp_path):
    out = an_export(tmp_path)
    order = pq.read_table(out / "order.parquet")
    names = [f"{file}:{row}" for file, row in zip(order["file"].to_pylist(), order["row"].to_pylist(), strict=True)]

    def follow(*numbers):
        return replay(str(out), [[number] for number in numbers], key=lambda batch: batch)

    lost = follow(0, 1, 5)
    assert (lost.departs_at_step, lost.position, lost.expected, lost.found) == (3, 2, names[2], names[5])
    assert lost.tokens_before == order["cumulative_tokens"][1].as_py() and lost.kept is False
    assert follow(1).tokens_before == 0
    assert follow(0, 1, 0).found == f"{names[0]} again"
    assert follow(0, 99).found == "a document that is not in the export"
    assert follow(0, 1).found is None and follow(0, 1).expected == names[2]


@pytest.mark.parametrize(("length", "shown"), [(58, "x" * 58 + ":7"), (59, "…" + "x" * 57 + ":7")])
def test_the_name_of_a_document_has_at_most_sixty_characters(length, shown):
    order = pa.table({"file": ["x" * length, "a\n\x1b[1m"], "row": [7, 8]})
    assert replays.name_document(order, 0) == shown and len(shown) == 60
    assert replays.name_document(order, 1) == "a··[1m:8"
