"""``run.json``: records by stage, the same bytes for the same work; what is missing, foreign or changed is an error."""

import json

import pytest
from helpers.runs import make_run, write_lines

import curate
from curate.errors import CorpusError, TableError, UsageError
from curate.rundir.run import (
    Run,
    choose_run_corpus,
    compute_fingerprint,
    find_file_parts,
    hint_changed_corpus,
    list_differences,
    name_part,
    open_run,
    spell_score_command,
)


@pytest.fixture
def corpus(tmp_path):
    write_lines(tmp_path / "corpus" / "a.jsonl", ({"text": f"document {number}"} for number in range(3)))
    return tmp_path / "corpus"


def test_a_fingerprint_does_not_depend_on_the_order_of_keys_but_on_everything_else():
    known = "3fcb87835b502fea26eff4a99cfb2a51"  # runs on disk have such fingerprints
    assert compute_fingerprint({"a": [1, None, "é"], "b": 0.5}) == known
    assert compute_fingerprint({"a": 1, "b": [1, 2]}) == compute_fingerprint({"b": [1, 2], "a": 1})
    values = [None, 0, 0.0, "", "0", [], {}, [1, 2], [2, 1], {"a": 1}, {"a": "1"}, "\ud800"]
    assert len({compute_fingerprint(value) for value in values}) == len(values)


def test_the_same_records_give_the_same_bytes_whatever_the_order_in_which_they_were_saved(tmp_path):
    texts = []
    for name, stages in (("one", ("score", "filter")), ("two", ("filter", "score"))):
        run = open_run(tmp_path / name, create=True)
        for stage in stages:
            run.save(stage, {"fingerprint": stage, "counts": {"read": 1}})
        texts.append((tmp_path / name / "run.json").read_bytes())
    assert texts[0] == texts[1]


def test_a_record_is_replaced_and_removed_and_read_back(tmp_path):
    run = open_run(tmp_path / "run", create=True)
    run.save("filter", {"a": 1, "b": 2})
    run.save("filter", {"a": 3})
    assert open_run(run.path).stage("filter") == {"a": 3} and run.stage("score") is None
    run.stage("filter")["a"] = 4
    assert run.stage("filter") == {"a": 3}
    run.save("filter", None)
    assert open_run(run.path).stage("filter") is None


