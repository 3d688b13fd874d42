"""``curate dedup``: exact and near copies, clusters and keepers, evidence, other corpora, and going on after a kill."""

import json
import random
import re
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.runs import make_run, write_lines
from hypothesis import given, settings
from hypothesis import strategies as st

from curate import clusters, duplicates, runs, sketchbook, tables, words
from curate.corpus import SliceMark
from curate.deduplication import dedup
from curate.errors import CorpusError, Interrupted, RowError, StorageError, TableError, UsageError

CHANCE = random.Random(11)
VOCABULARY = ["".join(CHANCE.choices("abcdefghijklmnoprstuvw", k=7)) for _ in range(5000)]
COUNTED = ("unique", "keepers", "exact", "near", "empty", "unreadable")


def words_of(seed, count=104):
    """A document's words: 100 shingles unless told otherwise, none of them in the document of another seed."""
    return random.Random(seed).choices(VOCABULARY, k=count)


def edited(these, *places):
    """The same words with some replaced; one far from both ends and from the others takes five shingles with it."""
    return [f"{word}x{place}" if place in places else word for place, word in enumerate(these)]


def far(count, of=104):
    """Places for so many replaced words that share no shingle."""
    return [5 + 9 * number for number in range(count)]


def shared(count, size=100):
    """The similarity of a document of ``size`` shingles with itself after ``count`` such replacements."""
    return (size - 5 * count) / (size + 5 * count)


def spelled(these):
    return " ".join(these)


def run_on(folder, documents, name="a.jsonl", **options):
    """Write the documents (texts, or whole rows) and remove copies among them."""
    rows = [{"text": one} if isinstance(one, str) else one for one in documents]
    write_lines(folder / "corpus" / name, rows)
    return dedup(run=str(folder / "run"), corpus=[str(folder / "corpus")], **options)


def rows_of(folder):
    return pq.read_table(folder / "run" / "duplicates.parquet").to_pylist()


def groups_of(folder):
    """The rows of each cluster, in a corpus of one file."""
    found = {}
    for row in rows_of(folder):
        found.setdefault(row["cluster"], set()).add(row["row"])
    return sorted(map(sorted, found.values()))


def kept_of(folder):
    return [row["row"] for row in rows_of(folder) if row["keeper"]]


def is_conserved(found):
    return found.read == sum(getattr(found, name) for name in COUNTED)


# What is a copy.


def test_the_same_words_are_exact_copies_whatever_the_case_space_and_punctuation(tmp_path):
    text = spelled(words_of(1))
    found = run_on(tmp_path, [text, spelled(words_of(2)), text.upper().replace(" ", ",\n"), f"«{text}»!"], keep="first")
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
    found = run_on(tmp_path, [spelled(these), spelled(edited(these, *far(count)))], keep="first")
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
    assert pq.read_schema(tmp_path / "run" / "duplicates.parquet").names == tables.DUPLICATES.names


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
    assert runs.open_run(tmp_path / "run").stage("dedup")["parameters"]["bands"] is None


@pytest.mark.parametrize("size", [1, 2, 8])
def test_the_shingle_has_as_many_words_as_is_asked(tmp_path, size):
    these = words_of(7, 60)
    run_on(tmp_path, [spelled(these), spelled(edited(these, 30))], shingle=size, threshold=0.5, keep="first")
    count = len({tuple(these[at : at + size]) for at in range(60 - size + 1)})
    assert rows_of(tmp_path)[1]["jaccard"] == (count - size) / (count + size)


# Clusters.


def test_a_chain_is_one_cluster_and_says_who_lies_below_the_threshold(tmp_path):
    first = words_of(8)
    chain = [first, edited(first, *far(2)), edited(first, *far(4))]
    found = run_on(tmp_path, [spelled(one) for one in chain], keep="first")
    assert shared(4) < 0.8 < shared(2)
    assert groups_of(tmp_path) == [[0, 1, 2]]
    assert (found.near, found.through_others, found.clusters) == (2, 1, 1)
    last = rows_of(tmp_path)[2]
    assert last["jaccard"] == shared(4)
    assert last["link"] == shared(2)  # with the middle one, whose two edits it has, too
    assert "1 near duplicates lie below 0.8" in found.render()


