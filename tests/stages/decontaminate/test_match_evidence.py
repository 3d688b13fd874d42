"""The evidence of a match: its rule, coverage, containment, the answer behind it; and which matches are kept."""

import random
from itertools import pairwise

import numpy as np
import pytest
from helpers.eval_items import FILLER, POET, Item, made_up_items

from curate.matching import words
from curate.stages.decontaminate import detector, matches, ngram_index, queries, surprisal
from curate.stages.decontaminate.alignment import Alignment, MatchedRun
from curate.stages.decontaminate.matches import Match

WORDS = ["bafed", "cogih", "duluk", "ematu", "fonip", "gurav", "hoteb", "ivulo", "jabik", "kedum", "lofar", "minep"]
TWELVE = Item("s", (" ".join(WORDS),), answer="zazo zuzi")


@pytest.fixture(scope="module")
def twelve():
    return detector.make_detector([TWELVE])


def match_in(one, *texts):
    [match] = one.scan(list(texts))
    return match


def test_a_match_with_a_gap_has_the_share_of_its_words_and_of_its_triples(twelve):
    """Of twelve words the sixth is another: eleven match in runs of five and six, and three and four of ten triples."""
    match = match_in(twelve, "It is said that " + " ".join([*WORDS[:5], "xxxx", *WORDS[6:]]) + " or so they say.")
    assert (match.rule, match.part, match.verdict, match.longest) == ("aligned", "question", "contaminated", 6)
    assert match.coverage == pytest.approx(11 / 12) and match.containment == pytest.approx(7 / 10)
    assert (match.document, match.item, match.text) == (0, 0, TWELVE.questions[0])
    assert match.start == len("It is said that ") and match.end == match.start + len(TWELVE.questions[0]) - 1


@pytest.mark.parametrize(
    ("count", "rule", "containment"),
    [(12, "exact", 1.0), (11, "aligned", 0.9), (10, "aligned", 0.8), (9, "partial", 0.7)],
)
def test_the_rule_is_named_by_the_share_of_the_words(twelve, count, rule, containment):
    match = match_in(twelve, "so " + " ".join(WORDS[:count]) + " so")
    assert (match.rule, match.longest) == (rule, count) and match.containment == pytest.approx(containment)
    assert match.coverage == pytest.approx(count / 12)


def test_triples_behind_the_match_do_not_count_though_the_item_has_them(twelve):
    """The first three words of the item stand behind the others, where no chain reaches them."""
    match = match_in(twelve, "so " + " ".join([*WORDS[3:], *WORDS[:3]]) + " so")
    assert match.coverage == pytest.approx(9 / 12) and match.containment == pytest.approx(0.7)
    match = match_in(twelve, "so " + " ".join([*WORDS[9:], *WORDS[:9]]) + " so")
    assert match.coverage == pytest.approx(9 / 12) and match.containment == pytest.approx(0.7)


def test_all_words_in_two_runs_are_no_exact_match():
    runs = MatchedRun(0, 0, 3), MatchedRun(3, 4, 2)
    assert matches.name_rule(Alignment(1.0, 5, runs), 5) == "aligned"
    assert matches.name_rule(Alignment(1.0, 5, runs[:1]), 5) == "exact"
    assert matches.name_rule(Alignment(1.0, 4, runs[:1]), 5) == "aligned"
    assert matches.name_rule(Alignment(1.0, 79, runs[:1]), 100) == "partial"
    assert matches.name_rule(Alignment(1.0, 80, runs[:1]), 100) == "aligned"


@pytest.mark.parametrize(("between", "is_found"), [(0, True), (58, True), (59, False)])
def test_the_answer_is_looked_for_in_the_sixty_words_behind_the_match(twelve, between, is_found):
    text = " ".join([*WORDS, *["so"] * between, "zazo zuzi and so on"])
    assert match_in(twelve, text).answer_found is is_found


def test_the_answer_is_looked_for_within_the_match_and_not_in_the_next_document(twelve):
    assert match_in(twelve, " ".join(WORDS), "zazo zuzi").answer_found is False
    assert match_in(twelve, "zazo zuzi " + " ".join(WORDS)).answer_found is False
    within = Item("s", (" ".join(WORDS),), answer=" ".join(WORDS[3:5]))
    assert match_in(detector.make_detector([within]), " ".join(WORDS)).answer_found is True


def test_of_an_answer_the_first_five_words_must_stand_in_a_row():
    hashes = words.split_words(["a b c d e f"]).hashes

    def contains(text, some=hashes):
        return matches.contains_answer(some, words.split_words([text]).hashes)

    assert contains("a b") and contains("e f") and contains("b c d e f") and not contains("a c")
    assert contains("b c d e f x y") and not contains("b c d e x")
    assert not contains("a b", hashes[:1]) and contains("a", hashes[:1]) and not contains("f e")


