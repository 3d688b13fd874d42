"""The inverted index leads to every place that a naive search finds."""

import random

import numpy as np
from helpers.eval_items import FILLER, LAKE, PENS, POET, Item, made_up_items

from curate.stages.decontaminate import canaries, detector, matches, ngram_index


def test_the_index_leads_to_every_place_that_a_naive_search_finds():
    """Nothing is filtered before the verdict that the verdict would have taken: every query against every document."""
    draw = random.Random(11)
    items = [*made_up_items(25, draw), PENS, LAKE, POET]
    one = detector.make_detector(items)
    texts = [FILLER] + [canary.text for canary in canaries.plant_canaries(one.queries, [FILLER * 3], each=28, seed=5)]
    batch = ngram_index.make_batch(texts)
    firsts, lasts = batch.words.offsets[:-1], batch.words.offsets[1:] - 1
    pairs = [(query, document) for query in range(len(one.queries.queries)) for document in range(len(texts))]
    everything = ngram_index.Candidates(
        np.array([query for query, _ in pairs]),
        np.array([document for _, document in pairs]),
        np.array([firsts[document] for _, document in pairs]),
        np.array([lasts[document] for _, document in pairs]),
    )
    naive = matches.judge_candidates(one.queries, batch, texts, everything)
    key = {(match.document, match.item, match.verdict) for match in naive}
    assert {(match.document, match.item, match.verdict) for match in one.scan(texts)} == key and len(key) >= 5 * 28


def test_items_of_common_pieces_are_found_among_lines_that_repeat():
    """Sums of digits share every triple with hundreds of others; a line that repeats matches many items many times."""
    draw = random.Random(3)
    sums = [
        Item("sums", (f"(({draw.choice('123456789')} + " + " * ".join(draw.choices("0123456789", k=8)) + ")) =",))
        for _ in range(700)
    ]
    lines = "It does not matter if they occurred at the same time, which of the following is true?\n" * 60
    others = [
        Item("sums", (f"Which of the following is true if they occurred at the same {word}?",))
        for word in "abcdefghijkl"
    ]
    one = detector.make_detector([*sums, *others])
    texts = [f"{lines}\n{item.questions[0]}\n{lines}" for item in sums[::140]]
    found = {(match.document, match.item) for match in one.scan(texts) if match.rule == "exact"}
    assert {(number, 140 * number) for number in range(len(texts))} <= found


def test_a_bloom_filter_lets_every_known_key_pass_and_few_others():
    draw = np.random.default_rng(1)
    known, strangers = (draw.integers(0, 2**64, 20_000, dtype=np.uint64) for _ in range(2))
    bloom = ngram_index.make_bloom_filter(known)
    assert len(bloom.select(known)) == len(known)
    assert len(bloom.select(strangers)) < 0.1 * len(strangers)


def test_an_item_is_a_candidate_whose_template_more_than_postings_items_share(monkeypatch):
    monkeypatch.setattr(ngram_index, "POSTINGS", 4)
    template = (
        "This path element has the moves {} and draws a figure. Options: circle, kite, line, hexagon, sector, square"
    )
    asked = [Item("shapes", (template.format(f"m{number} l{number * 7}"),)) for number in range(12)]
    one = detector.make_detector(asked)
    found = [{match.item for match in one.scan([item.questions[0]])} for item in asked]
    assert all(number in items for number, items in enumerate(found))


SUBJECTS = ["heron", "beaver", "marten", "otter", "badger", "weasel"]
SUBJECTS += ["dormouse", "squirrel", "ferret", "polecat", "hamster", "gerbil"]


def find_items_cut_short(words_kept):
    """Return for each of twelve items of one template whether it is a candidate where its first words stand alone."""
    tails = [" ".join((SUBJECTS * 2)[number : number + 5]) for number in range(len(SUBJECTS))]
    asked = [Item("valley", (f"Measure in the evening light how many pale {tail}",)) for tail in tails]
    one = detector.make_detector(asked)
    batch = ngram_index.make_batch([" ".join(item.questions[0].split()[:words_kept]) + "." for item in asked])
    found = one.find(batch)
    pairs = set(zip(found.queries.tolist(), found.documents.tolist(), strict=True))
    return [(number, number) in pairs for number in range(len(asked))]


def test_an_item_that_is_cut_after_its_first_own_word_is_a_candidate_by_the_template_before_it(monkeypatch):
    monkeypatch.setattr(ngram_index, "POSTINGS", 4)
    assert all(find_items_cut_short(9))
    monkeypatch.setattr("curate.matching.numba_kernels.is_numba_available", lambda: False)
    assert all(find_items_cut_short(9))
    monkeypatch.setattr(ngram_index, "count_equal_around", lambda queries, batch, *rest: 0 * rest[-1])
    assert not any(find_items_cut_short(9)[4:])


def test_words_around_a_match_count_as_far_as_they_are_equal_within_both_texts():
    queries = detector.make_detector([Item("made", ("one two three four five six seven eight nine ten",))]).queries
    batch = ngram_index.make_batch(["two three", "other three four five six seven eight other", "nine ten"])
    positions = np.array([3, 4]), np.array([4, 5])  # triples at "four" and "five"; the second document begins at 2
    groups, firsts = np.array([0]), np.array([0])
    assert ngram_index.count_equal_around(queries, batch, firsts, *positions, groups).tolist() == [2]
    assert ngram_index.count_equal_around(queries, batch, firsts, *positions, groups[:0]).tolist() == []
    alone = ngram_index.make_batch(["three four five six"])
    assert ngram_index.count_equal_around(queries, alone, firsts, np.array([3]), np.array([1]), groups).tolist() == [1]
