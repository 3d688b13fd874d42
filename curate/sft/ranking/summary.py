"""The result of ``curate rank-sft``: as text for a terminal, in at most 100 columns, and as one JSON object.

The verb imports this file, so it must load quickly: what needs NumPy is imported inside functions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curate.runtime.console import format_count
from curate.runtime.numbers import format_figure, format_share
from curate.runtime.text import align_right, command, fold_whitespace, pad_columns, shorten

if TYPE_CHECKING:
    from curate.sft.ranking.intervals import Interval
    from curate.sft.ranking.table import NeighbourPair, RankAgreement, RankedDataset, RankingTable

NAME, SCHEMA = 20, 14
"""Widths of columns."""
MOST_PAIRS = 6
"""Neighbours that cannot be told apart and are listed."""
EXACTLY = 1 - 1e-9
"""The rank correlation from which two orders are the same."""
FAR = 10_000
"""The factor of growth from which no number of needed examples is shown."""
OTHERWISE = "this order is by another measure, for which that was not shown"
CAUTION = (
    "That is a correlation over few datasets: it says which answers lie near the base, not whether they are right, "
    "safe, or what your task needs."
)


@dataclass(frozen=True, slots=True)
class Dataset:
    """The report of one dataset: what was read and scored. Rows = rows with examples + refused + unreadable."""

    name: str
    data: str
    """The paths, as the user gave them."""
    schemas: Mapping[str, int]
    """Rows by schema."""
    rows: int
    available: int
    """Examples in the dataset."""
    drawn: int
    """Examples in the sample."""
    refused: Mapping[str, int]
    """Rows without anything to learn, by reason."""
    unreadable: Mapping[str, int]
    """Rows that no schema reads, by reason."""
    not_scored: Mapping[str, int]
    """Drawn examples that could not be rendered or measured, by reason."""
    notes: Mapping[str, int]
    """Rendered examples that the template changed, by note."""
    long: int
    """Examples that are longer than the window, read in several."""
    prompt_tokens: float
    """Mean over the scored examples."""
    lengths: Mapping[str, float]
    """Quantiles of the scored tokens of an example, by percentage."""
    examples: Sequence[Mapping[str, Any]] = ()
    """A few examples, with their numbers and the beginning of their texts."""
    marks: Mapping[str, int] = field(default_factory=dict)
    """Rows by what is to be said of the marks by which turns are not to be learnt."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The columns and roles that are named, as ``FieldNames.as_dict``."""

    @property
    def schema(self) -> str:
        """The schema of most rows, with ``+`` if there are others."""
        if not self.schemas:
            return "–"
        first = max(self.schemas, key=lambda name: self.schemas[name])
        return first + (" +" if len(self.schemas) > 1 else "")

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "data": self.data,
            "schema": self.schema.removesuffix(" +"),
            "schemas": dict(self.schemas),
            "fields": dict(self.fields),
            "rows": self.rows,
            "examples": self.available,
            "drawn": self.drawn,
            "refused": dict(self.refused),
            "unreadable": dict(self.unreadable),
            "not_scored": dict(self.not_scored),
            "template_notes": dict(self.notes),
            "marks": dict(self.marks),
            "in_several_windows": self.long,
            "prompt_tokens": self.prompt_tokens,
            "response_token_quantiles": dict(self.lengths),
            "shown": [dict(example) for example in self.examples],
        }


@dataclass(frozen=True, slots=True)
class ThreeWayReading:
    """One dataset read in three ways, in bits per byte.

    By the base as raw text, by a chat model as raw text, and by the chat model in its template, the assistant's tokens
    only.
    """

    name: str
    base_raw: "Interval"
    chat_raw: "Interval"
    chat_template: "Interval"
    perplexities: tuple[float, float, float]
    """In the same order."""
    domain: str
    """foreign, ordinary or familiar to the base; – for fewer than three datasets."""
    alignment: str
    """foreign, ordinary or familiar to the chat model; – for fewer than three datasets."""
    advice: str

    def as_dict(self) -> dict[str, Any]:
        """Return the three readings as JSON."""
        three = {"base_raw": self.base_raw, "chat_raw": self.chat_raw, "chat_template": self.chat_template}
        record: dict[str, Any] = {"name": self.name}
        for (name, score), perplexity in zip(three.items(), self.perplexities, strict=True):
            record[name] = {"bits_per_byte": score.value, "interval": [score.low, score.high], "perplexity": perplexity}
        return record | {"domain": self.domain, "alignment": self.alignment, "advice": self.advice}


