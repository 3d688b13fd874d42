"""The detector: eval sets made ready once, then any number of texts looked through, in batches of bounded size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from curate.stages.decontaminate.matches import Match, judge, settle
from curate.stages.decontaminate.minhash_index import SignedWindows, find_by_minhash, sign_probes
from curate.stages.decontaminate.ngram_index import (
    CandidateBatch,
    Candidates,
    NgramIndex,
    find_by_ngrams,
    make_batch,
    make_index,
)
from curate.stages.decontaminate.queries import EvalQueries, IndexedItem, make_probes
from curate.stages.decontaminate.surprisal import load_background

METHODS = ("ngram", "minhash")
BATCH_CHARS = 250_000
PIECE_CHARS = 400_000  # a longer text is looked through in pieces
OVERLAP_CHARS = 40_000  # that share this much at least, and as much as the longest item takes twice


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """Eval items that texts can be searched for."""

    method: Literal["ngram", "minhash"]
    probes: EvalQueries
    index: NgramIndex
    signed: SignedWindows | None
    """The signatures of the probes, for ``minhash``."""

    def find(self, batch: CandidateBatch) -> Candidates:
        if self.signed is not None:
            return find_by_minhash(self.signed, self.index, batch)
        return find_by_ngrams(self.index, batch)

    def scan(self, texts: Sequence[str]) -> list[Match]:
        """The matches in some texts, of one item as many as lie apart; ``Match.document`` counts the texts from 0."""
        found: list[Match] = []
        for pieces in batches(texts, self.overlap):
            shown = [piece for _, _, piece in pieces]
            batch = make_batch(shown)
            for match in judge(self.probes, batch, shown, self.find(batch)):
                number, base, _ = pieces[match.document]
                found.append(replace(match, document=number, start=match.start + base, end=match.end + base))
        return settle(found)

    @property
    def overlap(self) -> int:
        """Characters that two pieces of a long text share."""
        return max(OVERLAP_CHARS, 2 * max((len(probe.text) for probe in self.probes.probes), default=0))


def make_detector(items: Sequence[IndexedItem], method: Literal["ngram", "minhash"] = "ngram") -> Detector:
    """A detector of some eval items."""
    background = load_background()
    probes = make_probes(items, background)
    signed = sign_probes(probes) if method == "minhash" else None
    return Detector(method, probes, make_index(probes), signed)


def batches(texts: Sequence[str], overlap: int) -> Iterator[list[tuple[int, int, str]]]:
    """Texts in groups of about BATCH_CHARS; a long one as pieces with their places, sharing ``overlap`` characters."""
    held: list[tuple[int, int, str]] = []
    size = 0
    for number, text in enumerate(texts):
        for base, piece in pieces_of(text, overlap):
            held.append((number, base, piece))
            size += len(piece)
            if size >= BATCH_CHARS:
                yield held
                held, size = [], 0
    if held:
        yield held


def pieces_of(text: str, overlap: int) -> Iterator[tuple[int, str]]:
    """The text, or pieces of it that begin and end at white space where there is any near."""
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
