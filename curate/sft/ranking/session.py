"""One ranking under way: datasets are sampled, measured under a reader, and ranked; samples may grow.

A larger sample contains the examples of a smaller one, so examples that were measured before come from the cache.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.chat.named_columns import FieldNames
from curate.errors import Interrupted, ModelError
from curate.rundir.run import compute_fingerprint
from curate.runtime import console
from curate.sft.chat_template.choose import find_choice, repeat_with_other
from curate.sft.datasets import DatasetSample, InstructionSet, draw_sample
from curate.sft.examples import MARKED
from curate.sft.measuring import response_cache, responses
from curate.sft.measuring.reader import RankingOptions
from curate.sft.measuring.response_cache import ResponseCache
from curate.sft.measuring.responses import RESPONSES, ResponseReader
from curate.sft.ranking.languages import LanguageTexts, identify_examples
from curate.sft.ranking.measured_dataset import collect_sums
from curate.sft.ranking.table import NeighbourPair, RankingTable, rank_measured
from curate.stages.score.request import comparable_identity

if TYPE_CHECKING:
    from curate.sft.datasets import DrawnExample


GATHERED = 32
"""Batches of measured examples that are copied into one table; many small ones pin some thirty times their size."""
MARKS = 1
"""The version of the rules by which turns are marked not to be learnt; raised when they change."""
GROWTH = 2
"""The factor by which a sample grows where neighbours cannot be told apart."""
FURTHEST = 64
"""The largest sample, in multiples of the first one."""
HOPELESS = 20
"""A pair that needs this many times the largest possible sample is given up."""


@dataclass(slots=True)
class RankingSession:
    """The datasets of a ranking, their samples, and the cache of measured examples."""

    datasets: Sequence[InstructionSet]
    cache: ResponseCache
    options: RankingOptions
    restart: bool = False
    """Whether the first measurement ignores the cache."""
    samples: dict[str, DatasetSample] = field(default_factory=dict)
    """By the name of the dataset."""
    languages: dict[str, tuple[int, LanguageTexts]] = field(default_factory=dict)
    """The size of a sample whose languages are known, and these, by the name of the dataset."""
    look: int = 1
    """The number of the present look at the samples."""
    looks: int = 1
    """The most looks that there may be, over which what is claimed holds; ``plan_looks`` sets it."""

    def draw(self, name: str, count: int | None) -> None:
        """Replace the sample of a dataset by one of ``count`` examples; None: all."""
        dataset = next(dataset for dataset in self.datasets if dataset.name == name)
        self.samples[name] = draw_sample(dataset, count, self.options.seed, self.options.turns)

    def draw_all(self) -> None:
        """Draw the first sample of every dataset, and print what was read."""
        for dataset in self.datasets:
            self.draw(dataset.name, self.options.sample)
            console.say("reading", describe_sample(dataset, self.samples[dataset.name]))

    def measure(self, reader: ResponseReader) -> dict[str, pa.Table]:
        """Return the responses of every dataset's sample by name, from the cache or measured under ``reader``.

        Raises Interrupted on Ctrl-C, with finished batches in the cache; ModelError where not one example of a dataset
        can be scored.
        """
        cached_and_missing = {dataset.name: self._find_missing(reader, dataset) for dataset in self.datasets}
        characters = sum(count_characters(missing) for _, missing in cached_and_missing.values())
        with console.progress("measuring", characters or None) as progress:
            try:
                name_to_responses = {
                    dataset.name: self._measure_missing(reader, dataset, *cached_and_missing[dataset.name], progress)
                    for dataset in self.datasets
                }
            except KeyboardInterrupt:
                message = f"stopped after {progress.documents:,} examples; what was measured is kept"
                raise Interrupted(message, "the same command goes on from here") from None
        self.restart = False
        for name, table in name_to_responses.items():
            require_scored_examples(name, table, reader)
        return name_to_responses

    def _find_missing(self, reader: ResponseReader, dataset: InstructionSet) -> tuple[pa.Table, list["DrawnExample"]]:
        """Return the cached responses of a dataset, and the examples of its sample that are not among them."""
        variant, made_from = self._describe_origin(reader, dataset)
        cached = RESPONSES.empty_table() if self.restart else self.cache.load(variant, dataset.name, made_from)
        known = set(response_cache.list_keys(cached))
        examples = self.samples[dataset.name].examples
        return cached, [drawn for drawn in examples if (drawn.file, drawn.row, drawn.part) not in known]

    def _measure_missing(
        self,
        reader: ResponseReader,
        dataset: InstructionSet,
        cached: pa.Table,
        missing: "Sequence[DrawnExample]",
        progress: console.Progress,
    ) -> pa.Table:
        """Measure the missing examples, store them, and return the responses of the sample."""
        variant, made_from = self._describe_origin(reader, dataset)
        parts, recent = [cached], list[pa.Table]()
        try:
            for part in responses.measure_examples(reader, missing, lambda *done: progress.advance(*done)):
                recent.append(part)
                if len(recent) == GATHERED:
                    parts.append(pa.concat_tables(recent).combine_chunks())
                    recent.clear()
        finally:
            parts += recent
            if len(parts) > 1:
                self.cache.store(variant, dataset.name, made_from, pa.concat_tables(parts))
        keys = [(drawn.file, drawn.row, drawn.part) for drawn in self.samples[dataset.name].examples]
        return response_cache.pick_responses(pa.concat_tables(parts), keys)

    def _describe_origin(self, reader: ResponseReader, dataset: InstructionSet) -> tuple[dict[str, Any], str]:
        """Return the model and template that responses depend on, and the fingerprint of these with the dataset."""
        variant = {
            "model": comparable_identity(reader.reference.identity),
            "template": reader.template.fingerprint(),
            "turns": self.options.turns,
            "end_of_turn": self.options.end_of_turn,
        }
        origin = {**variant, "dataset": dataset.corpus.identity(), "schema": dataset.spelled_schema}
        sample = self.samples[dataset.name]
        if sample.marks or MARKED in sample.refused:
            origin["marks"] = MARKS
        return variant, compute_fingerprint(origin)

    def rank(self, name_to_responses: Mapping[str, pa.Table]) -> RankingTable:
        """Return the table of the ranking."""
        names = [dataset.name for dataset in self.datasets]
        measured = [collect_sums(name, name_to_responses[name], self._identify(name)) for name in names]
        options = self.options
        return rank_measured(
            measured,
            options.by,
            options.draws,
            options.seed,
            self.looks,
            apart=options.apart,
            set_aside=options.set_aside,
        )

    def _identify(self, name: str) -> LanguageTexts:
        """Return the languages of a dataset's sample."""
        examples = self.samples[name].examples
        known, texts = self.languages.get(name, (0, {}))
        if known != len(examples):
            texts = identify_examples(examples)
            self.languages[name] = (len(examples), texts)
        return texts

    def plan_looks(self) -> None:
        """Set the number of looks, from the sizes of the datasets alone: it must not depend on what is measured."""
        first = self.options.sample or math.inf
        growths = [self._find_largest_sample(dataset.name) / first for dataset in self.datasets]
        self.looks = 1 + max((math.ceil(math.log(growth, GROWTH)) for growth in growths if growth > 1), default=0)

    def grow(self, table: RankingTable) -> bool:
        """Draw more examples of neighbours that cannot be told apart yet; return whether any were drawn.

        The k-th look is at ``GROWTH`` to the k − 1 times the first sample of a dataset, up to all its examples and
        ``FURTHEST`` times the first sample; a dataset that was passed over before catches up. A pair with so small a
        difference that it would need ``HOPELESS`` times that is given up. Whoever looks several times finds a
        difference by chance more often than one time in twenty: ``plan_looks``, called before the first look, makes
        ``rank`` hold over all of them.
        """
        pairs = [pair for pair in table.pairs if not pair.separated and self._may_separate(pair)]
        size, grown = GROWTH**self.look * (self.options.sample or 0), False
        for name in sorted({name for pair in pairs for name in (pair.better, pair.worse)}):
            count, target = len(self.samples[name].examples), min(self._find_largest_sample(name), size)
            if count < target:
                self.draw(name, target)
                grown = True
        self.look += grown
        return grown

    def _find_largest_sample(self, name: str) -> int:
        """Return how large a dataset's sample may become."""
        available = self.samples[name].available
        return min(available, FURTHEST * (self.options.sample or available))

    def _may_separate(self, pair: NeighbourPair) -> bool:
        return any(
            not needed > HOPELESS * self._find_largest_sample(name)
            for name, needed in zip((pair.better, pair.worse), pair.needed, strict=True)
        )


