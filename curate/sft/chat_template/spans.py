"""The span of an answer in a rendering: from the end of the generation prompt through the end of turn.

Both edges come from renderings of the turns before, in which markers stand for the texts:

    begin   where the rendering with the generation prompt ends: what follows, the model writes itself (an empty
            ``<think>`` block, a channel, a tool call, the text)
    end     through the control tokens that end the turn, as far as the rendering that ends with it has them, too
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from curate.sft.chat_template.delimiters import Span, TemplateDelimiters, TextSlot

LEAD = "<think>\n"
"""What a template that rewrites reasoning puts before it."""
ANCHOR = 12
"""Characters at the end of a turn without a control token by which it is looked for."""


@dataclass(frozen=True, slots=True)
class LocatedRendering:
    """A rendering in which every slot was located."""

    text: str
    delimiters: TemplateDelimiters
    spans: list[Span]
    """One for each slot."""
    exact: bool
    """Whether the texts are those of the turns; False where the template changed them."""
    split: bool = False
    """Whether the reasoning and the answer in one content have a slot each."""

    def list_slots(self, turn: int) -> list[int]:
        """Return the indices of a turn's slots."""
        return [index for index, slot in enumerate(self.delimiters.slots) if slot.turn == turn]

    def read_slot(self, index: int) -> str:
        """Return the text of a slot."""
        begin, end = self.spans[index]
        return self.text[begin:end]

    def end_slot(self, slot: TextSlot | None) -> tuple[int, str] | None:
        """Return where a slot ends, 0 for None, and the piece behind it; None where it is not written once."""
        if slot is None:
            return 0, self.delimiters.pieces[0]
        if self.delimiters.slots.count(slot) != 1:
            return None
        index = self.delimiters.slots.index(slot)
        return self.spans[index][1], self.delimiters.pieces[index + 1]


