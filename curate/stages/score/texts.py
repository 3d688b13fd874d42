"""Texts that a user types, scored without a run directory: their numbers, and the tokens that surprised the model.

    score_texts(reference, ["To be, or not to be"], ["zlib_ratio"]) ──► TextScores, which prints and is JSON-able

The numbers are those that the same text has as a document of a corpus.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.errors import UsageError
from curate.reference.checkpoints.no_model import NAME as NO_MODEL
from curate.reference.likelihood import bits_per_byte, perplexity
from curate.reference.protocol import ScoringConfig
from curate.rundir.signals import list_columns, list_measures, list_numbers
from curate.runtime.options import option_of
from curate.runtime.text import DEFAULT_RUN, align_right, fold_whitespace, shorten
from curate.stages.score.slices import make_not_finite_error

if TYPE_CHECKING:
    from curate.reference.causal import CausalReference
    from curate.reference.likelihood import Likelihoods
    from curate.reference.token_surprisal import TokenSpan

TOP = 5
"""Surprising pieces of a text that are named."""
SHOWN = 600
"""Columns of a text that are printed."""
PIECE = 40
"""Columns of a surprising piece."""
LEFT_OUT = {
    "corpus": [],
    "run": DEFAULT_RUN,
    "carry": "auto",
    "restart": False,
    "allow_mixed": False,
    "profile": False,
    "seed": 0,
    "on_error": "quarantine",
    "quoting": "auto",
}
"""What options of a corpus and of its run are where they are left out, if it is not None."""


@dataclass(frozen=True, slots=True)
class TextScore:
    """The numbers of one text. A number that was not measured is None, and ``status`` says why."""

    text: str
    status: str
    """``ok``, ``unscorable``, ``too_long`` or ``not_finite``."""
    reason: str | None
    """``status`` in words; None where it is ``ok``."""
    bytes: int
    """Of the complete text in UTF-8."""
    tokens: int | None
    """Of the complete text."""
    scored_tokens: int | None
    nats: float | None
    """The sum over the scored tokens."""
    perplexity: float | None
    bits_per_byte: float | None
    first_nats: float | None
    """Of the first token; None without a prefix."""
    truncated: bool
    """Whether the end was not scored."""
    signals: Mapping[str, float]
    surprising: tuple["TokenSpan", ...]
    """The most surprising pieces, the most first; empty where the tokenizer cannot tell where its tokens lie."""
    pieces: tuple["TokenSpan", ...]
    """The scored text in order, cut into the pieces that the model was asked about."""
    sums: Mapping[str, Any] = field(default_factory=dict)
    """The sums of the signals ``kinds`` and ``calibration``, by their columns in the scores."""

    def render_lines(self) -> list[str]:
        """Return the lines for the terminal."""
        lines = [f"{'text':<16}{self._mark_pieces()}"]
        if self.perplexity is None or self.bits_per_byte is None:
            return [*lines, f"{'not scored':<16}{self.reason or self.status}"]
        tokens = "1 token" if self.tokens == 1 else f"{self.tokens:,} tokens"
        if self.scored_tokens != self.tokens:
            tokens += f" ({self.scored_tokens:,} scored)"
        first = "" if self.first_nats is None else f", first token {self.first_nats:.3g} nats"
        lines += [
            f"{'perplexity':<16}{self.perplexity:.4g}, bits per byte {self.bits_per_byte:.3f}{first}",
            f"{'size':<16}{self.bytes:,} bytes, {tokens}",
        ]
        if self.signals:
            signals = ", ".join(f"{name} {value:.3g}" for name, value in self.signals.items())
            lines.append(f"{'signals':<16}{signals}")
        lines += self._render_sums()
        for number, piece in enumerate(self.surprising):
            label = "surprising" if number == 0 else ""
            lines.append(f"{label:<16}{align_right(f'{piece.nats:.2f}', 6)} nats   ⟦{_fold(piece.text, PIECE)}⟧")
        return lines

    def _render_sums(self) -> list[str]:
        """Return a line for the kinds of text that occur, and one for the guesses."""
        lines = []
        kinds = [
            f"{name.removeprefix('kind_nats_').replace('_', ' ')} {nats:.3g} nats ({octets:,} bytes)"
            for name, nats in self.sums.items()
            if name.startswith("kind_nats_") and (octets := self.sums[name.replace("_nats_", "_bytes_")])
        ]
        if kinds:
            lines.append(f"{'kinds':<16}{', '.join(kinds)}")
        if "top1_hits" in self.sums:
            positions = sum(self.sums["ece_top1_pairs"])
            lines.append(
                f"{'calibration':<16}the likeliest token came {self.sums['top1_hits']:,} times of {positions:,}"
            )
        return lines

    def _mark_pieces(self) -> str:
        """Return the beginning of the text on one line, its most surprising pieces in ⟦ ⟧."""
        marked, done = [], 0
        for piece in sorted(self.surprising, key=lambda one: one.start):
            marked += [fold_whitespace(self.text[done : piece.start]), f"⟦{fold_whitespace(piece.text)}⟧"]
            done = piece.start + len(piece.text)
        return shorten("".join([*marked, fold_whitespace(self.text[done:])]), SHOWN)


def _fold(text: str, most: int) -> str:
    return shorten(fold_whitespace(text), most)


@dataclass(frozen=True, slots=True)
class TextScores:
    """What ``curate score --text`` returns: the numbers of each text, in order."""

    model: str
    texts: tuple[TextScore, ...]

    @property
    def exit_code(self) -> int:
        """Return 1 where no text could be measured, else 0."""
        return 0 if any(one.perplexity is not None for one in self.texts) else 1

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, JSON-able."""
        return asdict(self)

    def render(self) -> str:
        """Return the texts for the terminal, an empty line between two."""
        return "\n\n".join("\n".join(one.render_lines()) for one in self.texts)


