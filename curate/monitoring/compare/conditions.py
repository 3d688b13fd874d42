"""Under which conditions a model read: what must be equal for two numbers to be comparable, and the unit that is left.

Perplexity is per token, so that it needs one tokenizer. Bits per byte need none, but the same reading: the prefix, the
windows, the convention, the truncation. A window that no document was longer than has no effect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.errors import UsageError
from curate.monitoring.compare.verdicts import Metric, Tolerance
from curate.rundir.run import compute_fingerprint
from curate.runtime.published import hide_folders
from curate.runtime.text import join_words

READ_AS = ("convention", "convention_args", "max_tokens", "stride", "frame")
"""What decides how a text is read, whatever its length."""
OF_WINDOWS = ("window", "overlap", "window_prefix", "fill_last")
"""What decides how a text is read that is longer than a window."""
OPTIONS = {
    "prefix": "--prefix",
    "convention": "--convention",
    "convention_args": "--convention-args",
    "max_tokens": "--truncate",
    "stride": "--convention-args",
    "frame": "--convention",
    "window": "--window",
    "overlap": "--overlap",
    "window_prefix": "--window-prefix",
    "fill_last": "--convention",
    "template": "the chat template",
}
NOISE = ("dtype", "exact", "device")
"""What changes numbers a little (bf16 by some .4 %), and is noted."""
EVALUATOR = ("architecture", "weights", "files", "code", "tokenizer", "prefix", "template", "dtype", "exact")
"""What makes a model and its tokenizer the same one, beside how it reads; no names, folders or machines."""


@dataclass(frozen=True, slots=True)
class ReadingConditions:
    """How the documents of a side were read."""

    label: str
    identity: Mapping[str, Any]
    """Of the model, as ``run.json`` has it."""
    windows: int
    """The most windows of a document; 0 where that is not known."""

    @property
    def tokenizer(self) -> str | None:
        """The fingerprint of the tokenizer."""
        found = self.identity.get("tokenizer")
        return None if found is None else str(found)


def fingerprint_evaluator(identity: Mapping[str, Any]) -> str:
    """Return one text for a model and how it read, in hex digits, the same on every machine; empty for none.

    Numbers with the same one can be compared. The device and the versions of libraries are not in it.
    """
    known = {name: identity.get(name) for name in (*EVALUATOR, *READ_AS, *OF_WINDOWS) if name in identity}
    return compute_fingerprint(hide_folders(known)) if known else ""


def share_tokenizer(sides: Sequence[ReadingConditions]) -> bool:
    """Return whether all sides have one tokenizer."""
    return len({side.tokenizer for side in sides}) == 1 and sides[0].tokenizer is not None


def list_differences(sides: Sequence[ReadingConditions]) -> list[str]:
    """Return in what the sides were read differently, an option and the values of the sides each."""
    first = sides[0]
    names = list(READ_AS)
    if share_tokenizer(sides):
        names.insert(0, "prefix")
    is_split = any(side.windows != 1 for side in sides)
    names += OF_WINDOWS if is_split else ()
    found = []
    for name in [*names, "template"]:
        values = [side.identity.get(name) for side in sides]
        if any(value != values[0] for value in values[1:]):
            spelled = [f"{_spell(value)} in {side.label}" for side, value in zip(sides, values, strict=True)]
            found.append(f"{OPTIONS[name]} is {', '.join(spelled)}")
    if not share_tokenizer(sides) and len({side.identity.get("prefix") is None for side in sides}) > 1:
        without = next(side for side in sides if side.identity.get("prefix") is None)
        other = next((side for side in sides if side.identity.get("prefix") is not None), first)
        found.insert(0, f"--prefix is none in {without.label}, a token in {other.label}")
    return found


def _spell(value: Any) -> str:
    return "none" if value is None or value == "" else str(value)


def list_noise(sides: Sequence[ReadingConditions]) -> list[str]:
    """Return what differs between sides and changes numbers a little."""
    return [name for name in NOISE if len({str(side.identity.get(name)) for side in sides}) > 1]


def check_conditions(sides: Sequence[ReadingConditions], anyway: bool) -> list[str]:
    """Raise UsageError where sides were read differently; with ``anyway`` return the differences."""
    found = list_differences(sides)
    if found and not anyway:
        labels = join_words(side.label for side in sides)
        hint = f"score both the same way; or, if you know that it does not matter: curate compare {labels} --anyway"
        raise UsageError(f"the sides were read differently: {'; '.join(found)}", hint)
    return found


def _describe_tokenizers(sides: Sequence[ReadingConditions]) -> str:
    """Return why sides are not known to have one tokenizer."""
    unknown = [side.label for side in sides if side.tokenizer is None]
    if len(unknown) == len(sides):
        return f"the tokenizer of {' and '.join(dict.fromkeys(unknown))} is not known"
    named = ", ".join(f"{side.label} {_shorten_tokenizer(side.tokenizer)}" for side in sides)
    return f"tokenizers differ ({named})"


def _shorten_tokenizer(name: str | None) -> str:
    """Return the beginning of a fingerprint; the name of a tokenizer that is known by its name (``name:``)."""
    if name is None:
        return "unknown"
    return name if name.startswith("name:") else name[:8]


def choose_metric(
    sides: Sequence[ReadingConditions], named_metric: Metric | None, tolerance: Tolerance | None
) -> tuple[Metric, str]:
    """Return the measure to compare by, and why it is not perplexity (empty where it is, or was not asked for).

    Raises UsageError where perplexity is asked for and tokenizers differ, or where the tolerance is of another measure.
    """
    reason = ""
    if not share_tokenizer(sides):
        reason = f"{_describe_tokenizers(sides)}, and perplexity is per token"
    if named_metric and tolerance and named_metric != tolerance.metric:
        raise UsageError(
            f"--tolerance {tolerance.text} is not of the measure that --by names",
            "--tolerance 0.5% --by ppl, or --tolerance 0.01bpb --by bpb",
        )
    wanted = named_metric or (tolerance.metric if tolerance else None)
    if wanted == "perplexity" and reason:
        raise UsageError(reason, "compare by bits per byte: --tolerance 0.01bpb, or --by bpb")
    return wanted or ("bits_per_byte" if reason else "perplexity"), reason
