"""Texts searched for the solutions of eval items: those that hold code, and only these, are read as tokens."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from curate.matching.code_tokens import split_code
from curate.stages.decontaminate.matches import Match
from curate.stages.decontaminate.queries import IndexedItem
from curate.stages.decontaminate.solutions.candidates import CodeIndex, find_code_candidates, make_code_index
from curate.stages.decontaminate.solutions.matches import judge_code
from curate.stages.decontaminate.solutions.model import load_code_model
from curate.stages.decontaminate.solutions.queries import CodeQueries, list_solutions, make_code_queries

HINTS = ("return", "def ", "print", "yield", "=>", "fn ", "cout", "puts", "for (", "for(")
"""One of these is in any function that is worth finding."""
SIGNS = ("=", "{", "[", "<", "+", "```")
"""So is one of these, beside a parenthesis; most prose has none. The last one fences code in Markdown."""
CODE_LINE = re.compile(
    r"(?:^|\\n|\"|>)[ \t]*(?:[>+.|\d]+[ \t]+)?(?:return|def|for|while|if|elif|print|yield|lambda|function|fn|func"
    r"|public|static|const|let|var|int|void|class|std)\b[^\n]{0,200}?[=\[\](){};<]",
    re.MULTILINE,
)


APART = 1500
"""Characters between two lines of code up to which they are of one region."""
AROUND = 300
"""Characters of a region before its first and behind its last line of code, at least."""
CLOSING = ")]}\"'"
"""Characters that are no tokens and belong to the token before them."""


@dataclass(frozen=True, slots=True, eq=False)
class SolutionSearch:
    """Solutions that texts can be searched for."""

    queries: CodeQueries
    index: CodeIndex

    def scan(self, texts: Sequence[str]) -> list[Match]:
        """Return the matches in some texts; ``Match.document`` is the index of the text."""
        regions = [(number, *region) for number, text in enumerate(texts) for region in list_regions(text)]
        batch = split_code([texts[number][begin:end] for number, begin, end in regions])
        matches = judge_code(self.queries, batch, find_code_candidates(self.index, batch))
        return [self.place_match(match, *regions[match.document][:2], texts) for match in matches]

    def place_match(self, match: Match, number: int, begin: int, texts: Sequence[str]) -> Match:
        """Return a match in the region from ``begin`` on as one in its text, with the brackets that close it."""
        text, end = texts[number], match.end + begin
        while end < len(text) and text[end] in CLOSING:
            end += 1
        return replace(match, document=number, start=match.start + begin, end=end)


def make_solution_search(items: Sequence[IndexedItem]) -> SolutionSearch | None:
    """Return the search for the solutions of some eval items, None where no answer is code."""
    if next(list_solutions(items), None) is None:
        return None
    queries = make_code_queries(items, load_code_model())
    return SolutionSearch(queries, make_code_index(queries)) if len(queries) else None


def list_regions(text: str) -> list[tuple[int, int]]:
    """Return the first character and the end of each part of a text that may hold code, in order; few of prose do.

    Parts are whole lines, with those around them; a notebook is one part.
    """
    if "(" not in text or not any(sign in text for sign in SIGNS) or not any(hint in text for hint in HINTS):
        return []
    regions: list[tuple[int, int]] = []
    for match in CODE_LINE.finditer(text):
        begin = regions[-1][0] if regions and match.start() <= regions[-1][1] + APART else match.start()
        regions[-1:] = (
            [(begin, match.end())] if regions and begin == regions[-1][0] else [*regions[-1:], (begin, match.end())]
        )
    if regions and '"source"' in text:
        return [(0, len(text))]
    return [
        (text.rfind("\n", 0, max(0, begin - AROUND)) + 1, find_line_end(text, end + AROUND)) for begin, end in regions
    ]


def find_line_end(text: str, start: int) -> int:
    """Return the index of the first line end from ``start`` on, the length of the text where there is none."""
    found = text.find("\n", start)
    return len(text) if found < 0 else found