@dataclass(frozen=True, slots=True)
class Ranking:
    """Which instruction dataset fits a base model: the order, its uncertainty, and what was left out."""

    model: str
    template: str
    by: str
    turns: str
    end_of_turn: bool
    sample: int | None
    seed: int
    draws: int
    out: str
    datasets: tuple[Dataset, ...]
    """In the order in which they were given."""
    table: "RankingTable"
    compared: "tuple[RankAgreement, ...]" = ()
    """The comparison with each ranking of ``others``."""
    definitions: "tuple[RankAgreement, ...]" = ()
    """The comparison with the order by each other measure."""
    others: "Mapping[str, RankingTable]" = field(default_factory=dict)
    """The tables under the other models and templates, by name."""
    chat_model: str | None = None
    readings: tuple[ThreeWayReading, ...] = ()
    """With ``chat_model`` only."""
    identity: Mapping[str, Any] = field(default_factory=dict)
    """The identity of the base model."""
    apart: bool = True
    """Whether datasets in a language that the base does not read are ranked apart."""
    set_aside: bool = True
    """Whether datasets that repeat their answers have no rank."""
    runs: tuple[str, ...] = ()
    """The run directories of ``--examples``, in the order of ``datasets``; empty without it."""
    redaction: str | None = None
    """What is redacted in the examples that are shown, as ``--redact`` takes it; None for nothing."""

    @property
    def exit_code(self) -> int:
        """3 when some rows could not be read, else 0."""
        return 3 if any(dataset.unreadable for dataset in self.datasets) else 0

    def dataset(self, name: str) -> Dataset:
        """Return the report of a dataset."""
        return next(dataset for dataset in self.datasets if dataset.name == name)

    def as_dict(self) -> dict[str, Any]:
        """Return the ranking as JSON. ``datasets`` are best first; those apart and those set aside last, unranked."""
        from curate.sft.ranking.table import as_record

        return {
            "model": self.model,
            "template": self.template,
            "by": self.by,
            "turns": self.turns,
            "end_of_turn": self.end_of_turn,
            "sample": self.sample,
            "seed": self.seed,
            "draws": self.draws,
            "apart": self.apart,
            "set_aside": self.set_aside,
            "length_correlation": self.table.length.correlation,
            "is_order_of_length": self.table.length.is_by_length,
            "datasets": [as_record(ranked) | self.dataset(ranked.name).as_dict() for ranked in self.table.datasets],
            "neighbours": [describe_pair(pair) for pair in self.table.pairs],
            "looks": self.table.looks,
            "compared": [describe_agreement(one) for one in self.compared],
            "other_rankings": {
                name: [as_record(ranked) for ranked in table.datasets] for name, table in self.others.items()
            },
            "definitions": [describe_agreement(one) for one in self.definitions],
            "chat_model": self.chat_model,
            "three_way": [reading.as_dict() for reading in self.readings],
            "reference": dict(self.identity),
            "out": self.out,
            "runs": list(self.runs),
            "redaction": self.redaction,
        }

    def render(self) -> str:
        """Return the text for a terminal."""
        lines = [*self._render_table(), *self._list_flags(), *self._list_close_pairs(), *self._list_left_out()]
        lines += [*self._list_agreements(), *self._render_readings(), "", *wrap(self._explain_order())]
        return "\n".join([*lines, "", *self._list_next_steps()])

    def _render_table(self) -> list[str]:
        from curate.sft.ranking.languages import name_language
        from curate.sft.ranking.measures import MEASURES

        title = MEASURES[self.by].heading
        rsr = "" if self.by == "rsr" else f"{'RSR':>6}"
        head = f"{'#':>2}  {'dataset':<{NAME}}{'schema':<{SCHEMA}}{'examples':>8} {title:>15} {'':<6}{rsr}{'IFD':>6}"
        lines = [f"{head}{'tokens':>7}  rank"]
        main, apart, aside = self._split_datasets()
        lines += map(self._render_dataset, main)
        for language in dict.fromkeys(ranked.language for ranked in apart):
            lines.append(f"    apart: in {name_language(language)}, which the base does not read")
            lines += [self._render_dataset(ranked) for ranked in apart if ranked.language == language]
        lines += ["    set aside"] * bool(apart and aside)
        lines += map(self._render_dataset, aside)
        return [*lines, *self._explain_letters(), *self._explain_length()] if len(lines) > 1 else []

    def _split_datasets(self) -> "tuple[list[RankedDataset], list[RankedDataset], list[RankedDataset]]":
        """Return the datasets that are ranked, those that are ranked apart, and those that are set aside."""
        datasets = self.table.datasets
        apart = [ranked for ranked in datasets if ranked.apart]
        aside = [ranked for ranked in datasets if ranked.set_aside]
        return [ranked for ranked in datasets if not ranked.apart and not ranked.set_aside], apart, aside

    def _explain_length(self) -> list[str]:
        """Return the rank correlation of the order with response length, and a warning where the order is that."""
        length = self.table.length
        if math.isnan(length.correlation):
            return []
        found = f"rank correlation of the order with response length {length.correlation:.2f}".replace("-", "−")
        lines = [f"    {found} over {length.datasets} datasets"]
        if length.is_by_length:
            first = "longest" if length.correlation < 0 else "shortest"
            chance = f"chance alone gives one as strong in {format_share(length.p_value, 1)}"
            warning = f"this is {'' if abs(length.correlation) > EXACTLY else 'nearly '}an order by response length"
            other = "" if self.by == "residual" else "; --by residual ranks at equal lengths"
            lines += wrap(f"{warning}, {first} first ({chance}){other}", "careful     ")
        return lines

    def _explain_letters(self) -> list[str]:
        """Return how often the best dataset is first, and what the letters mean."""
        datasets = self._split_datasets()[0]
        lines = []
        if datasets and not math.isnan(datasets[0].best):
            lines += wrap(f"{datasets[0].name} is first in {format_share(datasets[0].best, 1)} of the draws", " " * 4)
        letters = "".join(ranked.group for ranked in self.table.datasets)
        if len(set(letters)) < len(letters):
            shared = f"datasets that share a letter cannot be told apart, {self._describe_correction()}"
            lines += wrap(shared, " " * 4)
        if self.table.looks > 1:
            held = "ranks, letters and neighbours are corrected for growing samples; the intervals of numbers are not"
            lines += wrap(held, " " * 4)
        return lines

    def _describe_correction(self) -> str:
        """Return over what the letters, the ranks and the separation of neighbours hold."""
        looks = f" and up to {self.table.looks} looks" if self.table.looks > 1 else ""
        return f"all pairs{looks} held at once"

    def _render_dataset(self, ranked: "RankedDataset") -> str:
        scores, schema = ranked.scores, self.dataset(ranked.name).schema
        score = scores[self.by]
        rsr = "" if self.by == "rsr" else align_right(format_number(scores["rsr"].value), 6)
        rank = "set aside" if ranked.set_aside else f"{format_rank_interval(ranked):<6}{ranked.group}".rstrip()
        line = f"{ranked.rank or '–':>2}  {_pad(ranked.name, NAME)}{_pad(schema, SCHEMA)}"
        line += f"{ranked.examples:>8,} {format_number(score.value):>7} {format_interval(score):<14}{rsr}"
        line += align_right(format_number(scores["ifd_ppl"].value), 6)
        line += align_right(f"{scores['response_tokens'].value:,.0f}", 7)
        return f"{line}  {rank}"

    def _list_flags(self) -> list[str]:
        from curate.sft.ranking.measures import MEASURES

        lines = []
        if reason := MEASURES[self.by].no_interval:
            warning = f"{MEASURES[self.by].phrase} has no interval, and tells no datasets apart: {reason}"
            lines += wrap(f"{warning}; --by perplexity has one", "careful     ")
        for ranked in self.table.datasets:
            if ranked.set_aside:
                lines += wrap(f"{ranked.name}: {ranked.flags[0]}", "set aside   ")
            elif ranked.apart:
                lines += wrap(f"{ranked.name}: {'; '.join(ranked.flags)}", "apart       ")
            elif ranked.flags:
                lines += wrap(f"{ranked.name}: {'; '.join(ranked.flags)}", "careful     ")
        return lines

    def _list_close_pairs(self) -> list[str]:
        """Return the neighbours that cannot be told apart, and how many examples would do it."""
        close = [pair for pair in self.table.pairs if not pair.separated]
        lines = [line for pair in close[:MOST_PAIRS] for line in wrap(self._describe_close_pair(pair))]
        if len(close) > MOST_PAIRS:
            lines.append(f"and {len(close) - MOST_PAIRS} more pairs of neighbours (ranking.json)")
        return ["", *lines] if lines else []

    def _describe_close_pair(self, pair: "NeighbourPair") -> str:
        had = " and ".join(f"{number:,}" for number in dict.fromkeys(pair.examples))
        text = f"{pair.better} and {pair.worse} cannot be told apart with {had} examples; "
        if not all(map(math.isfinite, pair.needed)):
            same = any(map(math.isinf, pair.needed))
            return text + ("they are the same" if same else "they are too few to say more")
        if min(pair.needed) > FAR * min(pair.examples):
            return text + "the difference is next to nothing"
        text += (
            f"about {' and '.join(format_count(round_up(number)) for number in dict.fromkeys(pair.needed))} would do"
        )
        beyond = []
        for name, needed in zip((pair.better, pair.worse), pair.needed, strict=True):
            available = self.dataset(name).available
            if needed > available:
                beyond.append(f"{name} has {available:,}")
        return f"{text}; {' and '.join(beyond)} in all" if beyond else text

    def _list_left_out(self) -> list[str]:
        """Return the rows and examples without numbers, and those that the template or the window changed."""
        lines: list[str] = []
        for dataset in self.datasets:
            for label, reason_to_count in (
                ("unreadable", dataset.unreadable),
                ("no example", dataset.refused),
                ("not scored", dataset.not_scored),
                ("template", dataset.notes),
                ("marks", dataset.marks),
            ):
                for reason, number in reason_to_count.items():
                    lines += wrap(f"{dataset.name} {number:,}: {reason}", f"{label:<12}")
            if dataset.long:
                windows = f"{dataset.name} {dataset.long:,}: longer than the window, read in several"
                lines += wrap(windows, f"{'windows':<12}")
        return ["", *lines] if lines else []

    def _list_agreements(self) -> list[str]:
        from curate.sft.ranking.measures import MEASURES

        lines: list[str] = []
        for agreement in self.compared:
            compared = f"{agreement.second}   {format_tau(agreement)}; {describe_changes(agreement)}"
            lines += wrap(compared, "compared    ")
        if self.definitions:
            shown = ", ".join(f"{MEASURES[other.second].heading} {other.tau:.2f}" for other in self.definitions)
            lines += wrap(f"Kendall's τ with the order by {MEASURES[self.by].heading}: {shown}", "by others   ")
        return ["", *lines] if lines else []

    def _render_readings(self) -> list[str]:
        if not self.readings:
            return []
        head = f"{'bits per byte':<{NAME}}{'base, raw':>11}{'chat, raw':>11}{'chat, own':>11}   reading"
        lines = ["", head]
        for reading in self.readings:
            three = (reading.base_raw, reading.chat_raw, reading.chat_template)
            numbers = "".join(f"{format_number(score.value):>11}" for score in three)
            begin = f"{_pad(reading.name, NAME)}{numbers}   "
            lines += wrap(f"domain {reading.domain}, answers {reading.alignment}; {reading.advice}", begin)
        return lines

    def _explain_order(self) -> str:
        """Return what is known of the measure, and what the order does not show."""
        from curate.sft.ranking.measures import MEASURES

        measure = MEASURES[self.by]
        return f"{measure.study}{'' if measure.is_studied else f'; {OTHERWISE}'}. {CAUTION}"

    def _list_next_steps(self) -> list[str]:
        lines = [f"{self.out}/ranking.html   the same as a picture, with examples; ranking.json, ranking.parquet"]
        name_to_run = dict(zip((dataset.name for dataset in self.datasets), self.runs, strict=False))
        first = self.table.datasets[0]
        if (best := name_to_run.get(first.name)) and not (first.apart or first.set_aside):
            lines.append(f"next: {command('select-sft', best)} --by ifd --rate 0.1")
        return lines


