"""Contamination, without a corpus: verdicts on known texts, and the estimate finds what the oracle finds."""

import random
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from curate import (
    alignment,
    background,
    canaries,
    candidates,
    contamination,
    detection,
    probes,
    verdicts,
    windows,
    words,
)


@dataclass(frozen=True)
class Item:
    set: str
    questions: tuple[str, ...]
    context: str = ""
    choices: tuple[str, ...] = ()
    answer: str = ""


PENS = Item(
    "shop",
    ("Marguerite bought five boxes of pens at two dollars each; how much did she give the cashier?",),
    answer="10",
)
LAKE = Item("lake", ("Which glacial lake in Patagonia drains westward through the Baker river to the Pacific ocean?",))
POET = Item("poet", ("What German poet was descended from Huguenots?",), answer="Theodor Fontane")
AUTHOR = Item(
    "exam",
    ("Which is true?",),
    "The herring gull nests on slate roofs of the harbour town, and "
    "every spring the council sends men with ladders to take away the eggs before they hatch.",
    ("to praise the council for its ladders", "to describe a yearly quarrel over the roofs"),
)
TINY = Item("tiny", ("Who are you?",))
COMMON = Item("exam", ("Which of the following is true about the author of the second passage?",))
ITEMS = [PENS, LAKE, POET, AUTHOR, TINY, COMMON]

FILLER = (
    "The committee met on a Tuesday in the old town hall. Minutes of the last meeting were read and approved. "
    "A letter from the water board was laid on the table; members asked for a second opinion on the pump.\n"
    "There was no other business, and the meeting closed at nine in the evening. "
)


@pytest.fixture(scope="module")
def detector():
    return detection.make_detector(ITEMS)


def verdict_of(detector, text, item):
    """The verdict on one item in one text, None where there is no match."""
    found = [match for match in detector.scan([text]) if detector.probes.items[match.item] is item]
    return found[0] if found else None


def planted(passage):
    return f"{FILLER}\n\n{passage}\n\n{FILLER}"


def test_an_item_is_found_word_by_word_and_its_span_is_the_planted_one(detector):
    text = planted(PENS.questions[0])
    match = verdict_of(detector, text, PENS)
    assert (match.verdict, match.rule, match.coverage, match.containment) == ("contaminated", "exact", 1.0, 1.0)
    assert text[match.start : match.end] == PENS.questions[0].rstrip("?")


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        str.title,
        lambda text: text.replace(" ", "\n\t "),
        lambda text: text.replace(";", " -- ").replace("?", "!!"),
        lambda text: f"Q: {text}\nA: ten dollars",
    ],
    ids=["upper", "title", "white space", "punctuation", "forum"],
)
def test_case_white_space_and_punctuation_hide_nothing(detector, change):
    match = verdict_of(detector, planted(change(PENS.questions[0])), PENS)
    assert match.verdict == "contaminated" and match.coverage == 1.0


def test_a_replaced_word_and_a_missing_end_hide_nothing(detector):
    assert verdict_of(detector, planted(PENS.questions[0].replace("pens", "pencils")), PENS).verdict == "contaminated"
    first = " ".join(LAKE.questions[0].split()[:9])
    match = verdict_of(detector, planted(first), LAKE)
    assert match.verdict == "contaminated" and match.rule == "partial" and match.coverage < 0.7


def test_half_of_a_common_question_is_no_leak(detector):
    """Half of the words, but words that are in every textbook: less than the bits that a half needs."""
    half = verdict_of(detector, planted("Which of the following is true about the pump of the town?"), COMMON)
    assert half.coverage > 0.6 and half.verdict == "review"
    assert verdict_of(detector, planted(COMMON.questions[0]), COMMON).verdict == "contaminated"


def test_clean_text_has_no_matches(detector):
    assert detector.scan([FILLER, "", "...", "x"]) == []


def test_items_that_prove_nothing_alone_are_found_with_what_stands_beside_them(detector):
    kinds = {probe.part for probe in detector.probes.probes if detector.probes.items[probe.item] is AUTHOR}
    assert "question" not in kinds and {"choices", "in_context"} <= kinds
    whole = f"{AUTHOR.context}\n{AUTHOR.questions[0]}"
    assert verdict_of(detector, planted(whole), AUTHOR).verdict == "contaminated"


def test_a_context_without_its_question_is_for_review(detector):
    match = verdict_of(detector, planted(AUTHOR.context), AUTHOR)
    assert match.verdict == "review"


def test_items_that_nothing_identifies_are_told_by_number(detector):
    assert detector.probes.unmatchable == (ITEMS.index(TINY),)
    assert verdict_of(detector, planted(TINY.questions[0]), TINY) is None


def test_the_answer_is_looked_for_near_the_match(detector):
    with_answer = planted(f"{POET.questions[0]} It was Theodor Fontane, of course.")
    assert verdict_of(detector, with_answer, POET).answer_found is True
    assert verdict_of(detector, planted(POET.questions[0]), POET).answer_found is False
    assert verdict_of(detector, planted(LAKE.questions[0]), LAKE).answer_found is None


