"""Export in order: what is written is the order table, whatever the memory, the workers and the format."""

import json
import subprocess
import sys
import time

import datasets
import pyarrow.parquet as pq
import pytest
import xxhash
from helpers.exports import (
    FORMATS,
    LEAKY,
    QUESTION,
    files_of,
    leaky_run,
    plain_run,
    read_in_order,
    rich_table,
    shards_of,
    shuffled,
)
from helpers.runs import kept_of, make_run, numbered_run, write_buckets, write_hits, write_lines, write_order

from curate.errors import CorpusError, GateError, TableError, UsageError
from curate.exports.ordered import spill, tasks, write
from curate.verbs.export import export
from curate.verbs.filter import filter as choose

# The laws.


@pytest.mark.parametrize("kind", FORMATS)
def test_the_shards_by_name_are_the_order_and_order_parquet_tells_the_truth(tmp_path, kind):
    run, source = plain_run(tmp_path)
    choose(str(run.path), max_ppl=70)
    kept = kept_of(run)
    assert 20 < len(kept) < 190
    order = shuffled(run, kept, 200)
    found = export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="6kB")
    shards = shards_of(tmp_path / "out")
    assert len(shards) > 3
    rows = [row for held in shards.values() for row in held]
    assert [row["curate_row"] for row in rows] == order
    assert [row["curate_position"] for row in rows] == list(range(len(order)))
    assert all(row["text"] == source[row["curate_row"]]["text"] for row in rows)
    scored = {row["row"]: row for part in sorted(run.scores.iterdir()) for row in pq.read_table(part).to_pylist()}
    table, total = pq.read_table(tmp_path / "out" / "order.parquet"), 0
    assert table.schema.equals(write.ORDER)
    assert len(table) == len(order) == found.documents
    for place, told in enumerate(table.to_pylist()):
        row = shards[told["shard"]][told["shard_row"]]
        total += row["curate_tokens"]
        assert (told["position"], told["file"], told["row"]) == (place, row["curate_file"], row["curate_row"])
        assert xxhash.xxh3_64_intdigest(row["text"].encode()) == scored[told["row"]]["hash"]
        assert (told["tokens"], told["cumulative_tokens"]) == (row["curate_tokens"], total)
    assert total == found.tokens
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["ordered"] is True and manifest["order"]["schedule"] == "sort"
    assert "TRAINING.md" in (tmp_path / "out" / "README.md").read_text()
    assert [row["text"] for row in datasets.load_dataset(str(tmp_path / "out"), split="train")] == [
        row["text"] for row in rows
    ]


@pytest.mark.parametrize("kind", FORMATS)
def test_memory_tasks_and_workers_change_no_byte(tmp_path, kind, monkeypatch):
    run, _ = plain_run(tmp_path)
    shuffled(run, list(range(200)), 200)
    taken = []
    settings = [("4GB", 1, 10**7, 10**6, 10**8), ("400MB", 1, 900, 300, 1), ("4GB", 2, 10**7, 10**6, 4000)]
    settings = settings if kind == "jsonl" else settings[:2]  # Processes take a while to start.
    for name, (memory, count, run_bytes, piece_bytes, task_bytes) in enumerate(settings):
        monkeypatch.setattr(write, "MOST_RUN_BYTES", run_bytes)
        monkeypatch.setattr(write, "LEAST_RUN_BYTES", min(run_bytes, 900))
        monkeypatch.setattr(spill, "PIECE_BYTES", piece_bytes)
        monkeypatch.setattr(tasks.list_tasks, "__defaults__", (task_bytes,))
        out = tmp_path / str(name)
        export(str(out), str(run.path), format=kind, shard_size="6kB", memory_limit=memory, workers=count)
        taken.append(files_of(out))
    assert len(taken[0]) > 5
    assert all(files == taken[0] for files in taken)


@pytest.mark.parametrize("kind", FORMATS)
def test_an_ordered_export_has_the_rows_of_one_in_the_order_of_the_corpus(tmp_path, kind):
    """Slices that widen, two kinds of values, nested ones, bad rows, blank lines, a BOM: as without order."""
    early = [{"id": n, "text": f"document {n}", "mixed": n, "meta": {"a": n}, "real": 1.5} for n in range(40)]
    late = [{"text": f"document {n}", "mixed": "x", "meta": {"a": n, "b": ["y"]}, "real": 2} for n in range(40, 80)]
    huge = [{"text": "document 80", "huge": 2**70, "mixed": [1, "a", None]}, {"text": "document 81", "big": 2**53 + 1}]
    lines = [b"\xef\xbb\xbf" + json.dumps(early[0]).encode(), *early[1:], b"", b"{broken", *late, *huge]
    write_lines(tmp_path / "c" / "a.jsonl", lines)
    pq.write_table(rich_table(30), tmp_path / "c" / "b.parquet", row_group_size=7)
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=1000)
    kept = 82 + 30
    keep = [row for part in sorted(run.scores.iterdir()) for row in pq.read_table(part)["status"].to_pylist()]
    ranks = iter(range(kept))
    write_order(run, [kept - 1 - next(ranks) if status == "ok" else None for status in keep])
    export(str(tmp_path / "plain"), str(run.path), format=kind, no_order=True)
    export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="9kB")

    def load(place):
        return datasets.load_dataset(str(tmp_path / place), split="train").to_list()

    plain, found = load("plain"), load("out")
    assert len(found) == kept
    for row in found:
        assert row.pop("curate_position") is not None
    assert found == plain[::-1]
    assert (tmp_path / "out" / "order.parquet").exists() and not (tmp_path / "plain" / "order.parquet").exists()


