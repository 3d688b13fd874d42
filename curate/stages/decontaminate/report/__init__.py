"""How the hits of ``decontaminate`` are shown: on the screen, and as one page in which to judge them.

Whoever judges a hit compares two texts, so the words that they share are marked in both, by the detector's own words
and alignment. The rest of a text is left as it is, except what a terminal or a browser would obey or hide: that is
spelled out.
"""

from curate.stages.decontaminate.report.html import MOST, write_page
from curate.stages.decontaminate.report.terminal import render

__all__ = ["MOST", "render", "write_page"]
