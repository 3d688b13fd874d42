"""The detector: eval sets are indexed once, then any number of texts is searched, in batches of bounded size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from curate.matching.entities import end_entity, open_entities
from curate.stages.decontaminate.matches import Match, judge_candidates, keep_best_matches
from curate.stages.decontaminate.minhash_index import SignedQueries, find_by_minhash, sign_queries
from curate.stages.decontaminate.ngram_index import (
    CandidateBatch,
    Candidates,
    NgramIndex,
    find_by_ngrams,
    make_batch,
    make_index,
)
from curate.stages.decontaminate.options import Method
from curate.stages.decontaminate.queries import EvalQueries, IndexedItem, adapt_queries, make_queries
from curate.stages.decontaminate.solutions import SolutionSearch, make_solution_search
from curate.stages.decontaminate.surprisal import load_word_model

BATCH_CHARS = 1_000_000
"""Characters that are searched at a time."""
PIECE_CHARS = 400_000
"""Characters beyond which a text is searched in pieces."""
OVERLAP_CHARS = 40_000
"""Characters that pieces share at least; more where an item is longer than half of that."""


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """Eval items that texts can be searched for."""

    method: Method
    queries: EvalQueries
    index: NgramIndex
    signed: SignedQueries | None
    """The signatures of the queries, for ``minhash``."""
    solutions: SolutionSearch | None = None
    """The items' solutions as tokens of code; None where there are none, or they are not searched for."""
    overlap: int = field(init=False)
    """Characters that two pieces of a long text share."""

    def __post_init__(self) -> None:
        """Measure the longest query once, not for each batch."""
        longest = max((len(query.text) for query in self.queries.queries), default=0)
        object.__setattr__(self, "overlap", max(OVERLAP_CHARS, 2 * longest))

    def find(self, batch: CandidateBatch) -> Candidates:
        """Return the candidates of a batch by the detector's method."""
        if self.signed is not None:
            return find_by_minhash(self.signed, self.index, batch)
        return find_by_ngrams(self.index, batch)

    def scan(self, texts: Sequence[str]) -> list[Match]:
        """Return the matches in some texts; ``Match.document`` is the index of the text.

        An item that a text contains several times gives as many matches.
        """
        matches: list[Match] = []
        for pieces in group_pieces(texts, self.overlap):
            piece_texts = [piece for _, _, piece in pieces]
            opened = [open_entities(piece) for piece in piece_texts]
            batch = make_batch(opened)
            found = judge_candidates(self.queries, batch, opened, self.find(batch))
            found += self.solutions.scan(piece_texts) if self.solutions else []
            for match in found:
                number, base, piece = pieces[match.document]
                end = end_entity(piece, opened[match.document], match.end)
                matches.append(replace(match, document=number, start=match.start + base, end=end + base))
        return keep_best_matches(matches)

    def adapt(self, texts: Sequence[str]) -> "Detector":
        """Return the detector of the same items for a corpus of which ``texts`` are a sample."""
        return replace(self, queries=adapt_queries(self.queries, texts))

    @property
    def unmatchable(self) -> tuple[int, ...]:
        """Return the indices of the items that neither a query nor a solution identifies."""
        found = set(self.solutions.queries.items.tolist()) if self.solutions else set()
        return tuple(number for number in self.queries.unmatchable if number not in found)


def make_detector(items: Sequence[IndexedItem], method: Method = "ngram", code: bool = True) -> Detector:
    """Return a detector of some eval items; with ``code`` their solutions are found whatever their names."""
    queries = make_queries(items, load_word_model())
    signed = sign_queries(queries) if method == "minhash" else None
    return Detector(method, queries, make_index(queries), signed, make_solution_search(items) if code else None)


def group_pieces(texts: Sequence[str], overlap: int) -> Iterator[list[tuple[int, int, str]]]:
    """Yield the texts in groups of about BATCH_CHARS, a long one as pieces that share ``overlap`` characters.

    Each entry is the index of the text, the index of the piece's first character in it, and the piece.
    """
    group: list[tuple[int, int, str]] = []
    size = 0
    for number, text in enumerate(texts):
        for base, piece in split_text(text, overlap):
            group.append((number, base, piece))
            size += len(piece)
            if size >= BATCH_CHARS:
                yield group
                group, size = [], 0
    if group:
        yield group


def split_text(text: str, overlap: int) -> Iterator[tuple[int, str]]:
    """Yield a text, or pieces of a long one, each with the index of its first character.

    Pieces begin and end at white space where there is some within a thousand characters.
    """
    if len(text) <= PIECE_CHARS + overlap:
        yield 0, text
        return
    begin = 0
    while begin < len(text):
        end = min(begin + PIECE_CHARS + overlap, len(text))
        end = end if end == len(text) else (text.rfind(" ", end - 1000, end) + 1 or end)
        yield begin, text[begin:end]
        if end == len(text):
            return
        begin = text.rfind(" ", end - overlap - 1000, end - overlap) + 1 or end - overlap
