"""Answers, measured: what a base model makes of each example of an instruction dataset, as one row of sums.

An example is rendered and read once, whole; its scored tokens are the assistant's. Each answer is then read again by
itself, without what was asked, in the same tokens: the difference is what the question did for it. Sums add up over the
answers of an example and over examples; ``curate.sft.ranking.measures`` divides them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import xxhash

from curate.rundir.schemas import KEY
from curate.sft.chat_template.loss_mask import Tokens, require_scored
from curate.sft.chat_template.render import Rendered, RenderError
from curate.sft.examples import Which, scored_turns

if TYPE_CHECKING:
    from curate.reference.causal import CausalReference
    from curate.reference.token_sequences import ScoredSequence, TokenSequence
    from curate.sft.chat_template.loss_mask import ChatEncoder
    from curate.sft.chat_template.render import ChatTemplate
    from curate.sft.datasets import DrawnExample

RANK_CLIP = 100  # arXiv 2601.14249
FIRST = 64  # tokens of an answer that are its beginning
BATCH = 128  # examples that are packed together

# Sums over the scored tokens of an example, unless they say otherwise. Nats are natural logarithms, −ln p.
SUMS = {
    "nats": pa.float64(),  # given everything before them
    "tokens": pa.int64(),
    "content_nats": pa.float64(),  # without control tokens, such as the end of turn
    "bytes": pa.int64(),  # UTF-8 of the same tokens, without control tokens
    "unconditional_nats": pa.float64(),  # each answer by itself
    "ranks": pa.int64(),  # of the vocabulary, 1 the likeliest, clipped at RANK_CLIP
    "first_nats": pa.float64(),  # over the first FIRST tokens of each answer
    "first_tokens": pa.int64(),
    "full_nats": pa.float64(),  # over all tokens up to the last scored one, the prompt's too
    "full_tokens": pa.int64(),
    "prompt_tokens": pa.int64(),  # read and not scored
    "answers": pa.int64(),  # scored turns
    "windows": pa.int64(),
}
RESPONSES = pa.schema(
    [
        *KEY,
        ("part", pa.int32()),  # which example of its row, from 0
        ("id", pa.large_string()),
        ("status", pa.string()),  # ok, or unscorable
        ("reason", pa.large_string()),
        ("notes", pa.large_string()),  # what the template did to the conversation, each with a line end
        ("asked", pa.uint64()),  # xxh3 of all that stands before the first scored answer
        ("answered", pa.uint64()),  # xxh3 of the scored answers, without case and white space
        *SUMS.items(),
    ]
)


@dataclass(frozen=True, slots=True)
class ResponseReader:
    """A base model with the manner in which conversations are put before it."""

    reference: "CausalReference"
    template: "ChatTemplate"
    encoder: "ChatEncoder"
    turns: Which
    """all or last: which of the assistant's turns are scored."""

    @property
    def rows(self) -> int:
        """How many ids the model knows."""
        return self.reference.vocab_size


def measure_examples(
    reader: ResponseReader, drawn: "Sequence[DrawnExample]", advance: Callable[[int, int, int], None] | None = None
) -> Iterator[pa.Table]:
    """One row of sums for each example, batch by batch, in order; an example that cannot be scored says why.

    ``advance(examples, tokens, characters)`` is called as the work goes on, with what is done since the last call.
    """
    for at in range(0, len(drawn), BATCH):
        batch = drawn[at : at + BATCH]
        yield _measure(reader, batch, advance)


@dataclass(slots=True)
class Prompted:
    """One example on its way: rendered, in tokens, or the reason why not."""

    rendered: Rendered | None = None
    tokens: Tokens | None = None
    reason: str | None = None


def prompt(reader: ResponseReader, drawn: "Sequence[DrawnExample]") -> list[Prompted]:
    """The examples as the model reads them, with the owner of each token."""
    found = [_render(reader, one) for one in drawn]
    usable = [one for one in found if one.rendered is not None]
    encoded = reader.encoder.encode([one.rendered for one in usable if one.rendered is not None])
    for one, tokens in zip(usable, encoded, strict=True):
        one.reason = _refuse(reader, tokens)
        one.tokens = tokens if one.reason is None else None
    return found


def _render(reader: ResponseReader, one: "DrawnExample") -> Prompted:
    try:
        which = scored_turns(one.example, reader.turns)
        return Prompted(reader.template.render(one.example.turns, which, one.example.tools))
    except RenderError as error:
        return Prompted(reason=str(error))


def _refuse(reader: ResponseReader, tokens: Tokens) -> str | None:
    try:
        require_scored(reader.template, tokens)
    except RenderError as error:
        return str(error)
    if int(tokens.ids.max()) >= reader.rows:
        return (
            f"the template {reader.template.name} writes token {int(tokens.ids.max())}, which the model has no row for"
        )
    return None


def _measure(reader: ResponseReader, drawn: "Sequence[DrawnExample]", advance: Any) -> pa.Table:
    from curate.reference.token_sequences import TokenSequence, measure

    prompted = prompt(reader, drawn)
    transcripts: list[TokenSequence] = []
    begins: list[int] = []
    for one in prompted:
        begins.append(len(transcripts))
        if one.tokens is not None:
            transcripts.append(_whole(one.tokens, reader.reference.prefix))
            transcripts += [_alone(one.tokens, span) for span in range(int(one.tokens.owner.max()) + 1)]
    whole = max(sum(len(one.ids) for one in transcripts), 1)
    characters = sum(len(turn.text) for one in drawn for turn in one.example.turns)
    progress = _Share(advance, len(drawn), characters, whole)
    measured = measure(reader.reference, transcripts, progress.add)
    progress.finish()
    rows = [_row(reader, one, example, measured[at:]) for one, example, at in zip(prompted, drawn, begins, strict=True)]
    return pa.Table.from_pylist(rows, RESPONSES)


