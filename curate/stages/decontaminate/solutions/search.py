"""Texts searched for the solutions of eval items: where one may be, and only there, they are read as tokens."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from curate.matching.code_tokens import split_code
from curate.stages.decontaminate.matches import Match
from curate.stages.decontaminate.queries import IndexedItem
from curate.stages.decontaminate.solutions.candidates import CodeIndex, find_code_candidates, make_code_index
from curate.stages.decontaminate.solutions.matches import judge_code
from curate.stages.decontaminate.solutions.model import load_code_model
from curate.stages.decontaminate.solutions.prefilter import CodeStretch, Prefilter, make_prefilter
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
AHEAD = 1000
"""Characters before a stretch at least, with which a part begins that is read as code."""
LONG_MARKS = ('"""', "'''")
CLOSING = ")]}\"'"
"""Characters that are no tokens and belong to the token before them."""


@dataclass(frozen=True, slots=True, eq=False)
class SolutionSearch:
    """Solutions that texts can be searched for."""

    queries: CodeQueries
    index: CodeIndex
    prefilter: Prefilter

    def scan(self, texts: Sequence[str]) -> list[Match]:
        """Return the matches in some texts; ``Match.document`` is the index of the text."""
        regions = self.select_regions(texts)
        batch = split_code([texts[region.text][region.begin : region.end] for region in regions])
        candidates = find_code_candidates(self.index, batch, [region.queries for region in regions])
        edges = [region.find_edges(texts[region.text]) for region in regions]
        matches = judge_code(self.queries, batch, candidates, edges)
        return [self.place_match(match, regions[match.document], texts) for match in matches]

    def select_regions(self, texts: Sequence[str]) -> list["CodeRegion"]:
        """Return the parts of some texts that may hold a solution, in order."""
        hinted = [number for number, text in enumerate(texts) if hints_at_code(text)]
        stretches: dict[int, list[CodeStretch]] = {}
        for stretch in self.prefilter.select([texts[number] for number in hinted]):
            stretches.setdefault(hinted[stretch.text], []).append(stretch)
        return [
            region
            for number, of_text in stretches.items()
            for region in widen_stretches(number, texts[number], of_text)
        ]

    def place_match(self, match: Match, region: "CodeRegion", texts: Sequence[str]) -> Match:
        """Return a match in a region as one in its text, with the brackets that close it."""
        text, end = texts[region.text], match.end + region.begin
        while end < len(text) and text[end] in CLOSING:
            end += 1
        return replace(match, document=region.text, start=match.start + region.begin, end=end)


@dataclass(frozen=True, slots=True)
class CodeRegion:
    """A part of a text that is read as code."""

    text: int
    """Index of the text."""
    begin: int
    """Characters of the text, the end excluded."""
    end: int
    queries: frozenset[int]
    """The solutions that it may hold."""

    def find_edges(self, text: str) -> tuple[bool, bool]:
        """Return whether the text begins with this part, and whether it ends with it."""
        return not text[: self.begin].strip(), not text[self.end :].strip()


def make_solution_search(items: Sequence[IndexedItem]) -> SolutionSearch | None:
    """Return the search for the solutions of some eval items, None where no answer is code."""
    if next(list_solutions(items), None) is None:
        return None
    model = load_code_model()
    queries = make_code_queries(items, model)
    return SolutionSearch(queries, make_code_index(queries), make_prefilter(queries, model)) if len(queries) else None


def hints_at_code(text: str) -> bool:
    """Return whether a text has characters and words that any function has; most prose has not."""
    return "(" in text and any(sign in text for sign in SIGNS) and any(hint in text for hint in HINTS)


def widen_stretches(number: int, text: str, stretches: Sequence[CodeStretch]) -> Iterator[CodeRegion]:
    """Yield the parts of a text, of index ``number``, around the stretches of it, that hold code.

    A part begins where a statement outside of all blocks and of all long strings begins, so that strings are read as
    they are in the text, or with the text.
    """
    merged: list[tuple[int, int, set[int]]] = []
    for begin, end, query in sorted((stretch.begin, stretch.end, stretch.query) for stretch in stretches):
        begin = find_statement(text, begin - AHEAD)
        end = find_string_end(text, begin, find_line_end(text, end + AROUND))
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]), merged[-1][2] | {query})
        else:
            merged.append((begin, end, {query}))
    for begin, end, queries in merged:
        for first, last in list_regions(text[begin:end]):
            yield CodeRegion(number, begin + first, begin + last, frozenset(queries))


def find_statement(text: str, before: int) -> int:
    """Return the last index up to ``before`` at which an unindented line begins outside of long strings, or 0."""
    begin, end = before, max(before, 0)
    is_open = [text.count(mark, 0, end) % 2 for mark in LONG_MARKS]
    while (begin := text.rfind("\n", 0, max(begin, 0))) > 0:
        if not text[begin + 1].isspace():
            is_open = [(odd + text.count(mark, begin, end)) % 2 for odd, mark in zip(is_open, LONG_MARKS, strict=True)]
            if not any(is_open):
                return begin + 1
            end = begin
    return 0


def find_string_end(text: str, begin: int, end: int) -> int:
    """Return ``end``, or the end of the long string that is open there; none is open at ``begin``."""
    for mark in LONG_MARKS:
        if text.count(mark, begin, end) % 2:
            closing = text.find(mark, end)
            end = len(text) if closing < 0 else closing + len(mark)
    return end


def list_regions(text: str) -> list[tuple[int, int]]:
    """Return the first character and the end of each part of a text that may hold code, in order; few of prose do.

    Parts are whole lines, with those around them; a notebook is one part.
    """
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