def test_the_copies_of_a_near_copy_belong_to_the_cluster(tmp_path):
    these = words_of(9)
    near = spelled(edited(these, *far(2)))
    run_on(tmp_path, [near, near.upper(), spelled(these), spelled(these).title()], keep="first")
    rows = rows_of(tmp_path)
    assert [row["kind"] for row in rows] == ["keeper", "exact", "near", "near"]
    assert [row["jaccard"] for row in rows] == [1, 1, shared(2), shared(2)]
    assert [row["link"] for row in rows] == [1, 1, 1, 1]


def test_copies_lie_in_several_files_and_the_table_follows_the_corpus(tmp_path):
    for name, seeds in (("b.jsonl", (1, 2, 3)), ("a.jsonl", (3, 1)), ("c.jsonl", (9, 2))):
        write_lines(tmp_path / "corpus" / name, [{"id": "the same", "text": spelled(words_of(seed))} for seed in seeds])
    found = dedup(run=str(tmp_path / "run"), corpus=[str(tmp_path / "corpus")], keep="first")
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


def naive_sets(texts):
    """The set of word 5-grams of each ASCII text; what is shorter is one."""
    found = []
    for text in texts:
        these = re.findall("[a-z0-9]+", text.lower())
        found.append({tuple(these[at : at + 5]) for at in range(max(1, len(these) - 4))})
    return found


def random_documents(seed, count):
    """Documents, and edits of documents before them, of all sizes and degrees."""
    chance, found = random.Random(seed), []
    for _ in range(count):
        if found and chance.random() < 0.6:
            these = chance.choice(found[-40:]).split()
            found.append(
                spelled(edited(these, *chance.sample(range(len(these)), min(len(these), chance.randint(0, 4)))))
            )
        else:
            found.append(spelled(chance.choices(VOCABULARY, k=chance.choice([3, 20, 100, 200]))))
    return found


def test_all_that_is_found_is_true_and_little_is_missed(tmp_path):
    documents = random_documents(12, 300)
    found = run_on(tmp_path, documents)
    pairs = zip(combinations(range(300), 2), combinations(naive_sets(documents), 2), strict=True)
    true = {pair: len(first & second) / len(first | second) for pair, (first, second) in pairs}
    near = {pair for pair, value in true.items() if value >= 0.8}
    assert len(near) > 100
    groups = groups_of(tmp_path)
    cluster = {member: number for number, group in enumerate(groups) for member in group}
    missed = [pair for pair in near if cluster.get(pair[0], -1) != cluster.get(pair[1], -2)]
    assert len(missed) <= 0.02 * len(near)
    for group in groups:  # of pairs that are truly near, whoever found them
        assert len(components(group, near)) == 1
    rows = rows_of(tmp_path)
    for row in rows:
        pair = tuple(sorted((row["row"], row["keeper_row"])))
        assert row["jaccard"] == true.get(pair, 1)
        best = max(
            true[tuple(sorted((row["row"], other)))] for other in groups[cluster[row["row"]]] if other != row["row"]
        )
        kept_for = [other["jaccard"] for other in rows if other["keeper_row"] == row["row"] and not other["keeper"]]
        assert max(row["jaccard"] * (not row["keeper"]), 0.8, *kept_for) <= row["link"] <= best
    assert is_conserved(found)


def components(members, pairs):
    """Brute force: the connected components of some documents."""
    rest, found = set(members), []
    while rest:
        group = waiting = {rest.pop()}
        while waiting:
            waiting = {other for one in waiting for other in rest if tuple(sorted((one, other))) in pairs}
            rest -= waiting
            group = group | waiting
        found.append(sorted(group))
    return sorted(found)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), count=st.integers(2, 12))