def test_verdicts_need_more_bits_the_more_is_missing_and_fewer_for_a_sentence_of_its_own():
    needs = [verdicts.needed_bits(share, False, False) for share in (1.0, 0.8, 0.5, 0.35)]
    assert needs == sorted(needs) and needs[0] == verdicts.NEEDED
    for share in np.linspace(0.35, 1, 14):
        least = float(verdicts.least_bits(np.array([share]))[0])
        for opens, closes in ((False, False), (True, False), (True, True)):
            assert least <= verdicts.needed_bits(share, opens, closes) - verdicts.MARGIN + 1e-9


def test_short_documents_of_one_batch_are_judged_apart(detector):
    """SFT rows are short: the same item in neighbours must be found in each."""
    texts = ["yes", PENS.questions[0], PENS.questions[0], "no", POET.questions[0], POET.questions[0]]
    found = [(match.document, match.item) for match in detector.scan(texts)]
    assert found == [(1, 0), (2, 0), (4, 2), (5, 2)]


def test_a_long_document_is_looked_through_in_pieces_and_the_place_is_right(monkeypatch):
    monkeypatch.setattr(detection, "PIECE_CHARS", 5_000)
    monkeypatch.setattr(detection, "OVERLAP_CHARS", 1_000)
    one = detection.make_detector(ITEMS)
    text = FILLER * 40 + "\n\n" + LAKE.questions[0] + "\n\n" + FILLER * 40 + POET.questions[0]
    found = one.scan(["first", text])
    assert [(match.document, match.item) for match in found] == [(1, 1), (1, 2)]
    for match in found:
        assert text[match.start : match.end] == ITEMS[match.item].questions[0].rstrip("?")


def test_an_item_that_a_document_has_three_times_is_found_three_times(detector):
    text = f"{PENS.questions[0]}\n{PENS.questions[0]}\n{FILLER}\n{PENS.questions[0]}"
    found = detector.scan([text])
    assert [match.start for match in found] == [at for at in range(len(text)) if text.startswith("Marguerite", at)]


def test_text_without_spaces_is_compared_by_characters():
    question = "下列哪一项最能说明作者对港口城市历史变迁的态度和看法以及理由"
    one = detection.make_detector([Item("zh", (question,))])
    text = "会议在星期二举行，大家都来了。" * 20
    assert one.scan([text]) == []
    [match] = one.scan([text + question + text])
    assert match.verdict == "contaminated" and (text + question + text)[match.start : match.end] == question


# The laws.


def made_up_items(count, draw):
    """Items of 8 to 60 made-up words, which English does not know: the rule is about their order alone."""

    def word():
        return "".join(draw.choice("bcdfghjklmnprst") + draw.choice("aeiou") for _ in range(3))

    return [Item("made up", (" ".join(word() for _ in range(draw.randrange(8, 60))),)) for _ in range(count)]


def test_minhash_finds_what_the_exact_index_finds_on_planted_items():
    """The inverted index is the oracle; whole, edited and shortened items in documents of filler."""
    draw = random.Random(7)
    items = made_up_items(60, draw)
    exact, estimate = detection.make_detector(items), detection.make_detector(items, "minhash")
    planted_ones = canaries.plant(exact.probes, [FILLER * 6, FILLER * 20], each=60, seed=3)
    texts = [canary.text for canary in planted_ones]
    by_index, by_minhash = exact.scan(texts), estimate.scan(texts)
    assert {(match.document, match.item) for match in by_index} == {(n, one.item) for n, one in enumerate(planted_ones)}
    assert {(match.document, match.item) for match in by_minhash} == {
        (match.document, match.item) for match in by_index
    }


def test_the_index_leads_to_every_place_that_a_naive_search_finds():
    """Nothing is filtered before the verdict that the verdict would have taken: every probe against every document."""
    draw = random.Random(11)
    items = [*made_up_items(25, draw), PENS, LAKE, POET]
    one = detection.make_detector(items)
    texts = [FILLER] + [canary.text for canary in canaries.plant(one.probes, [FILLER * 3], each=28, seed=5)]
    batch = candidates.make_batch(texts)
    firsts, lasts = batch.words.offsets[:-1], batch.words.offsets[1:] - 1
    pairs = [(probe, document) for probe in range(len(one.probes.probes)) for document in range(len(texts))]
    everything = candidates.Candidates(
        np.array([probe for probe, _ in pairs]),
        np.array([document for _, document in pairs]),
        np.array([firsts[document] for _, document in pairs]),
        np.array([lasts[document] for _, document in pairs]),
    )
    naive = contamination.judge(one.probes, batch, texts, everything)
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
    one = detection.make_detector([*sums, *others])
    texts = [f"{lines}\n{item.questions[0]}\n{lines}" for item in sums[::35]]
    found = {(match.document, match.item) for match in one.scan(texts) if match.rule == "exact"}
    assert {(number, 35 * number) for number in range(len(texts))} <= found