@pytest.mark.parametrize("kind", FORMATS)
def test_one_document_and_rows_larger_than_a_shard_or_a_run(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(write, "MOST_RUN_BYTES", 700)
    monkeypatch.setattr(write, "LEAST_RUN_BYTES", 700)
    one = numbered_run(tmp_path / "one", [{}])
    write_order(one, [0])
    export(str(tmp_path / "single"), str(one.path), format=kind)
    assert [row["id"] for row in read_in_order(tmp_path / "single")] == ["d0"]
    sizes = [5, 9000, 20, 3, 7000, 1, 1, 1]
    rows = [{"text": f"document {n}", "pad": "x" * size} for n, size in enumerate(sizes)]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=500)
    order = shuffled(run, list(range(8)), 8)
    export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="1500B")
    assert [row["curate_row"] for row in read_in_order(tmp_path / "out")] == order
    assert all(rows for rows in shards_of(tmp_path / "out").values())


# Hits, conversations, names.


@pytest.mark.parametrize("kind", FORMATS)
def test_passages_are_cut_in_an_ordered_export_too(tmp_path, kind):
    run = leaky_run(tmp_path, [{"text": text, "other": text} for text in LEAKY])
    order = shuffled(run, list(range(40)), 40)
    export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="3kB")
    rows = read_in_order(tmp_path / "out")
    assert [row["curate_row"] for row in rows] == order
    for row in rows:
        number = row["curate_row"]
        cut = number % 5 == 0
        assert row["text"] == (LEAKY[number].replace(QUESTION, " ") if cut else LEAKY[number])
        assert row["curate_cut_characters"] == (len(QUESTION) if cut else 0)