def test_one_bucket_gives_the_connected_components_of_all_its_pairs(data, count):
    pairs = set(data.draw(st.lists(st.sampled_from(list(combinations(range(count), 2))), max_size=14)))
    checked = clusters.verifier(lambda *pair: float(tuple(sorted(pair)) in pairs), [1] * count, 0.5)
    roots, _ = clusters.cluster_documents(lambda: [list(range(count))], count, count, checked)
    found = {}
    for member, root in enumerate(roots.tolist()):
        found.setdefault(root, []).append(member)
    assert sorted(found.values()) == components(range(count), pairs)
    assert not checked.crowded


@pytest.mark.parametrize(("alike", "bound"), [(1.0, 2999), (0.0, 3000 * clusters.COMPARISONS)])
def test_a_bucket_of_thousands_costs_no_square_of_comparisons(alike, bound):
    checked = clusters.verifier(lambda first, second: alike, [1] * 3000, 0.5)
    clusters.join_bucket(range(3000), clusters.Forest(3000), checked)
    assert checked.compared <= bound
    assert len(checked.crowded) == (0 if alike else 3000 - clusters.COMPARISONS - 1)


def test_thousands_of_pages_of_one_template_are_one_cluster_in_no_time(tmp_path):
    template = words_of(13, 60)
    found = run_on(tmp_path, [spelled([*template, f"page{number}"]) for number in range(3000)])
    assert (found.near, found.clusters, found.crowded) == (2999, 1, 0)
    assert found.compared < 2 * 3000


def test_ten_thousand_identical_documents_are_compared_with_nothing(tmp_path):
    found = run_on(tmp_path, ["one and the same text of some words"] * 10_000)
    assert (found.exact, found.compared, found.keepers) == (9_999, 0, 1)


def test_documents_that_meet_too_many_strangers_are_counted_and_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "COMPARISONS", 2)
    template = words_of(14, 40)
    texts = [spelled([*template, *words_of(100 + number, 12)]) for number in range(60)]
    found = run_on(tmp_path, texts)
    assert found.crowded > 0 and found.near == 0
    assert f"{found.crowded:,} documents met so many strangers" in found.render()


# Who stays.


def of_sizes(*extra):
    """Exact copies of different length in bytes: punctuation makes no word."""
    return [spelled(words_of(15)) + "!" * count for count in extra]


def test_the_longest_stays_and_of_two_as_long_the_earlier(tmp_path):
    run_on(tmp_path, of_sizes(1, 5, 5, 0), exact_only=True)
    assert kept_of(tmp_path) == [1]


def test_length_is_bytes_and_not_characters(tmp_path):
    run_on(tmp_path, [*of_sizes(4), of_sizes(0)[0] + "…——"], exact_only=True)
    assert kept_of(tmp_path) == [1]


def test_the_first_stays(tmp_path):
    run_on(tmp_path, of_sizes(1, 5, 5, 0), keep="first", exact_only=True)
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
    found = dedup(run=str(tmp_path / "run"), keep="lowest-ppl", exact_only=True)
    assert kept_of(tmp_path) == [stays]
    assert found.exact == len(perplexities) - 1
    assert "next: curate status --run" in found.render()
    place = runs.open_run(tmp_path / "run")
    assert place.stage("dedup")["made_from"]["scores"] == place.stage("score")["fingerprint"]


def test_the_lowest_perplexity_needs_finished_scores_of_a_model(tmp_path):
    with pytest.raises(TableError, match="no scores"):
        run_on(tmp_path, of_sizes(0, 1), keep="lowest-ppl")
    run = scored(tmp_path, [9.0, 4.0])
    record = run.stage("score")
    run.save("score", {**record, "complete": False})
    with pytest.raises(TableError, match="not complete"):
        dedup(run=str(run.path), keep="lowest-ppl")
    run.save("score", {**record, "made_from": {**record["made_from"], "model": {"model": "none"}}})
    with pytest.raises(UsageError, match="without a model"):
        dedup(run=str(run.path), keep="lowest-ppl")


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


