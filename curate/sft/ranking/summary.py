"""A ranking as a person reads it on a terminal, in at most 100 columns, and as one JSON object."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curate.runtime.console import count
from curate.runtime.numbers import figure, percent
from curate.runtime.text import command

if TYPE_CHECKING:
    from curate.sft.ranking.table import Interval, NeighbourPair, RankAgreement, RankedDataset, RankingTable

NAME, SCHEMA = 20, 14
MOST_PAIRS = 6
FAR = 10_000  # times as many examples as there were, from which no sample is worth the name
TITLES = {
    "perplexity": "response ppl",
    "mean_perplexity": "mean ppl",
    "bits_per_byte": "bits/byte",
    "rsr": "RSR",
    "token_rsr": "RSR of tokens",
    "first_64": "first 64 nats",
    "residual": "ppl at = length",
    "full_perplexity": "full-text ppl",
}
MEANING = {
    "perplexity": "Lower response perplexity under the base has gone with larger gains from fine-tuning "
    "(12 bases × 10 datasets, arXiv 2506.14681)",
    "rsr": "A lower rank-surprisal ratio has gone with larger gains from reasoning traces "
    "(5 students × 11 teachers, arXiv 2601.14249)",
}
OTHERWISE = "this order is by another measure, of which that was not shown"
CAUTION = (
    "That is a correlation over few datasets: it says which answers lie near the base, not whether they are right, "
    "safe, or what your task needs."
)


@dataclass(frozen=True, slots=True)
class Dataset:
    """What was read and scored of one dataset. Read rows = rows with examples + refused + unreadable."""

    name: str
    data: str
    """As it was named by the user."""
    schemas: Mapping[str, int]
    """Rows by schema."""
    rows: int
    available: int
    """Examples that it has."""
    drawn: int
    refused: Mapping[str, int]
    """Rows that are no example to learn from, by reason."""
    unreadable: Mapping[str, int]
    not_scored: Mapping[str, int]
    """Drawn examples that could not be rendered or measured, by reason."""
    notes: Mapping[str, int]
    """What the template did to examples that it did render."""
    long: int
    """Examples read in several windows."""
    prompt_tokens: float
    """Mean over the scored examples."""
    lengths: Mapping[str, float]
    """Quantiles of the scored tokens of an example."""
    examples: Sequence[Mapping[str, Any]] = ()
    """A few, with their numbers and the beginning of their texts."""

    @property
    def schema(self) -> str:
        """The schema of most rows; ``+`` where there are others."""
        if not self.schemas:
            return "–"
        first = max(self.schemas, key=lambda name: self.schemas[name])
        return first + (" +" if len(self.schemas) > 1 else "")

    def as_dict(self) -> dict[str, Any]:
        return {
            "data": self.data,
            "schema": self.schema.removesuffix(" +"),
            "schemas": dict(self.schemas),
            "rows": self.rows,
            "examples": self.available,
            "drawn": self.drawn,
            "refused": dict(self.refused),
            "unreadable": dict(self.unreadable),
            "not_scored": dict(self.not_scored),
            "template_notes": dict(self.notes),
            "in_several_windows": self.long,
            "prompt_tokens": self.prompt_tokens,
            "response_token_quantiles": dict(self.lengths),
            "shown": [dict(one) for one in self.examples],
        }


@dataclass(frozen=True, slots=True)
class ThreeWayReading:
    """One dataset read in three ways, in bits per byte: by the base as raw text, by a chat model as raw text, and by
    the chat model in its own template, the assistant's tokens only."""

    name: str
    base_raw: "Interval"
    chat_raw: "Interval"
    chat_template: "Interval"
    perplexities: tuple[float, float, float]
    domain: str
    alignment: str
    advice: str

    def as_dict(self) -> dict[str, Any]:
        three = {"base_raw": self.base_raw, "chat_raw": self.chat_raw, "chat_template": self.chat_template}
        found: dict[str, Any] = {"name": self.name}
        for (name, one), perplexity in zip(three.items(), self.perplexities, strict=True):
            found[name] = {"bits_per_byte": one.value, "interval": [one.low, one.high], "perplexity": perplexity}
        return found | {"domain": self.domain, "alignment": self.alignment, "advice": self.advice}