def test_signed_probes_are_those_of_datasketch_and_its_index_gives_the_same_candidates():
    from datasketch import MinHash, MinHashLSH

    draw = random.Random(2)
    made = probes.make_probes(made_up_items(40, draw), background.load_background())
    signed = windows.sign_probes(made)
    lsh = MinHashLSH(num_perm=128, params=(windows.BANDS.bands, windows.BANDS.rows))
    hashed = [made.shingles[first:last][made.valid[first:last]] for first, last in pairwise(made.words.offsets)]
    for number, shingles in enumerate(hashed):
        theirs = MinHash(num_perm=128, scheme="affine32", hashfunc=int)
        theirs.update_batch((shingles & np.uint64(0xFFFFFFFF)).tolist())
        assert (theirs.hashvalues == signed.signatures[number]).all()
        lsh.insert(number, theirs)
    for shingles in hashed:
        asked = MinHash(num_perm=128, scheme="affine32", hashfunc=int)
        asked.update_batch((shingles & np.uint64(0xFFFFFFFF)).tolist()[: len(shingles) * 2 // 3])
        keys = windows.minhash.band_keys(asked.hashvalues[None, :], windows.BANDS).ravel()
        _, slots = candidates.look_up(keys, None, signed.keys, signed.sieve)
        _, postings = candidates.expand(slots, signed.offsets)
        assert set(signed.owners[postings].tolist()) == set(lsh.query(asked))


def test_compiled_loops_and_their_numpy_twins_give_the_same_candidates(monkeypatch):
    draw = random.Random(4)
    one = detection.make_detector(made_up_items(30, draw), "minhash")
    batch = candidates.make_batch([FILLER, *(canary.text for canary in canaries.plant(one.probes, [FILLER * 4], 30))])
    compiled = one.find(batch)
    monkeypatch.setattr("curate.kernels.available", lambda: False)
    plain = one.find(batch)
    assert len(plain.probes) >= 4 * 30
    for name in ("probes", "documents", "firsts", "lasts"):
        assert (getattr(plain, name) == getattr(compiled, name)).all(), name


def test_a_sieve_lets_every_known_key_pass_and_few_others():
    draw = np.random.default_rng(1)
    known, strangers = (draw.integers(0, 2**64, 20_000, dtype=np.uint64) for _ in range(2))
    sieve = candidates.make_sieve(known)
    assert len(sieve.places(known)) == len(known)
    assert len(sieve.places(strangers)) < 0.1 * len(strangers)


def test_alignment_chains_runs_in_order_and_prices_gaps():
    text = words.split_words(["alpha bravo charlie delta echo foxtrot golf hotel india juliett"])
    bits = background.Surprise(np.full(10, 10.0), np.full(10, 8.0), np.full(10, 5.0))
    whole = words.shingle(text.hashes, 3)
    found = alignment.align(alignment.find_runs(whole, whole), bits, 0)
    assert (found.words, found.longest, found.bits) == (10, 10, 10 + 8 + 8 * 5)
    other = words.split_words(["alpha bravo charlie delta XXX foxtrot golf hotel india juliett"])
    chained = alignment.align(alignment.find_runs(whole, words.shingle(other.hashes, 3)), bits, 0)
    assert [(run.item, run.document, run.length) for run in chained.runs] == [(0, 0, 4), (5, 5, 5)]
    assert chained.bits == pytest.approx((10 + 8 + 10) + (10 + 8 + 15) - alignment.GAP_BITS)
    swapped = words.split_words(["foxtrot golf hotel india juliett alpha bravo charlie delta echo"])
    assert alignment.align(alignment.find_runs(whole, words.shingle(swapped.hashes, 3)), bits, 0).words == 5
    assert alignment.align([], bits, 0) is None


def test_common_english_is_less_surprising_than_rare_words_and_more_so_in_order():
    known = background.load_background()
    text = words.split_words(["one of the most important things", "zygomorphic quokka vellichor palimpsest"])
    bits = probes.total_bits(text, background.surprise(text.hashes, np.zeros(len(text), bool), known))
    assert bits[0] < 35 < 60 < bits[1]
    with pytest.raises(ValueError):
        canaries.plant(detection.make_detector(ITEMS).probes, [])


def test_pieces_cover_a_long_text_and_share_what_was_asked():
    text = " ".join(f"word{number}" for number in range(120_000))
    found = list(detection.pieces_of(text, 50_000))
    assert found[0][0] == 0 and found[-1][0] + len(found[-1][1]) == len(text)
    for (base, piece), (later, _) in pairwise(found):
        assert later + 50_000 <= base + len(piece) <= later + 52_100
        assert text[base : base + len(piece)] == piece