def describe_pair(pair: "NeighbourPair") -> dict[str, Any]:
    """Return a pair of neighbours as JSON."""
    return {
        "better": pair.better,
        "worse": pair.worse,
        "apart_in": pair.language or None,
        "separated": pair.separated,
        "reversed_share": pair.reversed_share,
        "examples": list(pair.examples),
        "examples_needed": list(pair.needed),
    }


def describe_agreement(agreement: "RankAgreement") -> dict[str, Any]:
    """Return the comparison of two rankings as JSON."""
    return {
        "first": agreement.first,
        "second": agreement.second,
        "kendall_tau": agreement.tau,
        "interval": [agreement.low, agreement.high],
        "reversed_pairs": agreement.reversals,
        "changed_beyond_chance": [list(pair) for pair in agreement.changes],
    }


def format_tau(agreement: "RankAgreement") -> str:
    """Return a text such as ``Kendall's τ 0.82 [0.71, 0.93]``."""
    if math.isnan(agreement.tau):
        return "Kendall's τ needs at least two datasets"
    return f"Kendall's τ {agreement.tau:.2f} [{agreement.low:.2f}, {agreement.high:.2f}]"


def describe_changes(agreement: "RankAgreement") -> str:
    """Return which pairs change their order beyond chance, or how many do by chance."""
    if agreement.changes:
        pairs = ", ".join(f"{better} before {worse} becomes the reverse" for better, worse in agreement.changes[:3])
        more = f", and {len(agreement.changes) - 3} more pairs" if len(agreement.changes) > 3 else ""
        return f"really changes: {pairs}{more}"
    if agreement.reversals == 1:
        return "1 pair is in the opposite order, not beyond chance"
    if agreement.reversals:
        return f"{agreement.reversals} pairs are in the opposite order, none of them beyond chance"
    return "the same order"


