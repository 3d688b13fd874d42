"""The hits of ``decontaminate`` on the terminal, and as one page in which to judge them.

To judge a hit one compares two texts, so the words that they share are marked in both, by the words and the alignment
of the detector. The rest of a text is unchanged, except for characters that a terminal or a browser would obey or
hide, which are spelled out.
"""

from curate.stages.decontaminate.report.html import PAGE_HITS, write_page
from curate.stages.decontaminate.report.redacted import redact_hits, redact_summary
from curate.stages.decontaminate.report.terminal import render_result

__all__ = ["PAGE_HITS", "redact_hits", "redact_summary", "render_result", "write_page"]
