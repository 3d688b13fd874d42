"""What a base reads is measured: the languages of the datasets by their bits and tokens a letter, none by its name."""

import math

import pyarrow.parquet as pq
import pytest
from helpers import sft_datasets as sft
from helpers.bilingual import train
from helpers.languages import SETS, rows_in
from helpers.sft_rankings import names, rank

from curate.sft.datasets import draw_sample, open_set
from curate.sft.ranking.languages import (
    DatasetLanguages,
    LanguageSums,
    count_letters,
    find_language_flags,
    identify_examples,
    is_apart,
    judge_languages,
)

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The datasets of all languages, by their codes."""
    folder = tmp_path_factory.mktemp("languages")
    return {code: sft.write(folder / f"{code}.jsonl", rows_in(code)) for code in SETS}


def find_apart(ranking):
    return {one.name for one in ranking.table.datasets if one.apart}


def test_the_english_model_in_the_box_ranks_nine_other_languages_apart(data, tmp_path):
    """Premise: by perplexity the Russian dataset is first, since its bytes are tokens of their own."""
    found = rank(*data.values(), out=str(tmp_path / "r"), exact=False)
    ranks = {one.name: one for one in found.table.datasets}
    assert ranks["ru"].scores["perplexity"].value < ranks["en"].scores["perplexity"].value
    assert names(found)[0] == "en" and found.table.names == ("en",)
    assert find_apart(found) == {"de", "ru", "zh", "tr", "es", "it", "pt", "nl", "fr"}
    assert {one.language for one in found.table.datasets} == set(SETS)
    assert all("which the base does not read" in ranks[name].flags[0] for name in find_apart(found))
    record = {one["name"]: one for one in found.as_dict()["datasets"]}
    assert record["en"]["rank"] == 1 and record["ru"]["rank"] is None and record["ru"]["rank_apart"] == 1
    assert record["ru"]["rank_apart_interval"] == [1, 1] and record["en"]["rank_apart_interval"] is None
    assert record["en"]["p_best"] == 1 and math.isnan(record["ru"]["p_best"]), "it is not the first of all"
    text = found.render().replace(found.out, "ranked")
    assert "    apart: in Russian, which the base does not read" in text and max(map(len, text.splitlines())) <= 100
    rows = {row["name"]: row for row in pq.read_table(tmp_path / "r" / "ranking.parquet").to_pylist()}
    assert (rows["ru"]["rank_apart_low"], rows["ru"]["rank_apart_high"], rows["en"]["rank_apart_low"]) == (1, 1, None)
    assert rows["en"]["p_best"] == 1 and math.isnan(rows["ru"]["p_best"])
    page = (tmp_path / "r" / "ranking.html").read_text()
    assert "ranked apart: " in page and "ru 1" in page
    together = rank(*data.values(), out=str(tmp_path / "r"), exact=False, apart=False)
    assert names(together)[0] == "ru" and not find_apart(together) and len(together.table.names) == 10
    assert "careful     ru: in Russian, which the base does not read" in together.render()


@pytest.mark.parametrize(("learnt", "apart"), [(("en", "de"), {"ru", "tr"}), (("en",), {"de", "ru", "tr"})])
def test_a_language_that_the_base_was_trained_on_is_not_set_apart(data, tmp_path, learnt, apart):
    place = train(tmp_path / "model", learnt)
    found = rank(*(data[code] for code in ("en", "de", "ru", "tr")), model=place, out=str(tmp_path / "r"))
    assert find_apart(found) == apart and set(found.table.names) == set(learnt)


def make_languages(code, bits, tokens, examples=100):
    """A dataset with these bits and tokens a letter, in one language."""
    return DatasetLanguages({code: LanguageSums(examples, bits * 1000, tokens * 1000, 1000, 1000)})


MEASURED = {"fr": (1.76, 0.357), "es": (1.97, 0.364), "pt": (2.26, 0.385), "it": (2.30, 0.372), "de": (2.23, 0.377)}
"""Bits and tokens a letter of the answers of ``helpers.languages`` under SmolLM2-135M-Instruct."""
ENGLISH = {"oasst": (0.69, 0.226), "dolly": (0.76, 0.230), "parallel": (0.92, 0.226), "self-instruct": (1.08, 0.266)}
"""The same of English datasets."""


@pytest.mark.parametrize("other", MEASURED)
@pytest.mark.parametrize("easy", ENGLISH)
def test_romance_languages_and_german_are_apart_under_an_english_model_beside_any_english_dataset(easy, other):
    """Premise: beside the hardest English dataset, French and Spanish cost less than twice the bits a letter."""
    readings = judge_languages([make_languages("en", *ENGLISH[easy]), make_languages(other, *MEASURED[other])])
    assert readings[other].is_strange
    assert MEASURED["es"][0] < 2 * ENGLISH["self-instruct"][0]


@pytest.mark.parametrize(
    ("bits", "tokens", "apart"),
    [
        *((1.3, 0.3, False), (1.33, 0.33, False), (1.9, 0.22, False), (2.1, 0.2, True)),
        *((1.6, 0.35, True), (1.6, 0.25, False), (1.4, 0.9, False), (0.8, 0.9, False)),
    ],
)
def test_a_language_is_read_by_its_bits_and_its_tokens_together(bits, tokens, apart):
    english, other = make_languages("en", 1.0, 0.22), make_languages("de", bits, tokens)
    readings = judge_languages([english, other])
    assert is_apart(other, readings) == apart and not is_apart(english, readings)


def test_a_dataset_of_garbage_does_not_make_its_language_strange():
    """Premise: two of three datasets of the language are read well."""
    good, garbage = make_languages("de", 1.1, 0.3), make_languages("de", 5.0, 0.6, examples=5000)
    readings = judge_languages([make_languages("en", 1.0, 0.2), good, good, garbage])
    assert readings["de"].bits == pytest.approx(1.1) and not is_apart(garbage, readings)


def test_datasets_of_one_language_alone_are_never_apart_and_flagged_where_it_is_hard():
    hard = make_languages("ru", 5.0, 1.0)
    readings = judge_languages([hard])
    assert not is_apart(hard, readings) and "hardly reads" in find_language_flags(hard, readings)[0]
    assert find_language_flags(make_languages("ru", 1.5, 0.3), judge_languages([make_languages("ru", 1.5, 0.3)])) == ()


def test_a_part_in_a_language_that_is_not_read_is_mentioned():
    russian = make_languages("ru", 5.0, 1.0)
    mixed = DatasetLanguages({"en": LanguageSums(70, 70, 20, 70, 70), "ru": LanguageSums(30, 150, 30, 30, 55)})
    readings = judge_languages([make_languages("en", 1.0, 0.2), mixed, russian])
    assert not is_apart(mixed, readings)
    (flag,) = find_language_flags(mixed, readings)
    assert flag.startswith("30 % of it in Russian, which the base does not read")


def test_few_examples_and_code_have_no_language(tmp_path):
    assert DatasetLanguages({"ru": LanguageSums(4, 1, 1, 1, 1)}).main == ""
    code = [
        {"question": f"f{n}", "answer": f"def f{n}(x, y):\n    return [x[i] ** {n} for i in range(y)]"}
        for n in range(9)
    ]
    drawn = draw_sample(open_set(sft.write(tmp_path / "code.jsonl", code)), None, 0)
    assert identify_examples(drawn.examples) == {}


def test_a_short_answer_is_judged_with_its_question(tmp_path):
    rows = [{"question": row["question"], "answer": "да"} for row in rows_in("ru")]
    found = identify_examples(draw_sample(open_set(sft.write(tmp_path / "a.jsonl", rows)), None, 0).examples)
    assert found and {(code, is_answer) for code, _, is_answer in found.values()} == {("ru", False)}


def test_the_same_text_has_about_as_many_letters_in_every_language():
    english = sum(count_letters(answer) for _, answer in SETS["en"])
    for code, pairs in SETS.items():
        assert math.isclose(sum(count_letters(answer) for _, answer in pairs), english, rel_tol=0.25), code
