"""A ranking under several variants names each by what distinguishes it."""

import pytest

from curate.sft.measuring.reader import ModelVariant
from curate.sft.ranking.rank import name_variant


@pytest.mark.parametrize(
    ("models", "templates", "names"),
    [
        ("a", ("auto",), ["a"]),
        ("ab", ("auto",), ["a", "b"]),
        ("a", ("plain", "chatml"), ["template plain", "template chatml"]),
        (
            "ab",
            ("plain", "chatml"),
            ["a, template plain", "a, template chatml", "b, template plain", "b, template chatml"],
        ),
    ],
)
def test_a_variant_is_named_by_what_differs(models, templates, names):
    variants = [ModelVariant(model, template) for model in models for template in templates]
    assert [name_variant(variant, variants) for variant in variants] == names