# Other corpora.


def against(folder, own, other, **options):
    write_lines(folder / "other.jsonl", [{"text": text} for text in other])
    return run_on(folder, own, against=[str(folder / "other.jsonl")], **options)


def test_what_has_a_copy_in_another_corpus_is_dropped_for_it(tmp_path):
    first, second = words_of(16), words_of(17)
    own = [spelled(words_of(18)), spelled(first), spelled(second).upper(), spelled(edited(first, 50)), spelled(second)]
    found = against(tmp_path, own, [spelled(edited(first, 20)), "else", spelled(second)])
    name = str(tmp_path / "other.jsonl")
    shown = [
        (row["row"], row["cluster"], row["kind"], row["keeper_source"], row["keeper_file"], row["keeper_row"])
        for row in rows_of(tmp_path)
    ]
    assert shown == [
        (1, 0, "near", name, "other.jsonl", 0),
        (2, 1, "exact", name, "other.jsonl", 2),
        (3, 0, "near", name, "other.jsonl", 0),
        (4, 1, "exact", name, "other.jsonl", 2),
    ]
    assert [row["jaccard"] for row in rows_of(tmp_path)] == [shared(1), 1, shared(2), 1]
    assert not any(row["keeper"] for row in rows_of(tmp_path))
    assert (found.unique, found.keepers, found.near, found.exact) == (1, 0, 2, 2)
    assert (found.against[0].name, found.against[0].read, found.against[0].dropped) == (name, 3, 4)
    assert is_conserved(found)


def test_the_documents_of_another_corpus_are_not_compared_among_themselves(tmp_path, monkeypatch):
    read, asked = sketchbook.read_sets, []
    monkeypatch.setattr(sketchbook, "read_sets", lambda *given: asked.append(given[2]) or read(*given))
    these = words_of(19)
    other = [spelled(edited(these, place)) for place in range(10, 90, 10)]
    found = against(tmp_path, ["something else", "and more"], [*other, *other])
    assert (found.compared, found.kept, rows_of(tmp_path)) == (0, 2, [])
    assert [numbers.tolist() for numbers in asked] == [[]]


def test_a_copy_of_a_copy_of_another_corpus_stays(tmp_path):
    first = words_of(20)
    own = [spelled(edited(first, *far(4))), spelled(edited(first, *far(2)))]
    found = against(tmp_path, own, [spelled(first)])
    assert [row["row"] for row in rows_of(tmp_path)] == [1]
    assert (found.unique, found.near) == (1, 1)


def test_copies_inside_the_corpus_are_found_beside_those_in_another(tmp_path):
    first, second = words_of(21), words_of(22)
    own = [spelled(first), spelled(second), spelled(edited(second, 50)), spelled(second).title()]
    found = against(tmp_path, own, [spelled(first)], keep="first")
    rows = [(row["row"], row["cluster"], row["kind"], row["keeper_source"] is None) for row in rows_of(tmp_path)]
    assert rows == [(0, 0, "exact", False), (1, 1, "keeper", True), (2, 1, "near", True), (3, 1, "exact", True)]
    assert (found.exact, found.near, found.keepers) == (2, 1, 1)
    assert "1 documents have a copy among its 1" in re.sub(r"\s+", " ", found.render())


def test_several_other_corpora_are_named_apart(tmp_path):
    texts = [spelled(words_of(seed)) for seed in (23, 24)]
    for name, text in zip(("x", "y"), texts, strict=True):
        write_lines(tmp_path / name / "part.jsonl", [{"body": text}])
    names = [str(tmp_path / name) for name in ("x", "y")]
    found = run_on(tmp_path, [{"text": text} for text in texts], against=names)
    assert [row["keeper_source"] for row in rows_of(tmp_path)] == names
    assert [other.dropped for other in found.against] == [1, 1]