def test_a_run_that_is_not_there_is_an_error_and_made_only_when_something_is_saved(tmp_path):
    with pytest.raises(TableError, match="there is no run") as error:
        open_run(tmp_path / "a run")
    assert error.value.hint == f"curate score CORPUS --run '{tmp_path}/a run'"
    run = open_run(tmp_path / "a run", create=True)
    assert not run.path.exists()
    run.save("corpus", {})
    assert open_run(run.path).stage("corpus") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("\udcff", "cannot be read"),
        ("[]", "another version"),
        ('{"format": 0}', "another version"),
        ("{}", "another version"),
    ],
)
def test_a_foreign_run_json_is_an_error_that_names_it(tmp_path, text, message):
    (tmp_path / "run.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(TableError, match=rf"run\.json .*{message}"):
        open_run(tmp_path)


def test_a_file_is_no_run_directory(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file, not a run directory"):
        open_run(tmp_path / "file", create=True)


def test_scores_must_be_there_and_complete(tmp_path, corpus):
    with pytest.raises(TableError, match="has no scores"):
        Run(tmp_path).finished_scores()
    run = make_run(tmp_path / "run", [corpus], complete=False)
    with pytest.raises(TableError, match="not complete"):
        run.finished_scores()


def test_the_corpus_of_a_run_is_opened_again_unless_it_has_changed(tmp_path, corpus):
    run = make_run(tmp_path / "run", [corpus])
    assert run.corpus().fingerprint() == run.stage("score")["made_from"]["corpus"]
    write_lines(corpus / "a.jsonl", [{"text": "another document"}])
    with pytest.raises(TableError, match="has changed"):
        run.corpus()


def test_a_corpus_that_is_named_first_is_that_of_the_verbs_that_follow(tmp_path, corpus):
    run = open_run(tmp_path / "run", create=True)
    with pytest.raises(TableError, match="has no corpus") as error:
        choose_run_corpus(run, None, "dedup")
    assert f"curate dedup … --corpus CORPUS --run {run.path} names it" in error.value.hint
    first = choose_run_corpus(run, [str(corpus)], "dedup", text_field=None)
    assert choose_run_corpus(open_run(run.path), None, "decontaminate").identity() == first.identity()
    again = choose_run_corpus(open_run(run.path), [str(corpus)], "dedup", text_field="text")
    assert again.identity() == first.identity()
    with pytest.raises(UsageError, match=r'--text-field body: in the corpus of .* it is "text"'):
        choose_run_corpus(run, None, "dedup", text_field="body")
    write_lines(tmp_path / "other" / "b.jsonl", [{"text": "other"}])
    with pytest.raises(UsageError, match="--corpus names another"):
        choose_run_corpus(run, [str(tmp_path / "other")], "dedup")
    write_lines(corpus / "a.jsonl", [{"text": "changed"}])
    with pytest.raises(TableError, match="has changed since this run began"):
        choose_run_corpus(run, None, "dedup")


def test_a_command_that_scores_again_has_the_model_and_the_options_of_the_scores(tmp_path, corpus):
    run = make_run(tmp_path / "a run", [corpus])
    record = run.stage("score")
    ending = f" --run '{run.path}'"
    assert spell_score_command(run, record) == f"curate score CORPUS --model made-up{ending}"
    options = {"window": 32, "exact": True, "text_field": "my text", "device": None}
    record["request"] = {"model": {"name": "org/m", "revision": "v 1"}, "options": options}
    words = "--model org/m --revision 'v 1' --window 32 --exact --text-field 'my text'"
    assert spell_score_command(run, record, ["a b", "c"]) == f"curate score 'a b' c {words}{ending}"
    record["request"]["model"] = {"name": "builtin"}
    assert spell_score_command(run, {**record, "request": {**record["request"], "options": {}}}) == (
        f"curate score CORPUS{ending}"
    )
    assert spell_score_command(run, record, ["x"]) in hint_changed_corpus(run, {**record, "corpus": {"paths": ["x"]}})


def test_a_corpus_that_is_not_where_it_was_is_named_with_the_command_that_takes_it_up(tmp_path, corpus):
    run = make_run(tmp_path / "run", [corpus])
    corpus.rename(tmp_path / "moved")
    with pytest.raises(CorpusError, match=r"the corpus of .*run is not where it was: .*corpus does not exist") as error:
        run.corpus()
    assert error.value.hint.startswith("curate score CORPUS --model made-up")


def test_differences_are_named_with_both_values_inside_nested_records_too():
    old = {"a": 1, "same": [1], "deep": {"x": 1, "y": 2}, "gone": "g", "kind": {"x": 1}}
    new = {"a": 2, "same": [1], "deep": {"x": 1, "y": None}, "new": "n" * 70, "kind": 5}
    assert list_differences(old, old) == []
    assert list_differences(old, new) == [
        "a: 1, now 2",
        "deep.y: 2, now none",
        "gone: g, now none",
        "kind: {'x': 1}, now 5",
        f"new: none, now {'n' * 57}…",
    ]


def test_run_json_has_the_format_a_checksum_and_no_more_than_the_records(tmp_path):
    run = open_run(tmp_path, create=True)
    run.save("score", {"complete": True})
    written = json.loads((tmp_path / "run.json").read_text())
    assert len(written.pop("checksum")) == 32 and written == {"format": 1, "score": {"complete": True}}
    assert open_run(tmp_path).record == written


def test_the_slices_of_a_file_are_found_whether_it_shares_a_part_or_not(tmp_path, monkeypatch):
    for name, lines in (("a", 2), ("b", 0), ("c", 1), ("d", 90), ("e", 1), ("f", 1)):
        write_lines(tmp_path / "corpus" / f"{name}.jsonl", [{"text": f"{name} {row} " * 9} for row in range(lines)])
    curate.score(str(tmp_path / "corpus"), run=str(tmp_path / "run"), model="none", slice_bytes=2000)
    run = open_run(str(tmp_path / "run"))
    marks = {}
    for number, source in enumerate(run.corpus().sources):
        parts = find_file_parts(run, source.name, number)
        marks[source.name] = [(part.path.name, part.mark.number, part.first, part.mark.documents) for part in parts]
    assert marks["a.jsonl"] == [("00000-000000.parquet", 0, 0, 2)]
    assert marks["b.jsonl"] == [("00000-000000.parquet", 0, 2, 0)]
    assert marks["c.jsonl"] == [("00000-000000.parquet", 0, 2, 1)]
    assert [part for part, *_ in marks["d.jsonl"]] == [name_part(3, number) for number in range(len(marks["d.jsonl"]))]
    assert len(marks["d.jsonl"]) > 2 and sum(documents for *_, documents in marks["d.jsonl"]) == 90
    assert marks["f.jsonl"] == [("00004-000000.parquet", 0, 1, 1)]
    assert find_file_parts(run, "g.jsonl", 6) == []
