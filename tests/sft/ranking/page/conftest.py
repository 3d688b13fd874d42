"""A ranking with everything, and its page."""

import pytest
from helpers.rankings import make_ranking

from curate.sft.ranking.page.html import draw_page


@pytest.fixture(scope="module")
def full():
    """A ranking with everything, and its page."""
    ranking = make_ranking()
    return ranking, draw_page(ranking)