def format_number(value: float) -> str:
    """Return three significant digits, zeros kept: 4.10, 85.0, 413, 90200; a dash for NaN."""
    if math.isnan(value) or math.isinf(value):
        return "–" if math.isnan(value) else "∞"
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f}" if abs(value) < 9999.5 else format_figure(value)


def format_interval(score: "Interval") -> str:
    """Return the interval as ``[4.10, 85.0]``; the empty string where there is none."""
    return "" if math.isnan(score.low) else f"[{format_number(score.low)}, {format_number(score.high)}]"


def format_rank_interval(ranked: "RankedDataset") -> str:
    """Return the interval of a rank: 2–3, or 2."""
    low, high = ranked.rank_low, ranked.rank_high
    return f"{low}" if low == high else f"{low}–{high}"


def round_up(number: float) -> int:
    """Return a number rounded up to two significant digits: 4,037 becomes 4,100."""
    size = int(10 ** max(len(str(int(number))) - 2, 0))
    return math.ceil(number / size) * size


def _pad(name: str, width: int) -> str:
    """Return a name of others as a cell of ``width`` columns, with at least one space at its end."""
    return pad_columns(shorten(fold_whitespace(name), width - 1), width)


def wrap(text: str, begin: str = "") -> list[str]:
    """Return a text in lines of at most 100 columns: the first begins with ``begin``, the others are indented by it."""
    import textwrap

    return textwrap.wrap(
        text,
        100,
        initial_indent=begin,
        subsequent_indent=" " * len(begin),
        break_long_words=False,
        break_on_hyphens=False,
    )