def test_unreadable_rows_of_another_corpus_are_told(tmp_path):
    write_lines(tmp_path / "other.jsonl", [{"text": "one"}, b"{broken"])
    found = run_on(tmp_path, ["two"], against=[str(tmp_path / "other.jsonl")])
    assert (found.unreadable, found.against[0].unreadable, found.exit_code) == (0, 1, 3)
    assert "1 of those could not be read" in re.sub(r"\s+", " ", found.render())


def test_a_corpus_held_against_itself_is_refused(tmp_path):
    write_lines(tmp_path / "corpus" / "a.jsonl", [{"text": "one"}])
    for named, says in ((["corpus"], "the corpus itself"), (["other", "other"], "named twice")):
        write_lines(tmp_path / "other" / "b.jsonl", [{"text": "two"}])
        paths = [str(tmp_path / name) for name in named]
        with pytest.raises(UsageError, match=says):
            dedup(run=str(tmp_path / "run"), corpus=[str(tmp_path / "corpus")], against=paths)


# Going on, and doing it again.


@pytest.fixture(scope="module")
def corpus_and_run(tmp_path_factory):
    """A corpus of two files, an unreadable row among them, and an uninterrupted run over it in many slices."""
    folder = tmp_path_factory.mktemp("many")
    documents = random_documents(25, 80)
    write_lines(folder / "corpus" / "a.jsonl", [*({"text": one} for one in documents[:40]), b"{"])
    write_lines(folder / "corpus" / "b.jsonl", [{"text": one} for one in documents[40:]])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sketchbook, "SLICE_BYTES", 4000)
        dedup(run=str(folder / "whole"), corpus=[str(folder / "corpus")])
    return folder / "corpus", folder / "whole"


@pytest.fixture
def many(corpus_and_run, tmp_path, monkeypatch):
    """The same corpus and slices for a run of one's own."""
    monkeypatch.setattr(sketchbook, "SLICE_BYTES", 4000)
    return Many(*corpus_and_run, tmp_path / "run")


@dataclass(frozen=True)
class Many:
    corpus: Path
    whole: Path
    run: Path

    @property
    def sketches(self):
        return self.run / "dedup" / "sketches"

    def dedup(self, **options):
        return dedup(run=str(self.run), corpus=[str(self.corpus)], **options)

    def interrupt(self, monkeypatch, parts):
        """Run until so many parts are written.  → the parts"""
        with monkeypatch.context() as patched:
            written = stop_after(patched, parts)
            with pytest.raises(Interrupted, match="sketches of") as caught:
                self.dedup()
        assert "same command" in caught.value.hint and caught.value.exit_code == 130
        return written

    def has_the_bytes_of_the_whole(self):
        names = ("duplicates.parquet", "run.json", "unreadable.jsonl")
        return all((self.whole / name).read_bytes() == (self.run / name).read_bytes() for name in names)


def stop_after(monkeypatch, parts):
    """Let Ctrl-C come when so many parts are written."""
    write, written = sketchbook.write_part, []

    def write_or_stop(*arguments):
        if len(written) == parts:
            raise KeyboardInterrupt
        written.append(write(*arguments))
        return written[-1]

    monkeypatch.setattr(sketchbook, "write_part", write_or_stop)
    return written


def test_an_interrupted_run_goes_on_and_ends_in_the_same_bytes(many, monkeypatch):
    written = [part for stops in (3, 4, 1) for part in many.interrupt(monkeypatch, stops)]
    assert len(tables.parts(many.sketches)) == len(written) == 8
    rest = stop_after(monkeypatch, 10**6)
    many.dedup()
    names = [part.path.name for part in [*written, *rest]]
    assert len(names) == len(set(names)) > 9 and names == sorted(names)
    assert many.has_the_bytes_of_the_whole()
    assert sorted(path.name for path in many.run.iterdir()) == ["duplicates.parquet", "run.json", "unreadable.jsonl"]


