"""Tolerances, and the three answers to whether a difference stays within one: within, beyond, cannot tell.

An interval that lies within ± the tolerance is within, one that lies outside is beyond, and any other cannot tell. What
was measured before and is not now is unmeasured, and never passes.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from curate.errors import UsageError
from curate.monitoring.compare.contrasts import Ends

Verdict = Literal["within", "beyond", "cannot tell", "unmeasured"]
Metric = Literal["perplexity", "bits_per_byte"]
METRIC_NAMES = {"perplexity": "perplexity", "bits_per_byte": "bits per byte"}
EXIT_CODES: dict[str, int] = {"within": 0, "beyond": 4, "cannot tell": 5}
TOLERANCE = re.compile(r"(?i)^\s*([0-9]*\.?[0-9]+)\s*(%|bpb)\s*$")
MOST_NEEDED = 1e12
"""Documents beyond which nobody is told how many would tell."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a measure may move."""

    text: str
    """As it was given."""
    metric: Metric
    """The measure that it is of."""
    half_width: float
    """In the unit of differences: nats per token (the logarithm of 1 + the share) or bits per byte."""
    only_worse: bool = False
    """Whether only what rises counts."""

    def judge(self, ends: Ends) -> Verdict:
        """Return what an interval of a difference says."""
        lowest = -math.inf if self.only_worse else -self.half_width
        if ends.low >= lowest and ends.high <= self.half_width:
            return "within"
        return "beyond" if ends.low > self.half_width or ends.high < lowest else "cannot tell"

    def count_needed(self, difference: float, ends: Ends, documents: int) -> int | None:
        """Return how many documents would tell, if the difference is what it is estimated to be.

        The interval narrows with the root of their number. None where no number would, or beyond ``MOST_NEEDED``.
        """
        half = (ends.high - ends.low) / 2
        lowest = math.inf if self.only_worse else abs(-self.half_width - difference)
        room = min(abs(self.half_width - difference), lowest)
        if not math.isfinite(half) or not room:
            return None
        needed = math.ceil(documents * (half / room) ** 2)
        return int(needed) if documents < needed <= MOST_NEEDED else None


def parse_tolerance(text: str, only_worse: bool = False) -> Tolerance:
    """Return a tolerance from ``0.5%`` (of perplexity) or ``0.01bpb`` (bits per byte).

    Raises UsageError for other texts, and for per cent from 100 on.
    """
    match = TOLERANCE.match(text)
    if match is None:
        allowed = "a share of perplexity such as 0.5%, or bits per byte such as 0.01bpb"
        raise UsageError(f"--tolerance must be {allowed}, not {text}", "--tolerance 0.5%")
    number = float(match[1])
    if match[2] == "%":
        if number >= 100:
            raise UsageError(f"--tolerance must be below 100%, not {text}", "--tolerance 0.5%")
        return Tolerance(text, "perplexity", math.log1p(number / 100), only_worse)
    return Tolerance(text, "bits_per_byte", number, only_worse)


def combine_verdicts(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on several: beyond before unmeasured, before cannot tell, before within."""
    found = set(verdicts)
    order: tuple[Verdict, ...] = ("beyond", "unmeasured", "cannot tell")
    return next((one for one in order if one in found), "within")


def choose_exit_code(verdicts: Iterable[Verdict], unsure: Literal["pass", "fail"] | None) -> int:
    """Return 0 within, 4 beyond and 5 cannot tell.

    ``unsure`` makes 0 or 4 of "cannot tell"; what is unmeasured is then 4, since it never passes.
    """
    verdict = combine_verdicts(verdicts)
    if verdict == "unmeasured":
        return 5 if unsure is None else 4
    if verdict == "cannot tell" and unsure is not None:
        return 0 if unsure == "pass" else 4
    return EXIT_CODES[verdict]