def _whole(tokens: Tokens, prefix: int | None) -> "TokenSequence":
    """An example up to its last scored token. A prefix that the template writes is not asked for, or it came twice."""
    from curate.reference.token_sequences import TokenSequence

    wanted = np.arange(len(tokens.ids)) <= np.flatnonzero(tokens.owner >= 0)[-1]
    wanted[0] &= tokens.ids[0] != prefix
    return TokenSequence(tokens.ids, wanted)


def _alone(tokens: Tokens, span: int) -> "TokenSequence":
    from curate.reference.token_sequences import TokenSequence

    own = tokens.ids[tokens.owner == span]
    return TokenSequence(own, np.ones(len(own), np.bool_))


@dataclass(slots=True)
class _Share:
    """Progress of one batch, told by the share of its tokens that were read."""

    advance: Callable[[int, int, int], None] | None
    examples: int
    characters: int
    whole: int
    read: int = 0
    told: tuple[int, int] = (0, 0)

    def add(self, scored: int, read: int) -> None:
        self.read += read
        self._tell(min(1.0, self.read / self.whole), scored)

    def finish(self) -> None:
        self._tell(1.0, 0)

    def _tell(self, share: float, tokens: int) -> None:
        now = round(self.examples * share), round(self.characters * share)
        if self.advance is not None:
            self.advance(now[0] - self.told[0], tokens, now[1] - self.told[1])
        self.told = now


def _row(
    reader: ResponseReader, one: Prompted, example: "DrawnExample", measured: "Sequence[ScoredSequence]"
) -> dict[str, Any]:
    """One example's row: the key, why not, or the sums."""
    asked, answered = _digest(reader, example)
    row = {"file": example.file, "row": example.row, "part": example.part, "id": example.id}
    row |= {"asked": asked, "answered": answered, "status": "unscorable", "reason": one.reason}
    if one.tokens is None or one.rendered is None:
        return row
    row["notes"] = "\n".join(one.rendered.notes) or None
    answers = int(one.tokens.owner.max()) + 1
    sums = sum_up(one.rendered, one.tokens, measured[0], measured[1 : 1 + answers], reader.encoder.control)
    if not np.isfinite([sums["nats"], sums["unconditional_nats"], sums["full_nats"]]).all():
        return row | {"reason": "the model gave NaN or infinity for one of its tokens"}
    if not sums["tokens"]:
        return row | {"reason": "its only token has nothing before it to be predicted from"}
    return row | sums | {"status": "ok", "reason": None}


def sum_up(
    rendered: Rendered,
    tokens: Tokens,
    given: "ScoredSequence",
    alone: "Sequence[ScoredSequence]",
    control: frozenset[int],
) -> dict[str, Any]:
    """The sums of one example, from what the model made of its tokens: given the prompt, and each answer alone.

    A token that could not be predicted for want of anything before it (no prefix token) is in no sum of nats or tokens,
    of answers with a prompt or without one, so that both speak of the same tokens.
    """
    scored = tokens.owner >= 0
    unconditional, predicted = np.zeros(len(scored)), np.zeros(len(scored), np.bool_)
    for span, one in enumerate(alone):
        unconditional[tokens.owner == span], predicted[tokens.owner == span] = one.nats, one.ranks > 0
    known = scored & predicted & (given.ranks > 0)
    content = known & ~np.isin(tokens.ids, list(control))
    first = known & _beginnings(tokens.owner)
    read = given.ranks > 0
    last = int(np.flatnonzero(scored)[-1]) + 1
    return {
        "nats": float(given.nats[known].sum()),
        "tokens": int(known.sum()),
        "content_nats": float(given.nats[content].sum()),
        "bytes": _count_bytes(rendered.text, tokens, content),
        "unconditional_nats": float(unconditional[known].sum()),
        "ranks": int(np.minimum(given.ranks[known], RANK_CLIP).sum()),
        "first_nats": float(given.nats[first].sum()),
        "first_tokens": int(first.sum()),
        "full_nats": float(given.nats[:last][read[:last]].sum()),
        "full_tokens": int(read[:last].sum()),
        "prompt_tokens": int((~scored[:last]).sum()),
        "answers": len(alone),
        "windows": given.windows,
    }


def _beginnings(owner: np.ndarray[Any, np.dtype[np.int32]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """The first ``FIRST`` tokens of each answer."""
    found = np.zeros(len(owner), np.bool_)
    for span in range(int(owner.max()) + 1):
        found[np.flatnonzero(owner == span)[:FIRST]] = True
    return found


def _count_bytes(text: str, tokens: Tokens, content: np.ndarray[Any, np.dtype[np.bool_]]) -> int:
    """UTF-8 bytes that runs of content tokens spell; a character that tokens share counts once."""
    total = 0
    for span in range(int(tokens.owner.max()) + 1):
        at = np.flatnonzero(content & (tokens.owner == span))
        for run in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1) if len(at) else ():
            total += len(text[int(tokens.spans[run[0], 0]) : int(tokens.spans[run[-1], 1])].encode())
    return total


def _digest(reader: ResponseReader, one: "DrawnExample") -> tuple[int, int]:
    """Hashes of what was asked and of what was answered."""
    turns = one.example.turns
    which = scored_turns(one.example, reader.turns)
    first = which[0] if which else len(turns)
    asked = "\0".join(f"{turn.role}\0{turn.text}" for turn in turns[:first])
    answered = "\0".join(" ".join(turns[at].text.casefold().split()) for at in which)
    return xxhash.xxh3_64_intdigest(asked.encode()), xxhash.xxh3_64_intdigest(answered.encode())