def test_an_interruption_while_pairs_are_verified_keeps_the_sketches(many, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(clusters, "cluster_documents", stop)
        with pytest.raises(Interrupted, match="sketches of 81 documents"):
            many.dedup()
    written = stop_after(monkeypatch, 0)
    many.dedup()
    assert written == []
    assert many.has_the_bytes_of_the_whole()


def test_a_part_that_is_missing_costs_what_lies_behind_it_alone(many, monkeypatch):
    many.interrupt(monkeypatch, 9)
    tables.parts(many.sketches)[4].unlink()
    (many.sketches / ".000000.1.tmp").write_text("left by a killed writer")
    written = stop_after(monkeypatch, 10**6)
    many.dedup()
    assert written[0].mark.number == 4
    assert many.has_the_bytes_of_the_whole()


@pytest.mark.parametrize("change", [{"shingle": 4}, {"seed": 2}, {"exact_only": True}, {"restart": True}])
def test_what_was_sketched_otherwise_is_begun_anew(many, monkeypatch, change):
    many.interrupt(monkeypatch, 5)
    written = stop_after(monkeypatch, 10**6)
    many.dedup(**change)
    assert written[0].first == 0


@pytest.mark.parametrize(("workers", "limit"), [(1, "1GB"), (3, "100MB")])
def test_neither_threads_nor_slices_nor_the_memory_limit_change_the_result(many, monkeypatch, workers, limit):
    monkeypatch.setattr(sketchbook, "SLICE_BYTES", 50_000)
    many.dedup(workers=workers, memory_limit=limit)
    assert many.has_the_bytes_of_the_whole()


def test_running_it_again_replaces_the_table(tmp_path):
    these = words_of(26)
    documents = [spelled(these), spelled(edited(these, *far(2)))]
    taken = []
    for threshold in (0.8, 0.9, 0.8):
        run_on(tmp_path, documents, threshold=threshold)
        record = runs.open_run(tmp_path / "run").stage("dedup")
        taken.append((record, (tmp_path / "run" / "duplicates.parquet").read_bytes()))
        assert tables.read_metadata(tmp_path / "run" / "duplicates.parquet")["fingerprint"] == record["fingerprint"]
    assert [record["counts"]["near"] for record, _ in taken] == [1, 0, 1]
    assert taken[0] == taken[2]


def test_the_record_names_what_the_table_was_made_from(tmp_path):
    run_on(tmp_path, ["one", "two", "One"], keep="first")
    place = runs.open_run(tmp_path / "run")
    record = place.stage("dedup")
    assert record["made_from"]["corpus"] == place.stage("corpus")["identity"]
    assert record["parameters"]["keep"] == "first" and record["parameters"]["bands"] == {"bands": 18, "rows": 7}
    assert (record["counts"]["read"], record["counts"]["kept"], record["counts"]["exact"]) == (3, 2, 1)


def test_a_text_that_changed_since_it_was_sketched_is_an_error(tmp_path, monkeypatch):
    these = words_of(27)
    read = sketchbook.read_sets

    def change_first(*arguments):
        path = tmp_path / "corpus" / "a.jsonl"
        path.write_text(path.read_text().replace(these[3], these[4]))
        return read(*arguments)

    monkeypatch.setattr(sketchbook, "read_sets", change_first)
    with pytest.raises(CorpusError, match=r"a\.jsonl has changed"):
        run_on(tmp_path, [spelled(these), spelled(edited(these, 50))])


def test_a_damaged_sketch_is_an_error_with_a_way_out(many, monkeypatch):
    many.interrupt(monkeypatch, 5)
    part = tables.parts(many.sketches)[2]
    part.write_bytes(part.read_bytes()[:-50])
    with pytest.raises(TableError) as caught:
        many.dedup()
    assert "--restart" in caught.value.hint
    many.dedup(restart=True)
    assert many.has_the_bytes_of_the_whole()


def test_a_run_directory_with_a_hostile_name_works(tmp_path):
    folder = tmp_path / "it's [a] *run? {1}"
    found = run_on(folder, ["one", "ONE"], name="b'; DROP TABLE sketches; --.jsonl")
    assert found.exact == 1
    assert rows_of(folder)[0]["file"] == "b'; DROP TABLE sketches; --.jsonl"


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
        {"keep": "shortest"},
        {"workers": 0},
        {"memory_limit": "much"},
        {"on_error": "ignore"},
    ],
)
def test_an_option_that_means_nothing_is_refused_with_a_hint(tmp_path, asked):
    with pytest.raises(UsageError) as caught:
        run_on(tmp_path, ["one"], **asked)
    assert caught.value.hint and next(iter(asked)).replace("_", "-") in caught.value.message
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_corpus_and_a_corpus_of_another_run_are_refused(tmp_path):
    with pytest.raises(TableError, match="knows no corpus"):
        dedup(run=str(tmp_path / "run"))
    run_on(tmp_path, ["one"])
    dedup(run=str(tmp_path / "run"))
    write_lines(tmp_path / "else" / "b.jsonl", [{"text": "two"}])
    with pytest.raises(UsageError, match="names another"):
        dedup(run=str(tmp_path / "run"), corpus=[str(tmp_path / "else")])
    with pytest.raises(UsageError, match="--text-field body"):
        dedup(run=str(tmp_path / "run"), text_field="body")


