"""``curate export``: what was kept, unchanged, with its scores, in one schema, whole or not at all."""

import base64
import datetime
import errno
import json
import math
import os

import datasets
import httpx2
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.runs import (
    decisions_of,
    kept_of,
    make_run,
    numbered_run,
    write_duplicates,
    write_hits,
    write_lines,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate import console, shards, spans, tables, widening
from curate.card import code
from curate.corpus import Corpus
from curate.errors import CorpusError, GateError, Interrupted, StorageError, TableError, UsageError
from curate.exporting import export
from curate.selection import filter as choose
from curate.shards import Writer, parse_size

FORMATS = ("hf", "parquet", "jsonl")
BIG = 2**53 + 1


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """A cache of datasets for each test; the library would otherwise meet an earlier test's folder of the same name."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def load(out):
    """The rows of an export, as datasets loads them."""
    return datasets.load_dataset(str(out), split="train").to_list()


def files_of(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def original(row):
    return {name: value for name, value in row.items() if not name.startswith("curate")}


def spoken(monkeypatch):
    said = []
    monkeypatch.setattr(console, "warn", said.append)
    return said


# Original columns.


def rich_table(count):
    """Columns of every kind that a Parquet corpus may have, with nulls."""
    when = datetime.datetime(2020, 2, 29, 3, 4, 5, 678901)
    rows = [
        {
            "text": f"document {n} \U0001f600 “quotes” \\ \x00 end",
            "big": BIG + n,
            "unsigned": 2**63 - 1 - n,
            "real": 0.1 * n if n % 2 else None,
            "flag": n % 3 == 0,
            "day": datetime.date(1999, 12, 31),
            "when": when if n % 2 else None,
            "zoned": when.replace(tzinfo=datetime.UTC),
            "meta": {"tags": ["a", None, ""], "inner": {"n": n, "none": None}} if n % 2 else None,
            "spans": [{"start": n, "end": BIG}, None],
            "empty": [],
            "nothing": None,
            "word": "x",
        }
        for n in range(count)
    ]
    inner = pa.struct([("n", pa.int64()), ("none", pa.float32())])
    return pa.Table.from_pylist(
        rows,
        schema=pa.schema(
            [
                ("text", pa.string()),
                ("big", pa.int64()),
                ("unsigned", pa.uint64()),
                ("real", pa.float64()),
                ("flag", pa.bool_()),
                ("day", pa.date32()),
                ("when", pa.timestamp("us")),
                ("zoned", pa.timestamp("us", "UTC")),
                ("meta", pa.struct([("tags", pa.list_(pa.string())), ("inner", inner)])),
                ("spans", pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int64())]))),
                ("empty", pa.large_list(pa.int16())),
                ("nothing", pa.string()),
                ("word", pa.dictionary(pa.int8(), pa.string())),
            ]
        ),
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_original_columns_come_back_unchanged(tmp_path, kind):
    table = rich_table(30)
    (tmp_path / "c").mkdir()
    pq.write_table(table, tmp_path / "c" / "a.parquet", row_group_size=7)
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=900)
    assert len(list(run.scores.iterdir())) > 2
    choose(str(run.path), max_ppl=60)
    export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="3kB")
    expected = [row for place, row in enumerate(table.to_pylist()) if place in set(kept_of(run))]
    assert 0 < len(expected) < 30
    assert [original(row) for row in load(tmp_path / "out")] == expected
    if kind == "hf":
        loaded = datasets.load_from_disk(str(tmp_path / "out"))
        assert [original(row) for row in loaded["train"].to_list()] == expected


@pytest.mark.parametrize("kind", FORMATS)
def test_json_lines_come_back_unchanged_though_their_slices_differ(tmp_path, kind):
    """Columns that come and go, whole numbers that become fractions, structs that grow, over slices and files."""
    early = [{"id": n, "text": f"document {n} early", "score": n, "meta": {"a": n}} for n in range(40)]
    late = [
        {"text": f"document {n} late", "score": n / 2, "meta": {"b": ["x"], "a": n}, "url": "http://x"}
        for n in range(40, 80)
    ]
    write_lines(tmp_path / "c" / "a.jsonl", early)
    write_lines(tmp_path / "c" / "b.jsonl", late)
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=1000)
    export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="4kB")
    nothing = dict.fromkeys(("id", "text", "score", "meta", "url"))
    expected = [{**nothing, **row, "meta": {"a": None, "b": None, **row["meta"]}} for row in [*early, *late]]
    assert [original(row) for row in load(tmp_path / "out")] == expected


@pytest.mark.parametrize("kind", FORMATS)
def test_values_of_different_kinds_become_text_and_it_is_said(tmp_path, kind, monkeypatch):
    said = spoken(monkeypatch)
    (tmp_path / "c").mkdir()
    pq.write_table(pa.table({"text": ["document 0", "document 1"], "mixed": [7, None]}), tmp_path / "c" / "a.parquet")
    pq.write_table(pa.table({"text": ["document 2"], "mixed": ["seven"]}), tmp_path / "c" / "b.parquet")
    pq.write_table(pa.table({"text": ["document 3"], "mixed": [[{"x": 1}]]}), tmp_path / "c" / "d.parquet")
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="500B")
    assert [row["mixed"] for row in load(tmp_path / "out")] == ["7", None, "seven", '[{"x": 1}]']
    assert any("mixed" in line for line in said)
    assert (
        "mixed" in (tmp_path / "out" / "README.md").read_text().split("## Columns")[1].split("written as their JSON")[0]
    )


def test_whole_numbers_that_float64_cannot_hold_are_never_rounded(tmp_path):
    (tmp_path / "c").mkdir()
    for name, values in {"a": [BIG], "b": [0.5]}.items():
        pq.write_table(pa.table({"text": [f"document {name}"], "number": values}), tmp_path / "c" / f"{name}.parquet")
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    export(str(tmp_path / "out"), str(run.path))
    assert [row["number"] for row in load(tmp_path / "out")] == [str(BIG), "0.5"]


def test_dates_spelled_as_strings_stay_as_they_are_and_json_lines_warn(tmp_path, monkeypatch):
    said = spoken(monkeypatch)
    rows = [
        {"text": f"document {n}", "date": "2020-01-01", "at": "2020-01-01T03:04:05Z", "no": "2020"} for n in range(3)
    ]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    for kind in ("hf", "parquet"):
        export(str(tmp_path / kind), str(run.path), format=kind)
        assert [original(row) for row in load(tmp_path / kind)] == rows
    assert not said
    export(str(tmp_path / "jsonl"), str(run.path), format="jsonl")
    lines = (tmp_path / "jsonl" / "data" / "train-00000-of-00001.jsonl").read_text().splitlines()
    assert [original(json.loads(line)) for line in lines] == rows
    assert "`at`, `date`" in said[0]


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(
        st.lists(
            st.fixed_dictionaries(
                {"text": st.just("t")},
                optional={
                    "a": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
                    "b": st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-99, 99)),
                    "c": st.lists(st.one_of(st.none(), st.integers(0, 2**60)), max_size=2),
                    "d": st.fixed_dictionaries({}, optional={"x": st.text(max_size=3), "y": st.booleans()}),
                    "e": st.one_of(st.none(), st.text(max_size=3), st.booleans()),
                },
            ),
            min_size=1,
            max_size=4,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_one_schema_over_any_pieces_keeps_every_value(pieces):
    """The law of ``Shape``: whatever pieces meet, a value comes back equal, or as its JSON in a column that says so."""
    from curate.corpus.columntypes import tabulate

    shape = widening.Shape()
    made = [tabulate(rows, None) for rows in pieces]
    for table in made:
        shape.see(table)
    whole = pa.concat_tables([widening.fit(table, shape.schema()) for table in made]).to_pylist()
    for row, was in zip(whole, [row for table in made for row in table.to_pylist()], strict=True):
        for name, value in was.items():
            if name in shape.texts and value is not None and not isinstance(value, (dict, list)):
                assert row[name] == value or json.loads(row[name]) == value
            elif name not in shape.texts and not isinstance(value, dict):
                assert row[name] == value
            elif isinstance(value, dict) and isinstance(row[name], dict):
                assert {key: item for key, item in row[name].items() if key in value} == value


# Scores.


@pytest.mark.parametrize("kind", FORMATS)
def test_scores_stand_beside_their_own_documents(tmp_path, kind):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": f"document {n} {'word ' * (n % 5)}"} for n in range(90)])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=700)
    choose(str(run.path), keep="middle")
    export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="2kB")
    scored = {}
    for part in sorted(run.scores.iterdir()):
        for row in pq.read_table(part).to_pylist():
            scored[row["row"]] = row
    rows = load(tmp_path / "out")
    assert [row["curate_row"] for row in rows] == kept_of(run)
    for row in rows:
        known = scored[row["curate_row"]]
        assert row["text"].split()[1] == str(row["curate_row"])
        assert row["curate_file"] == "a.jsonl"
        for name in ("perplexity", "bits_per_byte", "nats", "tokens", "bytes", "first_nats", "zlib_ratio"):
            assert row[f"curate_{name}"] == pytest.approx(known[name], rel=1e-6)


def test_a_column_that_has_the_name_of_a_score_is_not_overwritten(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": "document 0", "curate_tokens": "mine", "perplexity": -1}])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    found = export(str(tmp_path / "out"), str(run.path))
    (row,) = load(tmp_path / "out")
    assert (row["curate_tokens"], row["perplexity"]) == ("mine", -1)
    assert found.prefix == "curate2_"
    assert row["curate2_tokens"] == 2


def test_a_taken_name_that_appears_late_in_the_corpus_is_not_overwritten_either(tmp_path, monkeypatch):
    rows = [{"text": f"document {n}"} for n in range(50)]
    write_lines(tmp_path / "c" / "a.jsonl", [*rows, {"text": "document 50", "curate_nats": "mine"}])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=800)
    opened = Corpus.from_spec

    def seen_early_alone(spec):
        corpus = opened(spec)
        object.__setattr__(corpus, "columns", ("text",))
        object.__setattr__(corpus, "schema", None)
        return corpus

    monkeypatch.setattr(Corpus, "from_spec", seen_early_alone)
    export(str(tmp_path / "out"), str(run.path))
    rows = load(tmp_path / "out")
    assert [row["curate_nats"] for row in rows] == [None] * 50 + ["mine"]
    assert all(row["curate2_nats"] > 0 for row in rows)
    assert "curate_tokens" not in rows[0]


def test_rejected_documents_are_exported_with_their_reasons(tmp_path):
    lines = [*({"text": f"document {n}"} for n in range(9)), {"text": " "}, b"{broken"]
    write_lines(tmp_path / "c" / "a.jsonl", lines)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    choose(str(run.path), keep="low", rate=0.4)
    found = export(str(tmp_path / "out"), str(run.path), rejected=True)
    rows = load(tmp_path / "out")
    expected = {row: why for (_, row), why in decisions_of(run).items() if why not in (None, "unreadable")}
    assert {row["curate_row"]: row["curate_reason"] for row in rows} == expected
    assert expected[9] == "unscored: empty"
    assert found.counts == {"read": 11, "kept": 4, "rejected": 6, "unreadable": 1}


def test_without_a_filter_all_that_was_scored_is_exported_and_it_says_so(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": "document 0"}, {"text": ""}, b"{", {"text": "document 1"}])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    found = export(str(tmp_path / "out"), str(run.path))
    assert [row["text"] for row in load(tmp_path / "out")] == ["document 0", "document 1"]
    assert "no filter was run" in found.render()
    assert "No filter was run" in (tmp_path / "out" / "README.md").read_text()
    found = export(str(tmp_path / "left"), str(run.path), rejected=True)
    assert [row["curate_reason"] for row in load(tmp_path / "left")] == ["unscored: empty"]


# Hits and duplicates.


@pytest.mark.parametrize("filtered", [False, True])
def test_neither_what_is_contaminated_nor_copies_are_exported_and_it_is_said(tmp_path, filtered):
    run = numbered_run(tmp_path, [{"perplexity": 10.0 + n} for n in range(8)], slice_bytes=150)
    write_hits(run, [{"row": 1}, {"row": 2, "eval_set": "mbpp"}])
    write_duplicates(run, [{3: "exact", 4: "keeper", 6: "near"}])
    if filtered:
        choose(str(run.path), max_ppl=16.5)
    found = export(str(tmp_path / "out"), str(run.path))
    kept = [0, 4, 5] if filtered else [0, 4, 5, 7]
    assert [row["curate_row"] for row in load(tmp_path / "out")] == kept
    assert found.counts == {"read": 8, "kept": len(kept), "rejected": 8 - len(kept), "unreadable": 0}
    assert ("but for what was rejected by curate decontaminate and curate dedup" in found.render()) is not filtered
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    tabled = {"contaminated: gsm8k": 1, "contaminated: mbpp": 1, "exact duplicate": 1, "near duplicate": 1}
    assert manifest["rejected"] == tabled | ({"perplexity > 16.5": 1} if filtered else {})
    assert manifest["made_from"]["decontaminate"]["parameters"] == {"action": "drop"}
    assert manifest["made_from"]["dedup"]["parameters"]["keep"] == "longest"
    assert (manifest["made_from"]["filter"] is None) is not filtered
    card = (tmp_path / "out" / "README.md").read_text()
    for part in ("rejected, `contaminated: mbpp`: 1", "rejected, `near duplicate`: 1", "`gsm8k` 1", "keep `longest`"):
        assert part in card
    assert ("No filter was run" in card) is not filtered
    assert not list(tmp_path.glob("**/decisions.parquet"))


def test_rejected_documents_carry_the_reasons_of_the_tables(tmp_path):
    run = numbered_run(tmp_path, [*([{}] * 4), {"status": "too_long"}])
    write_hits(run, [{"row": 1}])
    write_duplicates(run, [{0: "keeper", 3: "near"}])
    found = export(str(tmp_path / "out"), str(run.path), rejected=True)
    reasons = {row["curate_row"]: row["curate_reason"] for row in load(tmp_path / "out")}
    assert reasons == {1: "contaminated: gsm8k", 3: "near duplicate", 4: "unscored: too_long"}
    assert "or that was rejected by curate decontaminate and curate dedup" in found.render()


def test_an_export_of_which_the_tables_leave_nothing_is_an_error(tmp_path):
    run = numbered_run(tmp_path, [{}, {}])
    write_hits(run, [{"row": 0}, {"row": 1}])
    with pytest.raises(GateError, match="nothing was kept"):
        export(str(tmp_path / "out"), str(run.path))
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


@pytest.mark.parametrize("kind", FORMATS)
def test_a_marked_document_names_the_sets_that_it_leaks(tmp_path, kind):
    run = numbered_run(tmp_path, [{} for _ in range(40)], slice_bytes=300)
    review = {"verdict": "review", "action": "none"}
    hits = [{"row": 5}, {"row": 5, "eval_set": "arc"}, {"row": 5}, {"row": 39}, {"row": 7, **review}]
    write_hits(run, hits, action="mark", slice_bytes=170)
    found = export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="2kB")
    rows = load(tmp_path / "out")
    assert [row["curate_row"] for row in rows] == list(range(40))
    sets = {row["curate_row"]: row["curate_eval_sets"] for row in rows if row["curate_eval_sets"] is not None}
    assert sets == {5: "arc, gsm8k", 39: "gsm8k"}
    assert "curate_cut_characters" not in rows[0]
    assert found.counts["rejected"] == 0
    assert "`curate_eval_sets`: the eval sets" in (tmp_path / "out" / "README.md").read_text()


def test_without_hits_to_mark_the_column_is_there_when_marks_were_asked_for_and_else_not(tmp_path):
    run = numbered_run(tmp_path, [{}])
    write_hits(run, [], action="mark")
    export(str(tmp_path / "one"), str(run.path))
    assert load(tmp_path / "one")[0]["curate_eval_sets"] is None
    write_hits(run, [], action="drop")
    export(str(tmp_path / "two"), str(run.path))
    assert "curate_eval_sets" not in load(tmp_path / "two")[0]


@pytest.mark.parametrize(
    ("text", "passages", "expected"),
    [
        ("one two three", ["two"], "one   three"),
        ("one two three", ["one"], "  two three"),
        ("one two three", ["three"], "one two  "),
        ("one two three", ["one two three"], "\n"),
        ("one two three four", ["two three", "three four"], "one  "),
        ("one two three four", ["two thr", "ee"], "one   four"),
        ("one two three four", ["two", "three"], "one     four"),
        ("above\nWhat is it?\nbelow", ["What is it"], "above\n\n?\nbelow"),
        ("above\nWhat is it? This.\nbelow", ["What is it"], "above\n ? This.\nbelow"),
        ("above\n\nfirst line\nsecond line\n\nbelow", ["first line\nsecond line"], "above\n\n\n\n\nbelow"),
        ("above first\nsecond below", ["first\nsecond"], "above   below"),
        ("one\n- two, three\nfour", ["two", "three"], "one\n- \n, \n\nfour"),
        ("日本 the 💥 question é end", ["the 💥 question"], "日本   é end"),
        ("é日", ["é"], " 日"),
    ],
)
def test_a_passage_is_cut_out_and_nothing_else(text, passages, expected):
    merged = spans.merge_spans((text.index(part), text.index(part) + len(part)) for part in passages)
    assert spans.cut_spans(text, merged) == expected


QUESTION = "Which lake drains westward, 日本 💥?"
LEAKY = [f"document {n} began. {'Then ' * n}{QUESTION} And it \u00e9nded {n}." for n in range(40)]


def leaky_run(folder, rows, **options):
    """Every fifth document leaks twice, and the two spans overlap."""
    write_lines(folder / "c" / "a.jsonl", rows)
    run = make_run(folder / "run", [folder / "c"], slice_bytes=900, **options)
    found = [(n, LEAKY[n].index(QUESTION), LEAKY[n].index(QUESTION) + len(QUESTION)) for n in range(0, 40, 5)]
    first = [{"row": n, "start": begin, "end": end - 4} for n, begin, end in found]
    second = [{"row": n, "start": begin + 6, "end": end, "eval_set": "arc"} for n, begin, end in found]
    write_hits(run, [*first, *second], action="cut-span", slice_bytes=700)
    return run


@pytest.mark.parametrize("kind", FORMATS)
def test_passages_are_cut_out_of_their_own_documents_after_the_check_of_the_hash(tmp_path, kind):
    run = leaky_run(tmp_path, [{"text": text, "other": text} for text in LEAKY])
    export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="3kB")
    rows = load(tmp_path / "out")
    assert len(rows) == 40
    for number, row in enumerate(rows):
        cut = number % 5 == 0
        assert row["text"] == (LEAKY[number].replace(QUESTION, " ") if cut else LEAKY[number])
        assert row["other"] == LEAKY[number]
        assert row["curate_cut_characters"] == (len(QUESTION) if cut else 0)
        assert row["curate_bytes"] == len(LEAKY[number].encode())
    card = (tmp_path / "out" / "README.md").read_text()
    assert "unchanged but for the passages that were cut out of `text`" in card
    assert "is that of the uncut text" in card


def test_passages_are_cut_out_of_columns_of_bytes_and_of_dictionaries_too(tmp_path):
    for name, column in {
        "bytes": pa.array([text.encode() for text in LEAKY], pa.binary()),
        "dictionary": pa.array(LEAKY).dictionary_encode(),
        "view": pa.array(LEAKY, pa.string_view()),
    }.items():
        folder = tmp_path / name
        (folder / "c").mkdir(parents=True)
        pq.write_table(pa.table({"text": column}), folder / "c" / "a.parquet", row_group_size=8)
        run = make_run(folder / "run", [folder / "c"], slice_bytes=900)
        begin = LEAKY[5].index(QUESTION)
        hit = {"file": "a.parquet", "row": 5, "start": begin, "end": begin + len(QUESTION)}
        write_hits(run, [hit], action="cut-span")
        export(str(folder / "out"), str(run.path))
        texts = [row["text"] for row in load(folder / "out")]
        texts = [text.decode() if isinstance(text, bytes) else text for text in texts]
        assert texts == [text.replace(QUESTION, " ") if n == 5 else text for n, text in enumerate(LEAKY)], name


def test_a_document_that_is_cut_is_still_refused_when_it_changed(tmp_path):
    pad = "x" * 9000
    rows = [{"text": text, "pad": pad} for text in LEAKY]
    run = leaky_run(tmp_path, rows)
    rows[20] = {"text": LEAKY[20].replace("began", "BEGAN"), "pad": pad}
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    with pytest.raises(CorpusError, match=r"a\.jsonl, row 20"):
        export(str(tmp_path / "out"), str(run.path))


def test_a_passage_beyond_its_text_is_refused_with_the_place(tmp_path):
    run = numbered_run(tmp_path, [{}, {}])
    write_hits(run, [{"row": 1, "start": 5, "end": 500}], action="cut-span")
    with pytest.raises(TableError, match=r"a\.jsonl, row 1") as caught:
        export(str(tmp_path / "out"), str(run.path))
    assert "curate decontaminate" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_hit_where_no_document_is_stops_an_export_that_was_filtered(tmp_path):
    run = numbered_run(tmp_path, [{} for _ in range(30)], slice_bytes=300)
    write_hits(run, [{"row": 1}], action="mark")
    choose(str(run.path), max_ppl=50)
    part = tables.parts(run.hits)[-1]
    rows = [{**row, "row": 300} for row in pq.read_table(tables.parts(run.hits)[0]).to_pylist()]
    tables.write_part(part, pa.Table.from_pylist(rows, schema=tables.HITS), tables.read_metadata(part))
    with pytest.raises(TableError, match=r"a hit at a\.jsonl, row 300"):
        export(str(tmp_path / "out"), str(run.path))


def test_a_hit_on_a_blank_line_among_documents_is_refused_too(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": "document 0"}, b"", {"text": "document 2"}])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    write_hits(run, [{"row": 0}], action="mark")
    choose(str(run.path), max_ppl=500)
    (part,) = tables.parts(run.hits)
    rows = [{**row, "row": 1} for row in pq.read_table(part).to_pylist()]
    tables.write_part(part, pa.Table.from_pylist(rows, schema=tables.HITS), tables.read_metadata(part))
    with pytest.raises(TableError, match=r"a hit at a\.jsonl, row 1, where no document is"):
        export(str(tmp_path / "out"), str(run.path))


def test_only_what_is_to_be_cut_is_cut(tmp_path):
    """A document may be marked beside others that are cut, and one of which too little would be left is dropped."""
    run = numbered_run(tmp_path, [{}, {}, {}, {}])
    write_hits(run, [{"row": 0}, {"row": 1, "action": "mark"}, {"row": 2, "action": "drop"}], action="cut-span")
    export(str(tmp_path / "out"), str(run.path))
    expected = [("  0 word", 8, "gsm8k"), ("document 1 word", 0, "gsm8k"), ("document 3 word", 0, None)]
    added = ("text", "curate_cut_characters", "curate_eval_sets")
    assert [tuple(row[name] for name in added) for row in load(tmp_path / "out")] == expected
    export(str(tmp_path / "left"), str(run.path), rejected=True)
    assert [tuple(row[name] for name in added) for row in load(tmp_path / "left")] == [("document 2 word", 0, "gsm8k")]


def test_a_nested_text_cannot_be_cut_but_one_whose_name_has_a_dot_can(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"inner": {"body": "document 0 word"}}])
    run = make_run(tmp_path / "run", [tmp_path / "c"], text_field="inner.body")
    write_hits(run, [{"row": 0}], action="cut-span")
    with pytest.raises(UsageError, match=r"nested column inner\.body") as caught:
        export(str(tmp_path / "out"), str(run.path))
    assert "--action drop, or --action mark" in caught.value.hint
    write_hits(run, [{"row": 0}], action="mark")
    export(str(tmp_path / "out"), str(run.path))
    write_lines(tmp_path / "d" / "a.jsonl", [{"inner.body": "document 0 word"}])
    run = make_run(tmp_path / "run-2", [tmp_path / "d"], text_field="inner.body")
    write_hits(run, [{"row": 0}], action="cut-span")
    export(str(tmp_path / "out-2"), str(run.path))
    assert load(tmp_path / "out-2")[0]["inner.body"] == "  0 word"


def test_a_conversation_cannot_be_cut(tmp_path):
    turns = [{"role": "user", "content": "document 0"}, {"role": "assistant", "content": "word"}]
    write_lines(tmp_path / "c" / "a.jsonl", [{"messages": turns}])
    run = make_run(tmp_path / "run", [tmp_path / "c"], text_field="@messages")
    write_hits(run, [{"row": 0, "turn": 0, "role": "user"}], action="cut-span")
    with pytest.raises(UsageError, match="a conversation"):
        export(str(tmp_path / "out"), str(run.path))


def test_a_taken_name_takes_the_columns_of_leaks_with_it(tmp_path):
    run = leaky_run(tmp_path, [{"text": text, "curate_cut_characters": "mine"} for text in LEAKY])
    found = export(str(tmp_path / "out"), str(run.path))
    assert found.prefix == "curate2_"
    row = load(tmp_path / "out")[0]
    assert (row["curate_cut_characters"], row["curate2_cut_characters"]) == ("mine", len(QUESTION))


def test_the_same_tables_give_the_same_export(tmp_path):
    run = leaky_run(tmp_path, [{"text": text} for text in LEAKY])
    write_duplicates(run, [{1: "near", 2: "keeper"}])
    taken = []
    for name in ("one", "two"):
        export(str(tmp_path / name), str(run.path), shard_size="2kB")
        taken.append(files_of(tmp_path / name))
    assert taken[0] == taken[1]


# Shards.


@pytest.mark.parametrize("kind", FORMATS)
def test_shards_stay_within_their_size_and_hold_every_row_once(tmp_path, kind):
    table = pa.table({"text": [os.urandom(300).hex() for _ in range(400)], "n": range(400)})
    writer = Writer(tmp_path, kind, 40_000)
    for start in range(0, 400, 37):
        writer.add(table.slice(start, 37))
    files = writer.finish()
    assert len(files) > 4
    assert sum(file.rows for file in files) == 400
    for file in files:
        assert file.bytes == (tmp_path / file.path).stat().st_size
        assert file.bytes <= 42_000  # a little more than asked for, for the footer of a Parquet file
        assert f"of-{len(files):05d}" in file.path
    assert min(file.bytes for file in files[:-1]) > 20_000


@pytest.mark.parametrize("kind", FORMATS)
def test_a_schema_that_widens_within_a_shard_ends_in_one_schema(tmp_path, kind):
    writer = Writer(tmp_path, kind, 100_000)
    pieces = [
        [{"text": "a" * 20_000, "x": None}],
        [{"text": "b" * 20_000, "x": 1, "y": [1]}],
        [{"text": "c" * 20_000, "x": 0.5, "y": [2**60], "z": {"p": 1}}],
        [{"text": "d" * 20_000, "z": {"q": "r"}}],
    ]
    for rows in pieces:
        writer.add(pa.Table.from_pylist(rows))
    files = writer.finish()
    found = []
    for file in files:
        path = tmp_path / file.path
        if kind == "jsonl":
            found += [json.loads(line) for line in path.read_text().splitlines()]
            continue
        for table in shards.read_shard(path, kind):
            assert table.schema.equals(writer.shape.schema())
            found += table.to_pylist()
    assert [(row["text"][0], row.get("x")) for row in found] == [("a", None), ("b", 1), ("c", 0.5), ("d", None)]
    assert found[2]["y"] == [2**60]
    assert found[3]["z"]["q"] == "r"


def test_a_document_larger_than_a_shard_gets_one_of_its_own(tmp_path):
    writer = Writer(tmp_path, "jsonl", 1000)
    writer.add(pa.table({"text": ["a", "b" * 5000, "c"]}))
    files = writer.finish()
    assert [file.rows for file in files] == [1, 1, 1]


def test_sizes_are_read_as_people_write_them():
    for text, octets in {"500MB": 5 * 10**8, "2GiB": 2**31, "1.5 kb": 1500, "700": 700, "10B": 10}.items():
        assert parse_size(text) == octets
    for text in ("", "many", "-5MB", "0", "nan", "inf", "5XB", "MB", "1e30"):
        with pytest.raises(UsageError):
            parse_size(text)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_run_gives_the_same_bytes(tmp_path, kind):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": f"document {n}", "x": None if n < 50 else n} for n in range(90)])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=700)
    choose(str(run.path), keep="middle")
    taken = []
    for name in ("one", "two"):
        export(str(tmp_path / name), str(run.path), format=kind, shard_size="2kB")
        taken.append(files_of(tmp_path / name))
    assert taken[0] == taken[1]


def test_the_manifest_describes_every_shard(tmp_path):
    import hashlib

    run = numbered_run(tmp_path, [{"perplexity": float(n)} for n in range(1, 60)])
    choose(str(run.path), max_ppl=40)
    export(str(tmp_path / "out"), str(run.path), shard_size="2kB")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    found = {name for name in files_of(tmp_path / "out") if name.endswith(".arrow")}
    assert {file["path"] for file in manifest["files"]} == found
    assert len(found) > 1
    for file in manifest["files"]:
        content = (tmp_path / "out" / file["path"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert sum(file["rows"] for file in manifest["files"]) == manifest["rows"] == 40
    assert manifest["counts"] == {"read": 59, "kept": 40, "rejected": 19, "unreadable": 0}
    assert manifest["made_from"]["filter"]["parameters"] == {"max_ppl": 40}


# What is refused.


def test_a_document_that_changed_after_scoring_is_refused_with_its_place(tmp_path, monkeypatch):
    """Even where the fingerprint does not see it: here the change lies between the ends of a large file."""
    rows = [{"text": f"document {n} " + "x" * 2000} for n in range(100)]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    rows[50]["text"] = rows[50]["text"].replace("document 50", "Document 50")
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    with pytest.raises(CorpusError, match=r"a\.jsonl, row 50"):
        export(str(tmp_path / "out"), str(run.path))
    assert not (tmp_path / "out").exists()


def test_a_document_that_was_inserted_after_scoring_is_refused(tmp_path):
    """Its neighbours shrink by what it takes, so that size, start and end of the file are the old ones."""
    rows = [{"text": f"document {n} " + "x" * 2000} for n in range(100)]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    octets = (tmp_path / "c" / "a.jsonl").stat().st_size
    rows[50]["text"] = rows[50]["text"][: -len('{"text": "new"}\n')]
    write_lines(tmp_path / "c" / "a.jsonl", [*rows[:50], {"text": "new"}, *rows[50:]])
    assert (tmp_path / "c" / "a.jsonl").stat().st_size == octets
    with pytest.raises(CorpusError, match="has changed"):
        export(str(tmp_path / "out"), str(run.path))


def test_a_part_that_covers_another_slice_is_refused(tmp_path):
    run = numbered_run(tmp_path, [{}, {}])
    (part,) = tables.parts(run.scores)
    note = tables.read_metadata(part)
    note["slice"]["next_row"] += 1
    tables.write_part(part, pq.read_table(part), note)
    with pytest.raises(CorpusError, match="lie elsewhere"):
        export(str(tmp_path / "out"), str(run.path))


def test_a_part_of_another_run_is_refused(tmp_path):
    run = numbered_run(tmp_path, [{}, {}])
    (part,) = tables.parts(run.scores)
    tables.write_part(part, pq.read_table(part), {**tables.read_metadata(part), "made_from": "elsewhere"})
    with pytest.raises(TableError, match="belongs to other scores"):
        export(str(tmp_path / "out"), str(run.path))


def test_a_file_of_another_size_is_refused_before_the_work(tmp_path):
    run = numbered_run(tmp_path, [{}, {}])
    write_lines(tmp_path / "corpus" / "a.jsonl", [{"id": "d0", "text": "document 0"}])
    with pytest.raises(TableError, match="has changed"):
        export(str(tmp_path / "out"), str(run.path))


def test_nothing_kept_is_an_error_and_no_empty_folder(tmp_path):
    run = numbered_run(tmp_path, [{"status": "too_long"}, {"status": "too_long"}])
    with pytest.raises(GateError, match="nothing was kept"):
        export(str(tmp_path / "out"), str(run.path))
    run = numbered_run(tmp_path / "all", [{"perplexity": 10.0}])
    choose(str(run.path), max_ppl=50)
    with pytest.raises(GateError, match="nothing was rejected"):
        export(str(tmp_path / "out"), str(run.path), rejected=True)
    assert not (tmp_path / "out").exists()


def test_a_stale_filter_is_refused(tmp_path):
    run = numbered_run(tmp_path, [{}, {}])
    choose(str(run.path), max_ppl=50)
    run.record = json.loads((run.path / "run.json").read_text())
    run.save("score", {**run.stage("score"), "fingerprint": "other"})
    with pytest.raises(TableError, match="stale"):
        export(str(tmp_path / "out"), str(run.path))


def test_a_folder_that_is_not_an_export_is_never_replaced(tmp_path):
    run = numbered_run(tmp_path, [{}])
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(UsageError):
            export(str(out), str(run.path), overwrite=overwrite)
        with pytest.raises(UsageError):
            export(str(tmp_path / "file"), str(run.path), overwrite=overwrite)
    assert (out / "thesis.txt").read_text() == "mine"


def test_an_earlier_export_is_replaced_only_when_asked(tmp_path):
    run = numbered_run(tmp_path, [{"perplexity": 10.0}, {"perplexity": 60.0}])
    out = tmp_path / "out"
    export(str(out), str(run.path), format="parquet")
    choose(str(run.path), max_ppl=50)
    with pytest.raises(UsageError, match="earlier export"):
        export(str(out), str(run.path))
    export(str(out), str(run.path), overwrite=True)
    assert not (out / "data").exists()
    assert len(load(out)) == 1
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), StorageError),
        (KeyboardInterrupt(), Interrupted),
        (ZeroDivisionError(), ZeroDivisionError),
    ],
)
@pytest.mark.parametrize("kind", FORMATS)
def test_an_export_that_breaks_off_leaves_nothing_and_keeps_the_old_one(tmp_path, monkeypatch, kind, failure, error):
    run = numbered_run(tmp_path, [{} for _ in range(60)], slice_bytes=800)
    out = tmp_path / "out"
    export(str(out), str(run.path))
    before = files_of(out)
    writer = {"hf": shards.ArrowShard, "parquet": shards.ParquetShard, "jsonl": shards.LinesShard}[kind]
    whole, calls = writer.write, []

    def fail_at_third(self, table):
        calls.append(1)
        if len(calls) == 3:
            raise failure
        whole(self, table)

    monkeypatch.setattr(writer, "write", fail_at_third)
    for place in (out, tmp_path / "new"):
        calls.clear()
        with pytest.raises(error):
            export(str(place), str(run.path), format=kind, shard_size="2kB", overwrite=True)
    assert len(calls) == 3
    assert files_of(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "out", "run"]


def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path):
    run = numbered_run(tmp_path, [{}])
    (tmp_path / ".out.4711.tmp" / "train").mkdir(parents=True)
    (tmp_path / ".out.keep").mkdir()
    export(str(tmp_path / "out"), str(run.path))
    assert not (tmp_path / ".out.4711.tmp").exists()
    assert (tmp_path / ".out.keep").exists()


def test_options_that_mean_nothing_are_refused(tmp_path):
    run = numbered_run(tmp_path, [{}])
    for options in ({"format": "csv"}, {"shard_size": "huge"}, {"private": True}, {"push_to_hub": "a/b/c d"}):
        with pytest.raises(UsageError) as caught:
            export(str(tmp_path / "out"), str(run.path), **options)
        assert caught.value.hint


# The card.


def test_the_card_says_what_was_read_which_model_and_what_was_dropped(tmp_path):
    run = numbered_run(tmp_path, [{"perplexity": float(n)} for n in range(1, 11)])
    choose(str(run.path), max_ppl=7, where="tokens > 0")
    export(str(tmp_path / "out"), str(run.path))
    card = (tmp_path / "out" / "README.md").read_text()
    for part in (
        "a.jsonl",
        "made-up",
        "max-ppl: `7`",
        "where: `tokens > 0`",
        "`perplexity > 7`: 3",
        "read: 10",
        "kept: 7",
    ):
        assert part in card
    assert str(tmp_path) not in card


def test_the_card_names_a_local_model_without_the_path_to_it(tmp_path):
    run = numbered_run(tmp_path, [{}])
    score = run.stage("score")
    score["made_from"]["model"]["model"] = str(tmp_path / "secret" / "my-model")
    run.save("score", score)
    export(str(tmp_path / "out"), str(run.path))
    card = (tmp_path / "out" / "README.md").read_text()
    assert "model: `my-model`" in card
    assert "secret" not in card


def test_hostile_names_stay_inside_the_card(tmp_path):
    name = "a`b|c\n# heading <script>---.jsonl"
    column = "col`umn\n---\n# x: *y*"
    write_lines(tmp_path / "c" / name, [{"text": "document 0", column: 1, "\U0001f600": 2, "\x85": 3}])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    choose(str(run.path), where="id is null or id = '\n---\n`# x`'")
    for kind in FORMATS:
        export(str(tmp_path / kind), str(run.path), format=kind)
        card = (tmp_path / kind / "README.md").read_text()
        _, body = card.removeprefix("---\n").split("\n---\n", 1)
        assert "\n---\n" not in body
        assert not any(line.startswith(("# heading", "# x", "`# x")) for line in body.splitlines())
        (row,) = load(tmp_path / kind)
        assert (row[column], row["\U0001f600"], row["\x85"], row["curate_file"]) == (1, 2, 3, name)


@given(st.text())
def test_inline_code_is_one_line_whose_fence_is_longer_than_any_inside(text):
    shown = code(text)
    fence = len(shown) - len(shown.lstrip("`"))
    assert "\n" not in shown
    assert shown.endswith("`" * fence)
    assert "`" * fence not in shown[fence:-fence] or not shown[fence:-fence].strip("`")


# The Hub.


class StandIn:
    """An ``HfApi`` that keeps what it is told, or raises."""

    calls: list = []  # noqa: RUF012
    failures: dict = {}  # noqa: RUF012

    def __getattr__(self, name):
        def call(*args, **options):
            StandIn.calls.append((name, args, options))
            if name in StandIn.failures:
                raise StandIn.failures[name]

        return call


@pytest.fixture
def hub(monkeypatch):
    StandIn.calls, StandIn.failures = [], {}
    monkeypatch.setattr(huggingface_hub, "HfApi", StandIn)
    return StandIn


def refusal(status):
    response = httpx2.Response(status, request=httpx2.Request("POST", "https://hub.example/api"))
    return huggingface_hub.errors.HfHubHTTPError(f"{status} Client Error\nmore", response=response)


def test_a_push_creates_the_dataset_and_uploads_the_whole_folder(tmp_path, hub):
    run = numbered_run(tmp_path, [{}])
    found = export(str(tmp_path / "out"), str(run.path), push_to_hub="me/clean", private=True)
    assert [name for name, _, _ in hub.calls] == ["whoami", "create_repo", "upload_folder"]
    created, uploaded = hub.calls[1], hub.calls[2]
    assert created[1] == ("me/clean",)
    assert created[2] == {"repo_type": "dataset", "private": True, "exist_ok": True}
    assert (uploaded[2]["repo_id"], uploaded[2]["repo_type"]) == ("me/clean", "dataset")
    assert uploaded[2]["folder_path"] == tmp_path / "out"
    assert "train/data-*-of-*.arrow" in uploaded[2]["delete_patterns"]
    assert "huggingface.co/datasets/me/clean" in found.render()


def test_a_missing_token_is_found_before_the_work(tmp_path, hub):
    hub.failures = {"whoami": huggingface_hub.errors.LocalTokenNotFoundError("long\ntext")}
    run = numbered_run(tmp_path, [{}])
    with pytest.raises(StorageError, match="no token") as caught:
        export(str(tmp_path / "out"), str(run.path), push_to_hub="me/clean")
    assert "hf auth login" in caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("failure", [refusal(403), refusal(500), httpx2.ConnectError("down"), RuntimeError("uploader")])
def test_a_push_that_fails_is_one_line_and_leaves_a_whole_export(tmp_path, hub, failure):
    hub.failures = {"upload_folder": failure}
    run = numbered_run(tmp_path, [{}])
    with pytest.raises(StorageError) as caught:
        export(str(tmp_path / "out"), str(run.path), push_to_hub="me/clean")
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert len(load(tmp_path / "out")) == 1


# Values that JSON has no word for.


def test_json_lines_spell_what_json_lacks(tmp_path):
    writer = Writer(tmp_path, "jsonl", 10_000)
    at = datetime.datetime(2020, 1, 2, 3, 4, 5)
    writer.add(
        pa.table({"text": ["x"], "raw": [b"\xff\x00"], "nan": [math.nan], "at": [at], "d": [datetime.time(1, 2)]})
    )
    (file,) = writer.finish()
    row = json.loads((tmp_path / file.path).read_text())
    assert base64.b64decode(row["raw"]) == b"\xff\x00"
    assert (row["nan"], row["at"], row["d"]) == (None, "2020-01-02T03:04:05", "01:02:00")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=8), min_size=1, max_size=6))
def test_any_text_survives_every_format(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("shards")
    for kind in FORMATS:
        writer = Writer(folder / kind, kind, 200)
        for text in texts:
            writer.add(pa.table({"text": pa.array([text], pa.large_string())}))
        found = []
        for file in writer.finish():
            path = folder / kind / file.path
            if kind == "jsonl":
                found += [json.loads(line)["text"] for line in path.read_bytes().splitlines()]
            else:
                found += [text for table in shards.read_shard(path, kind) for text in table.column("text").to_pylist()]
        assert found == texts