def test_marks_and_hits_without_a_document_are_met_in_order_too(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": f"document {n} word"} for n in range(30)])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=400)
    write_hits(run, [{"row": 5}, {"row": 5, "eval_set": "arc"}, {"row": 29}], action="mark")
    shuffled(run, list(range(30)), 30)
    export(str(tmp_path / "out"), str(run.path), format="jsonl")
    sets = {row["curate_row"]: row["curate_eval_sets"] for row in read_in_order(tmp_path / "out")}
    assert {row: names for row, names in sets.items() if names} == {5: "arc, gsm8k", 29: "gsm8k"}


def test_conversations_and_archives_are_exported_in_order(tmp_path):
    import gzip

    turns = [
        [{"role": "user", "content": f"document {n}"}, {"role": "assistant", "content": "word"}] for n in range(30)
    ]
    (tmp_path / "c").mkdir()
    lines = b"".join(json.dumps({"messages": one}).encode() + b"\n" for one in turns)
    (tmp_path / "c" / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    run = make_run(tmp_path / "run", [tmp_path / "c"], text_field="@messages", slice_bytes=300)
    order = shuffled(run, list(range(30)), 30)
    export(str(tmp_path / "out"), str(run.path), format="jsonl")
    assert [row["messages"] for row in read_in_order(tmp_path / "out")] == [turns[row] for row in order]


def test_a_limited_corpus_is_exported_in_order(tmp_path):
    for name in ("a", "b"):
        write_lines(tmp_path / "c" / f"{name}.jsonl", [{"text": f"document {n}"} for n in range(20)])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=300, limit=27)
    write_order(run, list(range(27))[::-1])
    found = export(str(tmp_path / "out"), str(run.path), format="jsonl")
    assert found.documents == 27
    assert [row["curate_file"] for row in read_in_order(tmp_path / "out")] == ["b.jsonl"] * 7 + ["a.jsonl"] * 20


def test_a_taken_name_moves_the_columns_of_an_ordered_export_too(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": "document 0", "curate_position": "mine"}])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    write_order(run, [0])
    assert export(str(tmp_path / "out"), str(run.path), format="jsonl").prefix == "curate2_"
    (row,) = read_in_order(tmp_path / "out")
    assert (row["curate_position"], row["curate2_position"]) == ("mine", 0)


# What is refused.


def test_a_stale_order_or_bucket_is_refused_and_can_be_left_aside(tmp_path):
    run, _ = plain_run(tmp_path, 20)
    write_order(run, list(range(20)))
    write_buckets(run, ["a"] * 20)
    choose(str(run.path), max_ppl=60)
    with pytest.raises(TableError, match=r"order\.parquet is stale") as caught:
        export(str(tmp_path / "out"), str(run.path))
    assert "curate order" in caught.value.hint and "--no-order" in caught.value.hint
    with pytest.raises(TableError, match=r"buckets\.parquet is stale") as caught:
        export(str(tmp_path / "out"), str(run.path), no_order=True)
    assert "--no-buckets" in caught.value.hint
    assert not (tmp_path / "out").exists()
    export(str(tmp_path / "out"), str(run.path), no_order=True, no_buckets=True)
    assert [row["curate_row"] for row in read_in_order(tmp_path / "out")] == kept_of(run)


@pytest.mark.parametrize(
    ("positions", "what"),
    [
        ([0, 1, 1, 2], "one position"),
        ([0, 1, 2, 4], "leaves out position 3"),
        ([1, 2, 3, 4], "leaves out position 0"),
        ([0, 1, 2, None], "other documents than are kept"),
    ],
)
def test_an_order_that_is_no_permutation_is_refused(tmp_path, positions, what):
    run = numbered_run(tmp_path, [{} for _ in positions])
    write_order(run, positions)
    with pytest.raises(TableError, match=what):
        export(str(tmp_path / "out"), str(run.path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "run"]


def test_options_that_mean_nothing_are_refused_with_what_to_do(tmp_path):
    run = numbered_run(tmp_path, [{}])
    write_order(run, [0])
    for options in (
        {"by_bucket": True},
        {"by_bucket": True, "no_buckets": True},
        {"by_bucket": True, "rejected": True},
        {"memory_limit": "10MB"},
        {"memory_limit": "lots"},
        {"memory_limit": "-1GB"},
        {"workers": 0},
    ):
        with pytest.raises(UsageError) as caught:
            export(str(tmp_path / "out"), str(run.path), **options)
        assert caught.value.hint, options
        assert not (tmp_path / "out").exists()


def test_rejected_documents_have_no_order(tmp_path):
    run, _ = plain_run(tmp_path, 20)
    choose(str(run.path), max_ppl=60)
    kept = kept_of(run)
    shuffled(run, kept, 20)
    export(str(tmp_path / "out"), str(run.path), format="jsonl", rejected=True)
    assert {row["curate_row"] for row in read_in_order(tmp_path / "out")} == set(range(20)) - set(kept)
    write_lines(tmp_path / "d" / "a.jsonl", [{"text": ""}])
    nothing = make_run(tmp_path / "run-2", [tmp_path / "d"])
    with pytest.raises(GateError):
        export(str(tmp_path / "out-2"), str(nothing.path))


@pytest.mark.parametrize("count", [1, 2])
def test_a_text_that_changed_is_refused_with_its_place(tmp_path, count):
    rows = [{"text": f"document {n} " + "x" * 2000} for n in range(100)]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    write_order(run, list(range(100)))
    rows[50]["text"] = rows[50]["text"].replace("document 50", "Document 50")
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    with pytest.raises(CorpusError, match=r"a\.jsonl, row 50: its text") as caught:
        export(str(tmp_path / "out"), str(run.path), workers=count)
    assert caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "run"]


def test_a_document_that_was_inserted_is_refused_in_order_too(tmp_path):
    rows = [{"text": f"document {n} " + "x" * 2000} for n in range(100)]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    write_order(run, list(range(100)))
    rows[50]["text"] = rows[50]["text"][: -len('{"text": "new"}\n')]
    write_lines(tmp_path / "c" / "a.jsonl", [*rows[:50], {"text": "new"}, *rows[50:]])
    with pytest.raises(CorpusError, match="has changed"):
        export(str(tmp_path / "out"), str(run.path))


# Workers.


def test_an_export_that_is_killed_leaves_what_the_next_removes(tmp_path):
    run, _ = plain_run(tmp_path, 1500)
    write_order(run, list(range(1500)))
    code = "import sys, curate; curate.export(sys.argv[1], sys.argv[2], format='parquet', workers=2)"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "out"), str(run.path)])
    while process.poll() is None and not list(tmp_path.glob(".out.*.tmp/.spill")):
        time.sleep(0.02)
    assert process.poll() is None
    process.kill()
    process.wait()
    assert not (tmp_path / "out").exists()
    export(str(tmp_path / "out"), str(run.path), format="jsonl", workers=1)
    assert not list(tmp_path.glob(".out.*")) and not list((tmp_path / "out").glob(".*"))
    assert len(read_in_order(tmp_path / "out")) == 1500