@dataclass(frozen=True, slots=True)
class EndingTokens:
    """The control tokens that can end a turn."""

    texts: frozenset[str]
    eos: str
    added: frozenset[str] = frozenset()
    """All tokens that are never split or merged, such as ``<think>``."""
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _edges: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the patterns of the tokens."""
        object.__setattr__(self, "_pattern", _make_pattern(self.texts))
        object.__setattr__(self, "_edges", _make_pattern(self.texts | self.added))

    def measure(self, piece: str, common: int = 0, followed: int | None = None) -> int:
        """Return how many characters at the beginning of a piece end a turn: through a control token, or 0.

        White space may precede EOS, and blanks any control token. Behind the first one, EOS counts within the first
        ``common`` characters, and further control tokens within the first ``followed``, ``common`` for None.
        """
        length = self._measure_first(piece)
        while length:
            match = self._pattern.match(piece, length)
            if match and match.end() <= min(common, common if followed is None else followed):
                length = match.end()
                continue
            more = self.measure_eos(piece, length)
            if not more or length + more > common:
                break
            length += more
        return length

    def find_last(self, piece: str) -> Span | None:
        """Return the run of control tokens and white space that ends with the last control token of a piece."""
        found = list(self._pattern.finditer(piece))
        if not found:
            return None
        begin = found[-1].start()
        for match in reversed(found[:-1]):
            if piece[match.end() : begin].strip():
                break
            begin = match.start()
        return len(piece[:begin].rstrip()), found[-1].end()

    def count_common(self, first: str, second: str) -> int:
        """Return how many characters two texts have in common at the beginning, without a part of an added token."""
        common = _count_common(first, second)
        parts = (match.start() for match in self._edges.finditer(first) if match.start() < common < match.end())
        return next(parts, common)

    def ends_with(self, piece: str) -> bool:
        """Return whether a piece ends with a control token, white space apart."""
        run = self.find_last(piece)
        return run is not None and not piece[run[1] :].strip()

    def find_boundary(self, piece: str, limit: int) -> int:
        """Return the last position of at most ``limit`` behind an added token or a line end, or 0."""
        ends = [match.end() for match in self._edges.finditer(piece) if match.end() <= limit]
        return max([0, piece.rfind("\n", 0, limit) + 1, *ends])

    def _measure_first(self, piece: str) -> int:
        after = self.measure_eos(piece, 0)
        if after:
            return after
        stripped = piece.lstrip(" ")
        match = self._pattern.match(stripped)
        return len(piece) - len(stripped) + match.end() if match else 0

    def measure_eos(self, piece: str, at: int) -> int:
        """Return how many characters behind a position are white space and EOS, or 0."""
        stripped = piece[at:].lstrip()
        return len(piece) - at - len(stripped) + len(self.eos) if self.eos and stripped.startswith(self.eos) else 0


def _make_pattern(texts: frozenset[str]) -> re.Pattern[str]:
    """Return the pattern of any of the texts, the longest first; it matches nothing for none."""
    return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or "(?!)")


def find_begin(
    located: LocatedRendering,
    slots: Sequence[int],
    prompted: TemplateDelimiters | None,
    unprompted: TemplateDelimiters | None,
    opened: TemplateDelimiters | None,
    ends: EndingTokens,
) -> int | None:
    """Return where the model begins to write a turn; None where that cannot be told.

    ``slots`` are those of the turn. The others are of the turns before it: with the generation prompt, without it, and
    without it but with a text of the assistant at the end; None where the template refuses them.
    """
    start = located.spans[slots[0]][0] if slots else None
    if prompted is not None and prompted != unprompted:
        begin = _find_prompt_end(located, slots, start, prompted, ends)
        if begin is not None:
            return begin
    header_end = _find_header_end(located, unprompted, opened, ends)
    if start is None:
        return header_end
    lead = LEAD if located.delimiters.slots[slots[0]].part == "reasoning" else ""
    prompt = prompted.pieces[-1] if prompted is not None else None
    edge = located.spans[slots[0] - 1][1] if slots[0] else 0
    if prompt is not None and located.text.startswith(prompt, edge):
        at = edge + len(prompt)
        if at <= start and located.text[at:start].lstrip(" ") == lead:
            return at
    begin = start if header_end is None or header_end > start else header_end
    return begin - len(lead) if located.text.endswith(lead, 0, begin) else begin


def _find_prompt_end(
    located: LocatedRendering,
    slots: Sequence[int],
    start: int | None,
    prompted: TemplateDelimiters,
    ends: EndingTokens,
) -> int | None:
    """Return where the generation prompt ends, or where the rendering leaves it; None where it is not there."""
    edge = located.end_slot(prompted.slots[-1] if prompted.slots else None)
    if edge is None or (start is not None and edge[0] > start):
        return None
    at, prompt = edge[0], prompted.pieces[-1]
    if located.text.startswith(prompt, at):
        prompted_at = at + len(prompt)
        if start is not None and prompted_at > start:  # the text begins as the prompt ends: <think>
            last = located.spans[slots[-1]][1]
            return prompted_at if located.text[prompted_at:last].strip() else start
        return prompted_at
    common = _count_common(prompt, located.text[at : at + len(prompt)])
    if start is not None and at + common >= start:
        return start
    boundary = ends.find_boundary(prompt, common)
    return at + boundary if boundary else None


def _find_header_end(
    located: LocatedRendering,
    unprompted: TemplateDelimiters | None,
    opened: TemplateDelimiters | None,
    ends: EndingTokens,
) -> int | None:
    """Return where the header of a turn ends, by the header of a text in its place; None where that cannot be told."""
    if opened is None or not opened.slots:
        return None
    edge = located.end_slot(opened.slots[-2] if len(opened.slots) > 1 else None)
    if edge is None:
        return None
    header, piece = opened.pieces[-2], edge[1]
    common = _count_common(header, piece)
    if common == len(header):
        return edge[0] + common
    before = "" if unprompted is None else unprompted.pieces[-1]
    least = len(before) if header.startswith(before) and piece.startswith(before) else 0
    return edge[0] + max(least, ends.find_boundary(header, common))


def find_end(
    located: LocatedRendering,
    slots: Sequence[int],
    begin: int,
    closed: TemplateDelimiters | None,
    followed: TemplateDelimiters | None,
    calls: bool,
    ends: EndingTokens,
) -> Span | None:
    """Return where the text of a turn ends, and where its end of turn does; equal without one.

    None where neither is found.

    ``closed`` is of the turns through this one; ``followed``, of the last turn, is of them and a question more. They
    are None where the template refuses them. What a template writes at the end of any conversation, such as a
    generation prompt, is not in both. With ``calls`` there may be tool calls behind the text: all up to the last
    control token belongs to the turn.
    """
    own = located.spans[slots[-1]][1] if slots else None
    edge = None if closed is None else located.end_slot(closed.slots[-1] if closed.slots else None)
    tail = "" if closed is None else closed.pieces[-1]
    goes_on = None
    if closed is not None and followed is not None and followed.slots[-2:-1] == closed.slots[-1:]:
        goes_on = ends.count_common(tail, followed.pieces[-2])
    if calls and closed is not None:
        if goes_on is not None and ends.ends_with(tail[:goes_on]):
            tail = tail[: goes_on + ends.measure_eos(tail, goes_on)]
        return _find_calls_end(located.text, edge, max(own or 0, begin), tail, ends)
    if own is not None and (edge is None or closed is None or edge[0] < own):
        return own, own + ends.measure(located.delimiters.pieces[slots[-1] + 1])
    if edge is None:
        return None
    at, piece = edge
    return at, at + ends.measure(piece, _count_common(tail, piece), goes_on)


def _find_calls_end(text: str, edge: tuple[int, str] | None, begin: int, tail: str, ends: EndingTokens) -> Span | None:
    """Return what ``find_end`` does of a turn with calls; ``tail`` ends the rendering that ends with the turn.

    The turn ends where the tail does in ``text``, or behind the text that shares most of the tail's end, where the
    template wrote more there, such as reasoning that it leaves out when turns follow.
    """
    at, piece = edge or (begin, "")
    common = ends.count_common(tail, piece)
    if common < len(tail.rstrip()) and at + common > begin and ends.ends_with(tail[:common]):
        tail = tail[:common]
    written = len(tail.rstrip())
    run = ends.find_last(tail) if ends.ends_with(tail) else None
    last, stop = run or (written, written)
    found: int | None = at + stop
    if stop > common:
        found = _find_shared(text, begin, tail[:stop], tail[last:stop] or tail[max(0, stop - ANCHOR) : stop])
    if found is None:
        return None
    return found - (stop - last), found + (ends.measure(text[found:]) if last == stop else 0)


def _find_shared(text: str, begin: int, tail: str, anchor: str) -> int | None:
    """Return where the text behind ``begin`` ends that shares most of the tail's end, which is the ``anchor`` at least.

    None where it is no more than that.
    """
    best = (len(anchor), 0)
    at = text.find(anchor, begin)
    while at >= 0:
        end = at + len(anchor)
        shared = _count_common(tail[::-1], text[begin:end][::-1])
        best = max(best, (shared, -end))
        at = text.find(anchor, at + 1)
    return -best[1] if best[1] else None


def _count_common(first: str, second: str) -> int:
    """Return how many characters two texts have in common at the beginning."""
    length = min(len(first), len(second))
    if first[:length] == second[:length]:
        return length
    return next(at for at in range(length) if first[at] != second[at])