@dataclass(frozen=True, slots=True)
class Ranking:
    """Which instruction dataset fits a base model: the order, how sure it is, and what was left out."""

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
    table: "RankingTable"
    compared: "tuple[RankAgreement, ...]" = ()
    """Under other models and templates."""
    definitions: "tuple[RankAgreement, ...]" = ()
    """By other measures."""
    others: "Mapping[str, RankingTable]" = field(default_factory=dict)
    """The ranking under each other model or template."""
    chat_model: str | None = None
    readings: tuple[ThreeWayReading, ...] = ()
    identity: Mapping[str, Any] = field(default_factory=dict)
    runs: tuple[str, ...] = ()
    """The run directories that hold the examples."""

    @property
    def exit_code(self) -> int:
        """3 when some rows could not be read, else 0."""
        return 3 if any(one.unreadable for one in self.datasets) else 0

    def dataset(self, name: str) -> Dataset:
        return next(one for one in self.datasets if one.name == name)

    def place(self, name: str) -> "RankedDataset":
        """Where a dataset stands."""
        return next(one for one in self.table.places if one.name == name)

    def as_dict(self) -> dict[str, Any]:
        """``datasets`` lists them best first; those set aside come last, without a rank."""
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
            "datasets": [as_record(one) | self.dataset(one.name).as_dict() for one in self.table.places],
            "neighbours": [describe_pair(one) for one in self.table.pairs],
            "compared": [describe_agreement(one) for one in self.compared],
            "other_rankings": {name: [as_record(one) for one in table.places] for name, table in self.others.items()},
            "definitions": [describe_agreement(one) for one in self.definitions],
            "chat_model": self.chat_model,
            "three_way": [one.as_dict() for one in self.readings],
            "reference": dict(self.identity),
            "out": self.out,
            "runs": list(self.runs),
        }

    def render(self) -> str:
        lines = [*self._table(), *self._aside(), *self._apart(), *self._left_out()]
        lines += [*self._compared(), *self._readings(), "", *wrap(self._meaning())]
        return "\n".join([*lines, "", *self._next()])

    def _table(self) -> list[str]:
        title = TITLES.get(self.by, self.by)
        rsr = "" if self.by == "rsr" else f"{'RSR':>6}"
        head = f"{'#':>2}  {'dataset':<{NAME}}{'schema':<{SCHEMA}}{'examples':>8} {title:>15} {'':<6}{rsr}{'IFD':>6}"
        lines = [f"{head}{'tokens':>7}  rank"]
        lines += [self._line(one) for one in self.table.places]
        return [*lines, *self._letters()] if len(lines) > 1 else []

    def _letters(self) -> list[str]:
        """How often the first one is first, and what the letters say."""
        ranked = [one for one in self.table.places if one.rank is not None]
        lines = []
        if ranked and not math.isnan(ranked[0].best):
            lines += wrap(f"{ranked[0].name} is first in {percent(ranked[0].best, 1)} of the draws", " " * 4)
        letters = "".join(one.group for one in ranked)
        if len(set(letters)) < len(letters):
            lines.append("    datasets that share a letter cannot be told apart, all pairs held at once")
        return lines

    def _line(self, one: "RankedDataset") -> str:
        own, dataset = one.scores[self.by], self.dataset(one.name)
        rsr = "" if self.by == "rsr" else f"{short(one.scores['rsr'].value):>6}"
        place = "set aside" if one.set_aside else f"{spread(one):<6}{one.group}".rstrip()
        found = f"{one.rank or '–':>2}  {clip(one.name, NAME - 1):<{NAME}}{clip(dataset.schema, SCHEMA - 1):<{SCHEMA}}"
        found += f"{one.examples:>8,} {short(own.value):>7} {bracket(own):<14}{rsr}"
        found += f"{short(one.scores['ifd_ppl'].value):>6}{one.scores['response_tokens'].value:>7,.0f}"
        return f"{found}  {place}"

    def _aside(self) -> list[str]:
        lines = []
        for one in self.table.places:
            if one.set_aside:
                lines += wrap(f"{one.name}: {one.flags[0]}", "set aside   ")
            elif one.flags:
                lines += wrap(f"{one.name}: {'; '.join(one.flags)}", "careful     ")
        return lines

    def _apart(self) -> list[str]:
        """The neighbours that cannot be told apart, and what would do it."""
        close = [one for one in self.table.pairs if not one.separated]
        lines = [line for one in close[:MOST_PAIRS] for line in wrap(self._closeness(one))]
        if len(close) > MOST_PAIRS:
            lines.append(f"and {len(close) - MOST_PAIRS} more pairs of neighbours (ranking.json)")
        return ["", *lines] if lines else []

    def _closeness(self, pair: "NeighbourPair") -> str:
        had = " and ".join(f"{number:,}" for number in dict.fromkeys(pair.examples))
        text = f"{pair.better} and {pair.worse} cannot be told apart with {had} examples; "
        if not all(map(math.isfinite, pair.needed)):
            same = any(map(math.isinf, pair.needed))
            return text + ("they are the same" if same else "they are too few to say more")
        if min(pair.needed) > FAR * min(pair.examples):
            return text + "the difference is next to nothing"
        text += f"about {' and '.join(count(round_up(number)) for number in dict.fromkeys(pair.needed))} would do"
        held = {name: self.dataset(name).available for name in (pair.better, pair.worse)}
        beyond = [
            f"{name} has {has:,}" for (name, has), need in zip(held.items(), pair.needed, strict=True) if need > has
        ]
        return f"{text}; {' and '.join(beyond)} in all" if beyond else text

    def _left_out(self) -> list[str]:
        lines: list[str] = []
        for one in self.datasets:
            for label, found in (
                ("unreadable", one.unreadable),
                ("no example", one.refused),
                ("not scored", one.not_scored),
            ):
                for reason, number in found.items():
                    lines += wrap(f"{one.name} {number:,}: {reason}", f"{label:<12}")
            for note, number in one.notes.items():
                lines += wrap(f"{one.name} {number:,}: {note}", f"{'template':<12}")
            if one.long:
                lines += wrap(f"{one.name} {one.long:,}: longer than the window, read in several", f"{'windows':<12}")
        return ["", *lines] if lines else []

    def _compared(self) -> list[str]:
        lines: list[str] = []
        for one in self.compared:
            lines += wrap(f"{one.second}   {tau(one)}; {changes(one)}", "beside      ")
        if self.definitions:
            shown = ", ".join(f"{TITLES.get(one.second, one.second)} {one.tau:.2f}" for one in self.definitions)
            lines += wrap(f"Kendall's τ with the order by {TITLES.get(self.by, self.by)}: {shown}", "by others   ")
        return ["", *lines] if lines else []

    def _readings(self) -> list[str]:
        if not self.readings:
            return []
        head = f"{'bits per byte':<{NAME}}{'base, raw':>11}{'chat, raw':>11}{'chat, own':>11}   reading"
        lines = ["", head]
        for one in self.readings:
            three = (one.base_raw, one.chat_raw, one.chat_template)
            begin = (
                f"{clip(one.name, NAME - 1):<{NAME}}" + "".join(f"{short(each.value):>11}" for each in three) + "   "
            )
            lines += wrap(f"domain {one.domain}, answers {one.alignment}; {one.advice}", begin)
        return lines

    def _meaning(self) -> str:
        known = MEANING["rsr" if "rsr" in self.by else "perplexity"]
        other = "" if self.by in ("perplexity", "mean_perplexity", "rsr", "token_rsr") else f"; {OTHERWISE}"
        return f"{known}{other}. {CAUTION}"

    def _next(self) -> list[str]:
        lines = [f"{self.out}/ranking.html   the same as a picture, with examples; ranking.json, ranking.parquet"]
        best = next((run for run in self.runs if run.endswith(f"/{self.table.places[0].name}")), None)
        if best is not None:
            lines.append(f"next: {command('select-sft', best)} --by ifd --rate 0.1")
        return lines


