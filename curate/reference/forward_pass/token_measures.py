"""What a batch of passages measures of its tokens beside their sums of nats: filled pack by pack, then summed by text.

prepare: kinds of bytes, bytes of tokens ──► record: nats of each token, bins of each window ──► finish: sums
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from curate.reference.checkpoints.tokenizer import TextEncoder
from curate.reference.forward_pass.framed_text import FramedText
from curate.reference.likelihood import Likelihoods
from curate.reference.measures import kind_sums
from curate.reference.measures.calibration import CalibrationBins
from curate.reference.measures.kind_sums import ScoredKinds, cut_scored
from curate.reference.measures.text_kinds import measure_kinds
from curate.reference.measures.token_bytes import find_token_begins
from curate.runtime.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from curate.runtime.choices import TokenMeasure


@dataclass(slots=True)
class TokenMeasures:
    """What is measured of the tokens of one batch."""

    row_to_kinds: dict[int, ScoredKinds] | None = None
    """By row of the likelihoods; a row whose tokens cannot be located has none. None: not asked for."""
    bins: CalibrationBins | None = None
    """None: not asked for."""
    nats: Float64Array = field(default_factory=lambda: np.zeros(0))
    """One for each id of the batch, as far as its window counts; only where kinds are asked for."""

    names: tuple[TokenMeasure, ...] = ()
    """All that was asked for."""

    @classmethod
    def make(cls, measures: Collection[TokenMeasure]) -> "TokenMeasures | None":
        """Return what holds the measures of a batch; None where nothing is asked for."""
        return cls({} if "kinds" in measures else None, names=tuple(measures)) if measures else None

    def add_text(
        self,
        row: int,
        text: str,
        ids_T: Int32Array,
        framed: FramedText,
        octets: list[tuple[int, int]],
        encoder: TextEncoder,
    ) -> None:
        """Keep the kinds of what is scored of a text: the ranges of bytes ``octets``.

        A text with scored tokens around it, which spell nothing of it, has none.
        """
        tokens = framed.list_scored()
        spelled = sum(last - first for first, last in tokens)
        if self.row_to_kinds is None or spelled != int((framed.windows[:, 1] - framed.windows[:, 2]).sum()):
            return
        begins = find_token_begins(encoder, text, ids_T)
        if begins is not None:
            self.row_to_kinds[row] = cut_scored(measure_kinds(text.encode()), begins, tokens, octets)

    def make_room(self, num_ids: int, num_windows: int) -> None:
        """Make room for the numbers of a batch with so many ids and windows."""
        if self.row_to_kinds is not None:
            self.nats = np.zeros(num_ids)
        if "calibration" in self.names:
            self.bins = CalibrationBins.make(num_windows)

    def record(
        self,
        windows: Int64Array,
        counts: Int64Array,
        at_N: Int64Array,
        nats_N: Float64Array,
        shares_W: Float64Array | None,
    ) -> None:
        """Keep the nats of the scored tokens of some windows; ``shares_W`` of all windows is how far each counts."""
        if self.row_to_kinds is not None:
            self.nats[at_N] = nats_N if shares_W is None else nats_N * np.repeat(shares_W[windows], counts)

    def record_likely(self, windows: Int64Array, counts: Int64Array, likely_NK: Float32Array, vocabulary: int) -> None:
        """Keep the calibration of some windows, given what ``likely_tokens`` found of their scored tokens."""
        assert self.bins is not None
        self.bins.record(windows, counts, likely_NK, vocabulary)

    def write_sums(self, likelihoods: Likelihoods, rows: Int64Array, begins: Int64Array, texts: Int64Array) -> None:
        """Write the sums into the likelihoods: NaN for a row without numbers.

        ``rows`` have windows, each from ``begins`` on; ``texts`` says where the tokens of each row begin in the batch.
        """
        ok = np.array([status == "ok" for status in likelihoods.status], np.bool_)
        for row, scored in (self.row_to_kinds or {}).items():
            if ok[row]:
                one = np.array([row])
                nats_K = kind_sums.sum_nats(scored, self.nats[texts[row, 0] + scored.at_S])
                bytes_K = kind_sums.count_bytes_by_kind(scored, int(likelihoods.scored_bytes[row]))
                for at, (nats, octets) in enumerate(zip(kind_sums.NATS, kind_sums.BYTES, strict=True)):
                    likelihoods.write_sums(nats, one, nats_K[at : at + 1])
                    likelihoods.write_sums(octets, one, bytes_K[at : at + 1].astype(np.float64))
        if self.bins is not None and len(rows):
            for name, values in self.bins.sum_texts(begins).items():
                likelihoods.write_sums(name, rows[ok[rows]], values[ok[rows]])