def a_match(start, end, bits=50.0, document=0, item=0, verdict="contaminated", coverage=1.0):
    return Match(document, item, "question", verdict, "exact", bits, coverage, 1.0, 9, None, start, end, "")


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (a_match(5, 20, bits=30.0), a_match(0, 10, bits=90.0, verdict="review")),
        (a_match(5, 20, bits=51.0), a_match(0, 10, bits=50.0)),
        (a_match(5, 20, coverage=0.9), a_match(0, 10, coverage=0.8)),
        (a_match(0, 10), a_match(5, 20)),
    ],
)
def test_of_matches_of_an_item_that_overlap_the_better_is_kept(better, worse):
    assert matches.keep_best_matches([better, worse]) == matches.keep_best_matches([worse, better]) == [better]


def test_matches_that_touch_or_are_of_other_items_and_documents_are_all_kept_in_order():
    some = [
        a_match(0, 10, item=1),
        a_match(10, 20),
        a_match(0, 10),
        a_match(5, 15, document=1),
        a_match(5, 9, bits=70.0, item=2),
    ]
    wanted = [some[4], some[2], some[1], some[0], some[3]]
    assert matches.keep_best_matches(some) == matches.keep_best_matches(some[::-1]) == wanted
    assert matches.keep_best_matches([]) == []


def test_an_answer_or_a_context_that_is_found_is_for_review_however_many_bits_it_has():
    long = " ".join(word + "x" for word in WORDS) + " " + " ".join(word + "y" for word in WORDS)
    one = detector.make_detector([Item("s", (" ".join(WORDS),), answer=long)])
    found = {match.part: match.verdict for match in one.scan([f"{long}\n{FILLER}", " ".join(WORDS)])}
    assert found == {"answer": "review", "question": "contaminated"}


def test_the_poet_is_found_at_the_very_end_and_at_the_very_beginning_of_a_text():
    one = detector.make_detector([POET])
    question = POET.questions[0].rstrip("?")
    for text in (question, FILLER + question, question + "\n" + FILLER):
        match = match_in(one, text)
        assert text[match.start : match.end] == question and match.coverage == 1.0


@pytest.mark.parametrize(("postings", "anchors"), [(2, 1), (1, 3), (128, 3)])
def test_the_index_has_the_first_postings_of_each_triple_and_the_anchors_of_each_query(monkeypatch, postings, anchors):
    monkeypatch.setattr(ngram_index, "POSTINGS", postings)
    monkeypatch.setattr(ngram_index, "ANCHORS", anchors)
    draw = random.Random(5)
    shared = made_up_items(1, draw)[0].questions[0].split()[:6]
    items = [Item("s", (" ".join([*shared[: draw.randrange(3, 7)], "of", "the", *each.questions[0].split()[:7]]),))
             for each in made_up_items(5, draw)]  # fmt: skip
    made = queries.make_queries(items, surprisal.load_word_model())
    index = ngram_index.make_index(made)
    where = {}
    for query, (first, last) in enumerate(pairwise(made.words.offsets.tolist())):
        for position in range(first, last - 2):
            where.setdefault(int(made.shingles[position]), []).append((position, query))
    assert index.grams.tolist() == sorted(where)
    rarest = {}
    for query, (first, last) in enumerate(pairwise(made.words.offsets.tolist())):
        own = sorted(range(first, last - 2), key=lambda at: (len(where[int(made.shingles[at])]), at))
        rarest[query] = [len(where[int(made.shingles[at])]) for at in own[:anchors]]
    for number, gram in enumerate(index.grams.tolist()):
        rows = slice(index.offsets[number], index.offsets[number + 1])
        kept = list(zip(index.positions[rows].tolist(), index.owners[rows].tolist(), strict=True))
        assert kept[:postings] == where[gram][:postings]
        assert set(kept[postings:]) <= set(where[gram]) and kept == sorted(kept)
        for position, query in where[gram]:
            if len(where[gram]) < rarest[query][-1]:
                assert (position, query) in kept
    surprise, bits = made.surprise, lambda at: surprise.first[at] + surprise.second[at + 1] + surprise.later[at + 2]
    for query in range(len(items)):
        own = index.positions[index.owners == query]
        every = [at for rows in where.values() for at, owner in rows if owner == query]
        assert index.shares[index.owners == query] == pytest.approx(3 / (len(own) + 2))
        assert index.scale[query] == pytest.approx(sum(map(bits, every)) / sum(map(bits, own)))
    assert np.all(np.diff(index.pairs.astype(object)) > 0) and len(index.pairs) == len(index.pair_positions)
    keys = ngram_index.mix_with_query(
        made.shingles[index.pair_positions], ngram_index.find_owners(made, index.pair_positions)
    )
    assert keys.tolist() == index.pairs.tolist()
