"""The reader of a model with its template: which variants are ranked under, and which windows answers are read in."""

import pytest

from curate.errors import UsageError
from curate.reference.protocol import ScoringConfig
from curate.sft.measuring.reader import ModelVariant, RankingOptions, list_variants, open_reader


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("builtin", None, "auto"), [("builtin", "auto")]),
        (("a", "b, c,a", "plain"), [("a", "plain"), ("b", "plain"), ("c", "plain")]),
        (("builtin", "b", "plain,chatml"), [("b", "plain"), ("b", "chatml")]),
        (("a", " ", " , "), [("a", "auto")]),
    ],
)
def test_every_model_is_read_with_every_template_once(given, expected):
    """Premise: the builtin model is the default, so that it is left out where ``--models`` names others."""
    assert list_variants(*given) == [ModelVariant(*one) for one in expected]


def test_no_model_measures_nothing():
    with pytest.raises(UsageError, match="--model none measures nothing"):
        list_variants("a", "none", "auto")


@pytest.mark.parametrize(("overlap", "expected"), [(None, 64), (0, 0), (127, 127)])
def test_a_window_reads_half_of_the_one_before_again_or_as_much_as_is_asked_for(llama, overlap, expected):
    reader = open_reader(ModelVariant(llama, "plain"), ScoringConfig(window=128), RankingOptions(overlap=overlap))
    assert reader.reference.policy.overlap == reader.reference.identity["overlap"] == expected


@pytest.mark.parametrize("overlap", [-1, 128])
def test_an_overlap_of_a_window_or_more_is_refused(llama, overlap):
    with pytest.raises(UsageError, match=f"from 0 to 127 .*, not {overlap}"):
        open_reader(ModelVariant(llama, "plain"), ScoringConfig(window=128), RankingOptions(overlap=overlap))
