"""The nats of each token add up to those of the document, by the model that scored it."""

import pytest
from helpers import models
from helpers.texts import TEXTS

from curate.reference import load, token_surprisal
from curate.reference.likelihood import Passage
from curate.reference.protocol import ScoringConfig


@pytest.mark.parametrize("options", [{}, {"prefix": "none"}, {"max_tokens": 9}, {"window": 7, "overlap": 3}])
def test_the_nats_of_the_tokens_add_up_to_the_nats_of_the_document(tmp_path, options):
    reference = load(str(models.save(tmp_path, "gpt2")), ScoringConfig(exact=True, **options))
    (scored,) = reference.score([[Passage(text) for text in TEXTS]])
    for text, found, nats, tokens in zip(
        TEXTS, token_surprisal.measure_surprisal(reference, TEXTS), scored.nats, scored.tokens, strict=True
    ):
        if not tokens:
            assert found is None
            continue
        assert len(found.nats) == len(found.spans) == tokens
        assert found.nats.sum() == pytest.approx(nats, abs=1e-4 * tokens)
        pieces = token_surprisal.cut_spans(text, found)
        assert sum(piece.nats for piece in pieces) == pytest.approx(nats, abs=1e-4 * tokens)
        assert sum(piece.tokens for piece in pieces) == tokens
        joined = "".join(piece.text for piece in pieces)
        assert text.startswith(joined) and (options.get("max_tokens") or joined == text)
    gpt2 = load(str(models.save(tmp_path, "gpt2")), ScoringConfig(exact=True))
    pieces = token_surprisal.cut_spans(TEXTS[1], token_surprisal.measure_surprisal(gpt2, TEXTS)[1])
    assert any(piece.tokens > 1 and "한" in piece.text for piece in pieces)


def test_the_model_is_loaded_again_as_it_was_and_another_one_is_refused(tmp_path):
    from curate.errors import ModelError

    place = models.save(tmp_path / "m", "gpt2")
    first = load(str(place), ScoringConfig(exact=True, window=9, overlap=2, max_tokens=20))
    again = token_surprisal.reload_reference(first.identity)
    assert (again.policy, again.prefix) == (first.policy, first.prefix)
    models.save(tmp_path / "m", "gpt2", seed=1)
    with pytest.raises(ModelError, match="weights"):
        token_surprisal.reload_reference(first.identity)
