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
CODE_LINE = re.compile(
    r"(?:^|\\n|\"|>)[ \t]*(?:[>+.|\d]+[ \t]+)?(?:return|def|for|while|if|elif|print|yield|lambda|function|fn|func"
    r"|public|static|const|let|var|int|void|class|std)\b[^\n]{0,200}?[=\[\](){};<]",
    re.MULTILINE,
)


CLOSING = ")]}\"'"
"""Characters that are no tokens and belong to the token before them."""


@dataclass(frozen=True, slots=True, eq=False)
class SolutionSearch:
    """Solutions that texts can be searched for."""

    queries: CodeQueries
    index: CodeIndex

    def scan(self, texts: Sequence[str]) -> list[Match]:
        """Return the matches in some texts; ``Match.document`` is the index of the text."""
        chosen = [number for number, text in enumerate(texts) if holds_code(text)]
        batch = split_code([texts[number] for number in chosen])
        matches = judge_code(self.queries, batch, find_code_candidates(self.index, batch))
        return [self.place_match(match, chosen[match.document], texts) for match in matches]

    def place_match(self, match: Match, number: int, texts: Sequence[str]) -> Match:
        """Return a match in the text of that number, with the brackets and quotes that close it."""
        text, end = texts[number], match.end
        while end < len(text) and text[end] in CLOSING:
            end += 1
        return replace(match, document=number, end=end)


def make_solution_search(items: Sequence[IndexedItem]) -> SolutionSearch | None:
    """Return the search for the solutions of some eval items, None where no answer is code."""
    if next(list_solutions(items), None) is None:
        return None
    queries = make_code_queries(items, load_code_model())
    return SolutionSearch(queries, make_code_index(queries)) if len(queries) else None


def holds_code(text: str) -> bool:
    """Return whether a text has a line that may be a statement; cheap, and true of some prose."""
    if "(" not in text or not any(hint in text for hint in HINTS):
        return False
    return CODE_LINE.search(text) is not None
