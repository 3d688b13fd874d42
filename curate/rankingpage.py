"""A ranking as one HTML page: places with their whiskers, and examples."""

from curate.rankingscreen import Ranking


def draw_page(ranking: Ranking) -> str:
    """The page."""
    return f"<pre>{ranking.render()}</pre>"