def describe_pair(one: "NeighbourPair") -> dict[str, Any]:
    """A pair of neighbours as JSON."""
    return {
        "better": one.better,
        "worse": one.worse,
        "separated": one.separated,
        "reversed_share": one.reversed_share,
        "examples": list(one.examples),
        "examples_needed": list(one.needed),
    }


def describe_agreement(one: "RankAgreement") -> dict[str, Any]:
    """Two rankings beside each other as JSON."""
    return {
        "first": one.first,
        "second": one.second,
        "kendall_tau": one.tau,
        "interval": [one.low, one.high],
        "reversed_pairs": one.reversals,
        "changed_beyond_chance": [list(pair) for pair in one.changes],
    }


def tau(one: "RankAgreement") -> str:
    """``Kendall's τ 0.82 [0.71, 0.93]``."""
    if math.isnan(one.tau):
        return "Kendall's τ cannot be said of fewer than two datasets"
    return f"Kendall's τ {one.tau:.2f} [{one.low:.2f}, {one.high:.2f}]"


def changes(one: "RankAgreement") -> str:
    """Which pairs really change places."""
    if one.changes:
        pairs = ", ".join(f"{better} before {worse} becomes the reverse" for better, worse in one.changes[:3])
        more = f", and {len(one.changes) - 3} more pairs" if len(one.changes) > 3 else ""
        return f"really changes: {pairs}{more}"
    if one.reversals:
        return f"{one.reversals} pair{'s' if one.reversals != 1 else ''} stand otherwise, none of them beyond chance"
    return "the same order"


def short(value: float) -> str:
    """Three significant digits, zeros kept: 4.10, 85.0, 413, 90200; a dash for nothing."""
    if math.isnan(value) or math.isinf(value):
        return "–" if math.isnan(value) else "∞"
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f}" if abs(value) < 9999.5 else figure(value)


def bracket(one: "Interval") -> str:
    return "" if math.isnan(one.low) else f"[{short(one.low)}, {short(one.high)}]"


def spread(one: "RankedDataset") -> str:
    """The interval of a rank: 2–3."""
    return f"{one.rank_low}" if one.rank_low == one.rank_high else f"{one.rank_low}–{one.rank_high}"


def round_up(number: float) -> int:
    """Two significant digits, upwards: 4,037 becomes 4,100."""
    size = int(10 ** max(len(str(int(number))) - 2, 0))
    return math.ceil(number / size) * size


def clip(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def wrap(text: str, begin: str = "") -> list[str]:
    """A text in lines of at most 100 columns, the later ones below the first."""
    import textwrap

    return textwrap.wrap(
        text,
        100,
        initial_indent=begin,
        subsequent_indent=" " * len(begin),
        break_long_words=False,
        break_on_hyphens=False,
    )
