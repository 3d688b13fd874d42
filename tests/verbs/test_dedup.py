"""``curate dedup``: what is a copy, who stays, what means nothing, and what is shown."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.near_copies import (
    COUNTED,
    edited,
    far,
    groups_of,
    is_conserved,
    kept_of,
    rows_of,
    run_on,
    shared,
    spelled,
    words_of,
)
from helpers.runs import make_run, write_lines

from curate.errors import RowError, StorageError, TableError, UsageError
from curate.rundir import schemas
from curate.rundir.run import open_run
from curate.verbs.dedup import dedup

# What is a copy.


def test_the_same_words_are_exact_copies_whatever_the_case_space_and_punctuation(tmp_path):
    text = spelled(words_of(1))
    found = run_on(
        tmp_path, [text, spelled(words_of(2)), text.upper().replace(" ", ",\n"), f"«{text}»!"], keeper="first"
    )
    assert (found.exact, found.near, found.unique, found.keepers) == (2, 0, 1, 1)
    assert [(row["row"], row["kind"], row["keeper_row"]) for row in rows_of(tmp_path)] == [
        (0, "keeper", 0),
        (2, "exact", 0),
        (3, "exact", 0),
    ]
    assert all(row["jaccard"] == row["link"] == 1 for row in rows_of(tmp_path))


@pytest.mark.parametrize("count", [1, 2])
def test_a_near_copy_carries_its_exact_similarity(tmp_path, count):
    these = words_of(3)
    found = run_on(tmp_path, [spelled(these), spelled(edited(these, *far(count)))], keeper="first")
    assert (found.exact, found.near, found.compared, found.agreed) == (0, 1, 1, 1)
    keeper, copy = rows_of(tmp_path)
    assert (copy["kind"], copy["keeper_file"], copy["keeper_row"]) == ("near", "a.jsonl", 0)
    assert copy["jaccard"] == copy["link"] == keeper["link"] == shared(count)
    assert keeper["jaccard"] == 1 and keeper["keeper_source"] is None


def test_a_pair_at_the_threshold_is_one_and_a_pair_below_is_none(tmp_path):
    these = words_of(4)
    documents = [spelled(these), spelled(edited(these, *far(3)))]
    (tmp_path / "at").mkdir()
    (tmp_path / "above").mkdir()
    assert run_on(tmp_path / "at", documents, threshold=shared(3)).near == 1
    assert run_on(tmp_path / "above", documents, threshold=float(np.nextafter(shared(3), 1))).near == 0
    assert rows_of(tmp_path / "above") == []


def test_the_same_shingles_in_another_order_are_a_near_copy_of_similarity_one(tmp_path):
    these = words_of(5, 40)
    found = run_on(tmp_path, [spelled(these * 3), spelled(these * 4)])
    assert (found.exact, found.near) == (0, 1)
    assert [row["jaccard"] for row in rows_of(tmp_path)] == [1, 1]


def test_a_text_of_fewer_words_than_a_shingle_is_compared_as_a_whole(tmp_path):
    short = ["alpha beta", "Alpha, BETA!", "alpha beta gamma", "beta alpha", "alpha", "alpha beta gamma delta epsilon"]
    found = run_on(tmp_path, short)
    assert groups_of(tmp_path) == [[0, 1]]
    assert (found.exact, found.unique) == (1, 4)


def test_texts_without_a_word_are_kept_and_are_copies_of_nothing(tmp_path):
    found = run_on(tmp_path, ["!!!", "…", "!!!", "word", "", "  "])
    assert rows_of(tmp_path) == []
    assert (found.unique, found.wordless, found.empty, found.kept) == (4, 3, 2, 4)
    assert is_conserved(found)
    assert "3 documents of punctuation alone" in found.render()


def test_a_corpus_without_a_single_word_has_an_empty_table(tmp_path):
    found = run_on(tmp_path, ["…", "?"])
    assert (found.read, found.kept, found.clusters) == (2, 2, 0)
    assert pq.read_schema(tmp_path / "run" / "duplicates.parquet").names == schemas.DUPLICATES.names


def test_scripts_without_spaces_are_shingled_by_characters_and_counted(tmp_path):
    chinese = "".join(map(chr, range(0x4E00, 0x4E00 + 104)))
    changed = chinese[:50] + "龥" + chinese[51:]
    found = run_on(
        tmp_path, [chinese, changed, "只有 one 汉字 two 词 three", "mostly ascii 汉 words here", "мир и труд"]
    )
    assert groups_of(tmp_path) == [[0, 1]]
    assert rows_of(tmp_path)[1]["jaccard"] == shared(1)
    assert found.by_character == 3
    assert "3 documents are in a script without spaces" in found.render()


def test_exact_only_finds_the_same_words_alone(tmp_path):
    these = words_of(6)
    found = run_on(tmp_path, [spelled(these), spelled(these).title(), spelled(edited(these, 50))], exact_only=True)
    assert groups_of(tmp_path) == [[0, 1]]
    assert (found.exact, found.near, found.chances) == (1, 0, {})
    assert "near" not in found.render()
    assert open_run(tmp_path / "run").stage("dedup")["parameters"]["bands"] is None


@pytest.mark.parametrize("size", [1, 2, 8])
def test_the_shingle_has_as_many_words_as_is_asked(tmp_path, size):
    these = words_of(7, 60)
    run_on(tmp_path, [spelled(these), spelled(edited(these, 30))], shingle=size, threshold=0.5, keeper="first")
    count = len({tuple(these[at : at + size]) for at in range(60 - size + 1)})
    assert rows_of(tmp_path)[1]["jaccard"] == (count - size) / (count + size)


def test_copies_lie_in_several_files_and_the_table_follows_the_corpus(tmp_path):
    for name, seeds in (("b.jsonl", (1, 2, 3)), ("a.jsonl", (3, 1)), ("c.jsonl", (9, 2))):
        write_lines(tmp_path / "corpus" / name, [{"id": "the same", "text": spelled(words_of(seed))} for seed in seeds])
    found = dedup(run=str(tmp_path / "run"), corpus=[str(tmp_path / "corpus")], keeper="first")
    rows = [
        (row["file"], row["row"], row["cluster"], row["keeper_file"], row["keeper_row"]) for row in rows_of(tmp_path)
    ]
    assert rows == [
        ("a.jsonl", 0, 0, "a.jsonl", 0),
        ("a.jsonl", 1, 1, "a.jsonl", 1),
        ("b.jsonl", 0, 1, "a.jsonl", 1),
        ("b.jsonl", 1, 2, "b.jsonl", 1),
        ("b.jsonl", 2, 0, "a.jsonl", 0),
        ("c.jsonl", 1, 2, "b.jsonl", 1),
    ]
    assert {row["id"] for row in rows_of(tmp_path)} == {"the same"}
    assert (found.exact, found.unique, found.keepers) == (3, 1, 3)


# Who stays.


def of_sizes(*extra):
    """Exact copies of different length in bytes: punctuation makes no word."""
    return [spelled(words_of(15)) + "!" * count for count in extra]


def test_the_longest_stays_and_of_two_as_long_the_earlier(tmp_path):
    run_on(tmp_path, of_sizes(1, 5, 5, 0), exact_only=True)
    assert kept_of(tmp_path) == [1]


def test_length_is_bytes_and_not_characters(tmp_path):
    run_on(tmp_path, [*of_sizes(4), of_sizes(0)[0] + "…»»"], exact_only=True)
    assert kept_of(tmp_path) == [1]


def test_the_first_stays(tmp_path):
    run_on(tmp_path, of_sizes(1, 5, 5, 0), keeper="first", exact_only=True)
    assert kept_of(tmp_path) == [0]


def scored(folder, perplexities, **options):
    """A scored run over copies of one text, with these perplexities."""
    texts = of_sizes(*range(len(perplexities)))
    write_lines(folder / "corpus" / "a.jsonl", [{"text": text} for text in texts])
    known = dict(zip(texts, perplexities, strict=True))
    return make_run(folder / "run", [folder / "corpus"], lambda text: {"perplexity": known[text], **options})


@pytest.mark.parametrize(
    ("perplexities", "stays"),
    [
        ([9.0, 4.0, 7.0], 1),
        ([9.0, 4.0, 4.0], 1),
        ([None, 8.0, None], 1),
        ([None, None], 0),
        ([float("nan"), 50.0], 1),
    ],
)
def test_the_lowest_perplexity_stays_and_documents_without_one_come_last(tmp_path, perplexities, stays):
    scored(tmp_path, perplexities)
    found = dedup(run=str(tmp_path / "run"), keeper="lowest-ppl", exact_only=True)
    assert kept_of(tmp_path) == [stays]
    assert found.exact == len(perplexities) - 1
    assert "next: curate status --run" in found.render()
    place = open_run(tmp_path / "run")
    assert place.stage("dedup")["made_from"]["scores"] == place.stage("score")["fingerprint"]


def test_the_lowest_perplexity_needs_finished_scores_of_a_model(tmp_path):
    with pytest.raises(TableError, match="no scores"):
        run_on(tmp_path, of_sizes(0, 1), keeper="lowest-ppl")
    run = scored(tmp_path, [9.0, 4.0])
    record = run.stage("score")
    run.save("score", {**record, "complete": False})
    with pytest.raises(TableError, match="not complete"):
        dedup(run=str(run.path), keeper="lowest-ppl")
    run.save("score", {**record, "made_from": {**record["made_from"], "model": {"model": "none"}}})
    with pytest.raises(UsageError, match="without a model"):
        dedup(run=str(run.path), keeper="lowest-ppl")


def test_every_document_of_a_scored_corpus_is_conserved_over_files_and_statuses(tmp_path):
    rows = [{"text": "one"}, {"text": ""}, b"{broken", {"text": None}, {"text": "one"}, {"text": "?"}]
    write_lines(tmp_path / "corpus" / "a.jsonl", rows)
    make_run(tmp_path / "run", [tmp_path / "corpus"])
    found = dedup(run=str(tmp_path / "run"))
    counted = {name: getattr(found, name) for name in COUNTED}
    assert counted == {"unique": 1, "keepers": 1, "exact": 1, "near": 0, "empty": 1, "unreadable": 2}
    assert (found.read, found.exit_code) == (6, 3)


def test_rows_that_cannot_be_read_are_listed_where_no_scores_list_them(tmp_path):
    found = run_on(tmp_path, ["one", b"{broken", "two"])
    (line,) = (tmp_path / "run" / "unreadable.jsonl").read_text().splitlines()
    assert (json.loads(line)["file"], json.loads(line)["row"]) == ("a.jsonl", 1)
    assert json.loads(line)["reason"]
    assert found.exit_code == 3 and "unreadable.jsonl" in found.render()
    write_lines(tmp_path / "corpus" / "a.jsonl", [{"text": "one"}])
    (tmp_path / "run" / "run.json").unlink()
    assert dedup(run=str(tmp_path / "run"), corpus=[str(tmp_path / "corpus")]).exit_code == 0
    assert not (tmp_path / "run" / "unreadable.jsonl").exists()


def test_a_bad_row_ends_the_run_only_where_it_is_asked_to(tmp_path):
    with pytest.raises(RowError, match="row 1"):
        run_on(tmp_path, ["one", b"{broken"], on_error="stop")


# What means nothing, and what is shown.


@pytest.mark.parametrize(
    "asked",
    [
        {"threshold": 0},
        {"threshold": 1.01},
        {"threshold": float("nan")},
        {"shingle": 0},
        {"shingle": 101},
        {"permutations": 0},
        {"permutations": 5000},
        {"seed": -1},
        {"seed": 2**32},
        {"keeper": "shortest"},
        {"workers": 0},
        {"memory_limit": "much"},
        {"memory_limit": "-1GB"},
        {"on_error": "ignore"},
    ],
)
def test_an_option_that_means_nothing_is_refused_with_a_hint(tmp_path, asked):
    with pytest.raises(UsageError) as caught:
        run_on(tmp_path, ["one"], **asked)
    assert caught.value.hint and next(iter(asked)).replace("_", "-") in caught.value.message
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_corpus_and_a_corpus_of_another_run_are_refused(tmp_path):
    with pytest.raises(TableError, match="has no corpus"):
        dedup(run=str(tmp_path / "run"))
    run_on(tmp_path, ["one"])
    dedup(run=str(tmp_path / "run"))
    write_lines(tmp_path / "else" / "b.jsonl", [{"text": "two"}])
    with pytest.raises(UsageError, match="names another"):
        dedup(run=str(tmp_path / "run"), corpus=[str(tmp_path / "else")])
    with pytest.raises(UsageError, match="--text-field body"):
        dedup(run=str(tmp_path / "run"), text_field="body")


@pytest.mark.parametrize(
    "place", ["curate.rundir.parquet.pq.write_table", "curate.stages.dedup.pairs.shingle_store.ShingleStore.add"]
)
def test_a_full_disk_is_an_error_in_a_line(tmp_path, monkeypatch, place):
    def refuse(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(place, refuse)
    these = words_of(30)
    with pytest.raises(StorageError, match="disk is full"):
        run_on(tmp_path, [spelled(these), spelled(edited(these, 50))])


def test_the_result_fits_the_screen_and_says_what_matters(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    these, more = words_of(28), words_of(29)
    documents = [
        {"id": "first-of-many" * 9, "text": spelled(these)},
        *({"id": f"c{number}", "text": spelled(edited(these, 10 + number))} for number in range(7)),
        {"id": None, "text": spelled(more)},
        {"id": "shorter", "text": spelled(more[1:])},
        *({"id": "a\x1b[31m", "text": "bell \x07 rings"} for _ in range(3)),
    ]
    write_lines(tmp_path / "corpus" / "a.jsonl", documents)
    found = dedup(run="run", corpus=["corpus"])
    shown = found.render()
    assert max(map(len, shown.splitlines())) <= 100
    assert "18 bands × 7 rows" in shown and "0.986" in shown
    assert "\x1b" not in shown and "\x07" not in shown
    assert "a.jsonl:8" in shown and "bell" in shown
    assert "next: curate score corpus --run run" in shown
    assert [(one.documents, one.near, one.exact) for one in found.largest] == [(8, 7, 0), (3, 0, 2), (2, 1, 0)]
    assert json.loads(json.dumps(found.as_dict()))["kept"] == 3