@pytest.mark.parametrize("place", ["curate.tables.pq.write_table", "curate.shinglebook.ShingleBook.add"])
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
    assert "next: curate score CORPUS --run" in shown
    assert [(one.documents, one.near, one.exact) for one in found.largest] == [(8, 7, 0), (3, 0, 2), (2, 1, 0)]
    assert json.loads(json.dumps(found.as_dict()))["kept"] == 3


# The pieces.


def test_reading_again_begins_at_the_first_slice_of_a_file_that_is_wanted():
    marks = {
        name: [SliceMark(name, number, 10 * number, 10 * number + 10, None, 10, number == 3) for number in range(4)]
        for name in ("a", "b", "c")
    }
    found = sketchbook.skippable(marks, {("a", 2), ("a", 3), ("c", 0)})
    assert {name: len(skipped) for name, skipped in found.items()} == {"a": 2, "b": 4, "c": 0}


def test_a_short_text_has_one_shingle_of_another_kind():
    texts = ["a b c d e", "a b c d", "a b c d", "a", "", "a b", "b a", "e a b c d"]
    hashes, offsets = duplicates.shingle_sets(words.split_words(texts), 5)
    sets = [set(hashes[begin:end].tolist()) for begin, end in pairwise(offsets)]
    assert list(map(len, sets)) == [1, 1, 1, 1, 0, 1, 1, 1]
    assert sets[1] == sets[2]
    assert len(set.union(*sets)) == 6
    whole = words.shingle(words.split_words(["a b c d"]).hashes, 4)
    assert set(whole.tolist()) != sets[1]


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text("ab ", max_size=14), max_size=8))
def test_two_texts_have_the_same_sequence_hash_if_and_only_if_they_have_the_same_words(texts):
    high, low = duplicates.hash_sequences(words.split_words(texts))
    for first, second in combinations(range(len(texts)), 2):
        same = texts[first].split() == texts[second].split()
        assert (high[first] == high[second]) == (low[first] == low[second]) == same


@settings(max_examples=60, deadline=None)
@given(first=st.sets(st.integers(0, 30)), second=st.sets(st.integers(0, 30)))
def test_jaccard_is_that_of_sets(first, second):
    arrays = [np.array(sorted(one), np.uint64) for one in (first, second)]
    union = len(first | second)
    assert duplicates.jaccard(*arrays) == (len(first & second) / union if union else 0)
