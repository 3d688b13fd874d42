"""One text as a model reads it: its tokens, those around it, its windows, and what of all that counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.reference import packing
from curate.reference.checkpoints.tokenizer import TextEncoder
from curate.reference.conventions.framing import TextFrame
from curate.reference.likelihood import Likelihoods
from curate.reference.packing import WindowPolicy
from curate.runtime.arrays import Float64Array, Int32Array, Int64Array


@dataclass(frozen=True, slots=True)
class FramedText:
    """The tokens of one passage, and what of them is scored. x is prefix + context + added + target + added."""

    ids: list[Int32Array]
    """The parts of x."""
    length: int
    """Tokens of x."""
    begin: int
    """Where the target begins in x."""
    end: int
    """Where what is kept of the target ends."""
    windows: Int64Array
    """W×3: start, stop, score_from (``packing.cut_windows``)."""
    is_head: bool
    """Whether the first scored token is the first of the target."""
    padding: int
    """Tokens of padding before the target."""

    def list_scored(self) -> list[tuple[int, int]]:
        """Return the ranges of tokens of the target that are scored, in order, those that join as one."""
        ranges: list[tuple[int, int]] = []
        for _, stop, score_from in self.windows.tolist():
            first, last = max(score_from - self.begin, 0), min(stop, self.end) - self.begin
            if ranges and ranges[-1][1] == first:
                first = ranges.pop()[0]
            if first < last:
                ranges.append((first, last))
        return ranges


def frame_text(
    text: str, kept: Int32Array, context: Int32Array, lead: Int32Array, policy: WindowPolicy, frame: TextFrame
) -> FramedText:
    """Return a text with what is before it and behind it, cut into windows; none where it gives no token."""
    added, behind = frame.surround(text)
    before = len(lead) + len(context)
    begin = before + len(added)
    length = begin + len(kept) + len(behind)
    first = max(before, 1)
    windows = packing.cut_windows(length if len(kept) else 0, policy, first)
    is_head = begin == before == first
    ids = [lead, context, added, kept, behind]
    return FramedText(ids, length, begin, begin + len(kept), windows, is_head, len(context) if frame.pads_left else 0)


def record_counts(
    likelihoods: Likelihoods,
    row: int,
    text: str,
    target: Int32Array,
    framed: FramedText,
    encoder: TextEncoder,
    policy: WindowPolicy,
    frame: TextFrame,
) -> list[tuple[int, int]]:
    """Write tokens, bytes and windows of a passage into its row, and return the ranges of bytes that are scored.

    They are those that the ranges of ``FramedText.list_scored`` spell. Where nothing counts, refuse it and return none.
    """
    windows, ranges = framed.windows, framed.list_scored()
    scored = int((windows[:, 1] - windows[:, 2]).sum())
    tokens = scored if frame.counts_added else sum(last - first for first, last in ranges)
    counted = tokens - _count_rereading(windows, policy)
    if not ranges or counted < 1:
        why = "its only token has nothing before it to be predicted from" if len(target) else "it gives no token"
        likelihoods.refuse(row, "unscorable", why)
        return []
    octets = _find_scored_bytes(text, target, ranges, encoder)
    num_bytes = sum(last - first for first, last in octets)
    if num_bytes < 1:
        likelihoods.refuse(row, "unscorable", "its scored tokens spell no byte of it")
        return []
    likelihoods.tokens[row], likelihoods.windows[row] = counted, len(windows)
    likelihoods.truncated[row] = framed.end - framed.begin < len(target)
    likelihoods.scored_bytes[row] = num_bytes if counted == tokens else max(1, round(num_bytes * counted / tokens))
    return octets


def _count_rereading(windows: Int64Array, policy: WindowPolicy) -> int:
    """Return how many tokens the guide of transformers leaves out of its mean: one of each window that re-reads."""
    return 0 if policy.stride is None else int((share_windows(windows, policy) < 1).sum())


def share_windows(windows: Int64Array, policy: WindowPolicy) -> Float64Array:
    """Return the share of its nats with which each window counts, W.

    The guide takes the loss of a window, a mean over its scored tokens, times one token fewer than these in every
    window that re-reads some: it takes the first of them for one that nothing predicts.
    """
    counts = windows[:, 1] - windows[:, 2]
    rereads = (windows[:, 0] > 0) & (policy.stride is not None and policy.window + 1 > policy.stride)
    return np.where(rereads, (counts - 1) / np.maximum(counts, 1), 1.0)


def _find_scored_bytes(
    text: str, ids: Int32Array, ranges: Sequence[tuple[int, int]], encoder: TextEncoder
) -> list[tuple[int, int]]:
    """Return the ranges of bytes that the scored tokens spell, which are ``ranges`` of the tokens of a text."""
    bounds = sorted({bound for one in ranges for bound in one} - {0, len(ids)})
    known = dict(zip(bounds, encoder.count_start_bytes(text, ids, bounds), strict=True)) if bounds else {}
    known |= {0: 0, len(ids): len(text.encode())}
    return [(known[first], known[last]) for first, last in ranges]
