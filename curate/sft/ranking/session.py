"""Datasets measured under one base model and template: drawn, read, kept, and turned into a table of places.

A sample grows without being read again: the examples of a smaller sample are among those of a larger one, and what the
book holds of them is taken from there.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import Interrupted, ModelError
from curate.rundir.run import compute_fingerprint
from curate.runtime import console
from curate.sft.datasets import DatasetSample, InstructionSet, draw
from curate.sft.measuring import response_cache, responses
from curate.sft.measuring.reader import RankingOptions
from curate.sft.measuring.response_cache import ResponseCache
from curate.sft.measuring.responses import RESPONSES, ResponseReader
from curate.sft.ranking import table as ranking_table
from curate.sft.ranking.measures import SUMS
from curate.sft.ranking.table import MeasuredDataset, RankingTable

if TYPE_CHECKING:
    from curate.sft.datasets import DrawnExample


GROWTH = 2  # by which a sample grows where neighbours are to be told apart
FURTHEST = 64  # times the first sample, at most
HOPELESS = 20  # times the most that can be drawn, from which more is no use


@dataclass(slots=True)
class RankingSession:
    """The datasets, what was drawn of them, and where what was measured is kept."""

    sets: Sequence[InstructionSet]
    book: ResponseCache
    wanted: RankingOptions
    restart: bool = False
    drawn: dict[str, DatasetSample] = field(default_factory=dict)

    def draw(self, name: str, count: int | None) -> None:
        """Draw (more) examples of a dataset."""
        one = next(one for one in self.sets if one.name == name)
        self.drawn[name] = draw(one, count, self.wanted.seed, self.wanted.turns)

    def draw_all(self) -> None:
        """Draw the first sample of every dataset, and say what was read."""
        for one in self.sets:
            self.draw(one.name, self.wanted.sample)
            console.say("reading", describe_draw(one, self.drawn[one.name]))

    def measure(self, reader: ResponseReader) -> dict[str, pa.Table]:
        """The responses of every dataset's sample under a reader, by name, measured or taken from the book."""
        missing = {one.name: self._missing(reader, one) for one in self.sets}
        characters = sum(count_characters(found) for _, found in missing.values())
        with console.progress("measuring", characters or None) as progress:
            try:
                tables = {one.name: self._measure(reader, one, *missing[one.name], progress) for one in self.sets}
            except KeyboardInterrupt:
                message = f"stopped after {progress.documents:,} examples; what was measured is kept"
                raise Interrupted(message, "the same command goes on from here") from None
        self.restart = False
        for one in self.sets:
            refuse_hopeless(reader, one.name, tables[one.name])
        return tables

    def _missing(self, reader: ResponseReader, one: InstructionSet) -> tuple[pa.Table, list["DrawnExample"]]:
        """What the book holds of a dataset, and the examples of its sample that are not there."""
        variant, made_from = self._provenance(reader, one)
        held = RESPONSES.empty_table() if self.restart else self.book.load(variant, one.name, made_from)
        known = set(response_cache.keys(held))
        return held, [each for each in self.drawn[one.name].examples if (each.file, each.row, each.part) not in known]

    def _measure(
        self,
        reader: ResponseReader,
        one: InstructionSet,
        held: pa.Table,
        missing: "Sequence[DrawnExample]",
        progress: console.Progress,
    ) -> pa.Table:
        variant, made_from = self._provenance(reader, one)
        parts = [held]
        try:
            for part in responses.measure_examples(reader, missing, lambda *done: progress.advance(*done)):
                parts.append(part)
        finally:
            if len(parts) > 1:
                self.book.store(variant, one.name, made_from, pa.concat_tables(parts))
        wanted = [(each.file, each.row, each.part) for each in self.drawn[one.name].examples]
        return response_cache.pick(pa.concat_tables(parts), wanted)

    def _provenance(self, reader: ResponseReader, one: InstructionSet) -> tuple[dict[str, Any], str]:
        """Under which model and template, and the fingerprint of that with the dataset."""
        variant = {
            "model": reader.reference.identity,
            "template": reader.template.fingerprint(),
            "turns": self.wanted.turns,
            "end_of_turn": self.wanted.end_of_turn,
        }
        return variant, compute_fingerprint({**variant, "dataset": one.corpus.identity(), "schema": one.schema})

    def rank(self, tables: Mapping[str, pa.Table]) -> RankingTable:
        """The datasets in order."""
        entrants = [enter(one.name, tables[one.name]) for one in self.sets]
        return ranking_table.rank(entrants, self.wanted.by, self.wanted.draws, self.wanted.seed)

    def grow(self, table: RankingTable) -> bool:
        """Draw more where neighbours cannot be told apart and may yet be.  → whether anything was drawn

        A dataset's sample doubles, up to all its examples and ``FURTHEST`` times the first sample. A pair whose
        difference is next to nothing, so that it would take ``HOPELESS`` times that, is let be. Who looks several times
        is wrong more often than one in twenty; the intervals do not account for it.
        """
        close = [pair for pair in table.pairs if not pair.separated]
        more = False
        for name in sorted({name for pair in close if self._may_part(pair) for name in (pair.better, pair.worse)}):
            had, most = len(self.drawn[name].examples), self._most(name)
            if had < most:
                self.draw(name, min(most, GROWTH * max(had, 1)))
                more = True
        return more

    def _most(self, name: str) -> int:
        """How large a dataset's sample may become."""
        available = self.drawn[name].available
        return min(available, FURTHEST * (self.wanted.sample or available))

    def _may_part(self, pair: ranking_table.NeighbourPair) -> bool:
        return any(
            not need > HOPELESS * self._most(name)
            for name, need in zip((pair.better, pair.worse), pair.needed, strict=True)
        )