def check_text_options(given: Mapping[str, Any], model: str) -> None:
    """Raise UsageError for what does not go with ``--text``.

    ``given`` are the options of a corpus and of its run, by parameter.
    """
    name = next((name for name, value in given.items() if value != LEFT_OUT.get(name)), None)
    if name == "corpus":
        raise UsageError("--text and CORPUS are two things to score", "leave out one of them")
    if name is not None:
        option = option_of(name)
        raise UsageError(
            f"{option} has no effect with --text, which reads no corpus and writes no run", f"leave out {option}"
        )
    if model == NO_MODEL:
        raise UsageError("--model none measures nothing of a text", "name another --model, or leave it out")


def load_and_score(
    texts: Sequence[str], model: str, config: ScoringConfig, devices: str | None, signals: Sequence[str]
) -> TextScores:
    """Load a model, on the first of ``devices`` where several are named, and return the numbers of each text.

    Raises UsageError without a text or for what is no text, ModelError as loading and ``score_texts`` do.
    """
    from curate.reference.announce import announce_reference
    from curate.reference.loading import load_causal
    from curate.stages.score.padding import find_padding

    if not texts or not all(isinstance(text, str) for text in texts):
        raise UsageError("--text must be a text, or several", 'curate score --text "…"')
    if devices is not None:
        from curate.reference.multi_device import parse_devices

        config = replace(config, device=parse_devices(devices)[0])
    config = find_padding([texts], model, config)
    reference = load_causal(model, replace(config, text_bytes=sum(len(text.encode()) for text in texts)))
    announce_reference(reference)
    return score_texts(reference, texts, signals)


def score_texts(reference: "CausalReference", texts: Sequence[str], signals: Sequence[str]) -> TextScores:
    """Return the numbers of each text, and its most surprising pieces.

    Raises ModelError where the model gives NaN or infinity for all texts that it reads.
    """
    from curate.reference.token_surprisal import measure_passages

    likelihoods, spans_of_texts = measure_passages(reference, texts, list_measures(signals))
    broken = likelihoods.status.count("not_finite")
    if broken and "ok" not in likelihoods.status:
        raise make_not_finite_error(reference.identity, broken, "that it read")
    scores = [_make_score(text, row, likelihoods, signals, spans_of_texts[row]) for row, text in enumerate(texts)]
    return TextScores(str(reference.identity["model"]), tuple(scores))


def _make_score(
    text: str, row: int, likelihoods: "Likelihoods", signals: Sequence[str], pieces: Sequence["TokenSpan"]
) -> TextScore:
    from curate.reference.token_surprisal import rank_spans

    octets, ok = text.encode(), likelihoods.status[row] == "ok"
    nats, tokens = float(likelihoods.nats[row]), int(likelihoods.tokens[row])
    measured = {
        name: float(likelihoods.max_nats[row]) if signal.measure is None else signal.measure(text, octets)
        for name, signal in list_numbers().items()
        if name in signals and (ok or signal.measure is not None)
    }
    first = float(likelihoods.first_nats[row])
    return TextScore(
        text=text,
        status=likelihoods.status[row],
        reason=likelihoods.reason[row],
        bytes=len(octets),
        tokens=int(likelihoods.text_tokens[row]) if ok else None,
        scored_tokens=tokens if ok else None,
        nats=nats if ok else None,
        perplexity=float(perplexity(nats, tokens)) if ok else None,
        bits_per_byte=float(bits_per_byte(nats, likelihoods.scored_bytes[row])) if ok else None,
        first_nats=first if ok and first == first else None,
        truncated=bool(likelihoods.truncated[row]),
        signals={name: value for name, value in measured.items() if value == value},
        surprising=tuple(rank_spans(pieces, TOP)),
        pieces=tuple(pieces),
        sums=_list_sums(likelihoods, row, signals) if ok else {},
    )


def _list_sums(likelihoods: "Likelihoods", row: int, signals: Sequence[str]) -> dict[str, Any]:
    """Return the sums of a text that were measured, by column, as the numbers that they are in the scores."""
    sums: dict[str, Any] = {}
    for name, dtype in list_columns(list_measures(signals)).items():
        values = np.asarray(likelihoods.sums[name][row] if name in likelihoods.sums else np.nan)
        if not np.isnan(values).any():
            sums[name] = values.tolist() if dtype.startswith("float") else values.astype(np.int64).tolist()
    return sums