def require_scored_examples(name: str, table: pa.Table, reader: ResponseReader) -> None:
    """Raise ModelError where not one drawn example of a dataset was scored: then the template or the model is wrong."""
    if table.num_rows and not pc.any(pc.equal(table["status"], "ok")).as_py():
        reason, count = count_reasons(table).most_common(1)[0]
        message = f"{name}: none of {table.num_rows:,} examples can be scored; {count:,}: {reason}"
        template = reader.template
        raise ModelError(message, repeat_with_other(template.tokenizer, find_choice(template), template.end_of_turn))


def count_reasons(table: pa.Table) -> Counter[str]:
    """Return how many examples could not be scored, by reason."""
    unscored = table.filter(pc.not_equal(table["status"], "ok"))
    return Counter(reason or "?" for reason in unscored["reason"].to_pylist())


def count_characters(examples: "Sequence[DrawnExample]") -> int:
    """Return the characters of all turns."""
    return sum(len(turn.text) for drawn in examples for turn in drawn.example.turns)


def describe_sample(dataset: InstructionSet, sample: DatasetSample) -> str:
    """Return a line such as ``gsm8k_train   7,473 rows, question   1,000 of 7,473 examples``."""
    schemas = sample.schemas.items()
    kinds = ", ".join(f"{name} {rows:,}" if len(schemas) > 1 else name for name, rows in schemas)
    drawn = f"{len(sample.examples):,} of " if len(sample.examples) < sample.available else ""
    named = describe_fields(dataset.fields)
    return f"{dataset.name}   {sample.rows:,} rows, {kinds}{named}   {drawn}{sample.available:,} examples"


def describe_fields(fields: FieldNames) -> str:
    """Return the names that a dataset has for its columns, in brackets behind its schema; nothing without names."""
    parts = [f"{key} in {' and '.join(getattr(fields, key))}" for key in ("messages", "prompt", "response")]
    parts = [part for part, key in zip(parts, ("messages", "prompt", "response"), strict=True) if getattr(fields, key)]
    keys = (("who speaks", fields.role_key), ("what is said", fields.content_key))
    parts += [f"{what} in {key[0]}" for what, key in keys if key]
    parts += [f"transcripts in {' and '.join(fields.transcripts)}"] if fields.transcripts else []
    parts += [f"{own} is {standard}" for own, standard in fields.roles]
    return f" ({'; '.join(parts)})" if parts else ""