def enter(name: str, table: pa.Table) -> MeasuredDataset:
    """A dataset's drawn examples as sums, NaN for those that could not be scored."""
    ok = pc.equal(table["status"], "ok")
    sums = {key: table[key].cast(pa.float64()).to_numpy().astype(np.float64) for key in SUMS}
    return MeasuredDataset(name, sums, table.filter(ok)["answered"].to_numpy())


def refuse_hopeless(reader: ResponseReader, name: str, table: pa.Table) -> None:
    """ModelError where not one drawn example of a dataset could be scored: the template or the model is at fault."""
    if table.num_rows and not pc.any(pc.equal(table["status"], "ok")).as_py():
        reason, count = count_reasons(table).most_common(1)[0]
        message = f"{name}: none of {table.num_rows:,} examples can be scored; {count:,}: {reason}"
        hint = "try another --template: plain, chatml, or a Jinja file; --show-mask 2 shows what is scored"
        raise ModelError(message, hint)


def count_reasons(table: pa.Table) -> Counter[str]:
    """How many examples could not be scored, by reason."""
    bad = table.filter(pc.not_equal(table["status"], "ok"))
    return Counter(reason or "?" for reason in bad["reason"].to_pylist())


def count_notes(table: pa.Table) -> dict[str, int]:
    """What the template did to examples, by note."""
    notes = (note for row in table["notes"].to_pylist() if row for note in row.split("\n"))
    return dict(Counter(notes).most_common())


def count_characters(examples: "Sequence[DrawnExample]") -> int:
    return sum(len(turn.text) for one in examples for turn in one.example.turns)


def describe_draw(one: InstructionSet, found: DatasetSample) -> str:
    """``gsm8k_train   7,473 rows, question   1,000 of 7,473 examples``."""
    kinds = ", ".join(f"{name} {rows:,}" if len(found.schemas) > 1 else name for name, rows in found.schemas.items())
    drawn = f"{len(found.examples):,} of " if len(found.examples) < found.available else ""
    return f"{one.name}   {found.rows:,} rows, {kinds}   {drawn}{found.available:,} examples"
