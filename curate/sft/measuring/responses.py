"""Measured answers: one row of sums for each example of an instruction dataset, under one base model.

An example is rendered and read once, with all its turns; the assistant's tokens are scored. Then each answer is read
alone, without its question, in the same tokens: the difference shows how much the question helped. Sums add up over the
answers of an example and over examples; ``curate.sft.ranking.measures`` divides them.

    DrawnExample → RenderedExample (text, tokens) → TokenSequence, one for the example and one for each answer
                 → nats and ranks of tokens → a row of ``RESPONSES``
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import xxhash

from curate.rundir.schemas import KEY
from curate.runtime.arrays import BoolArray, Int32Array
from curate.sft.chat_template.loss_mask import Tokens, require_scored
from curate.sft.chat_template.render import Rendered, RenderError
from curate.sft.examples import Which, scored_turns

if TYPE_CHECKING:
    from curate.reference.causal import CausalReference
    from curate.reference.token_sequences import ScoredSequence, TokenSequence
    from curate.sft.chat_template.loss_mask import ChatEncoder
    from curate.sft.chat_template.render import ChatTemplate
    from curate.sft.datasets import DrawnExample

RANK_CLIP = 100
"""Ranks above this one count as this one (arXiv 2601.14249)."""
FIRST = 64
"""Tokens at the beginning of an answer that have sums of their own."""
BATCH = 128
"""Examples that are packed together."""

# Sums over the scored tokens of an example, unless they say otherwise. Nats are natural logarithms, −ln p.
SUMS = {
    "nats": pa.float64(),  # given everything before them
    "tokens": pa.int64(),
    "content_nats": pa.float64(),  # without control tokens, such as the end of turn
    "bytes": pa.int64(),  # UTF-8 of the same tokens, without control tokens
    "unconditional_nats": pa.float64(),  # each answer alone, without its question
    "ranks": pa.int64(),  # of the vocabulary, 1 the likeliest, clipped at RANK_CLIP
    "first_nats": pa.float64(),  # over the first FIRST tokens of each answer
    "first_tokens": pa.int64(),
    "full_nats": pa.float64(),  # over all tokens up to the last scored one, prompts included
    "full_tokens": pa.int64(),
    "prompt_tokens": pa.int64(),  # read and not scored
    "answers": pa.int64(),  # scored turns
    "windows": pa.int64(),
}
RESPONSES = pa.schema(
    [
        *KEY,
        ("part", pa.int32()),  # the number of the example within its row, from 0
        ("id", pa.large_string()),
        ("status", pa.string()),  # ok, or unscorable
        ("reason", pa.large_string()),
        ("notes", pa.large_string()),  # changes that the template made, separated by line ends
        ("asked", pa.uint64()),  # xxh3 of all turns before the first scored answer
        ("answered", pa.uint64()),  # xxh3 of the scored answers, without case and white space
        *SUMS.items(),
    ]
)


@dataclass(frozen=True, slots=True)
class ResponseReader:
    """A base model with the template, the tokenizer and the turns that it scores."""

    reference: "CausalReference"
    template: "ChatTemplate"
    encoder: "ChatEncoder"
    turns: Which
    """Which assistant turns are scored."""

    @property
    def vocabulary(self) -> int:
        """The number of token ids that the model has an embedding for."""
        return self.reference.vocab_size


def measure_examples(
    reader: ResponseReader, examples: "Sequence[DrawnExample]", advance: Callable[[int, int, int], None] | None = None
) -> Iterator[pa.Table]:
    """Yield tables of ``RESPONSES``, one for each batch: a row for each example, in order.

    The row of an example that cannot be scored has the reason and no sums. ``advance(examples, tokens, characters)`` is
    called during the work with what was done since the last call.
    """
    for begin in range(0, len(examples), BATCH):
        yield _measure_batch(reader, examples[begin : begin + BATCH], advance)


@dataclass(slots=True)
class RenderedExample:
    """An example as the model reads it, or the reason why it cannot be scored."""

    rendered: Rendered | None = None
    tokens: Tokens | None = None
    reason: str | None = None


def render_examples(reader: ResponseReader, examples: "Sequence[DrawnExample]") -> list[RenderedExample]:
    """Return the examples as the model reads them: text and tokens, or a reason, in the order given."""
    found = [_render_text(reader, drawn) for drawn in examples]
    usable = [each for each in found if each.rendered is not None]
    encoded = reader.encoder.encode([each.rendered for each in usable if each.rendered is not None])
    for each, tokens in zip(usable, encoded, strict=True):
        each.reason = _find_refusal(reader, tokens)
        each.tokens = tokens if each.reason is None else None
    return found


def _render_text(reader: ResponseReader, drawn: "DrawnExample") -> RenderedExample:
    try:
        scored = scored_turns(drawn.example, reader.turns)
        return RenderedExample(reader.template.render(drawn.example.conversation, scored, drawn.example.tools))
    except RenderError as error:
        return RenderedExample(reason=str(error))


def _find_refusal(reader: ResponseReader, tokens: Tokens) -> str | None:
    try:
        require_scored(reader.template, tokens)
    except RenderError as error:
        return str(error)
    if int(tokens.ids.max()) >= reader.vocabulary:
        return (
            f"the template {reader.template.name} writes token {int(tokens.ids.max())}, which the model has no row for"
        )
    return None


def _measure_batch(
    reader: ResponseReader, examples: "Sequence[DrawnExample]", advance: Callable[[int, int, int], None] | None
) -> pa.Table:
    from curate.reference.token_sequences import measure_sequences

    rendered = render_examples(reader, examples)
    sequences: list[TokenSequence] = []
    begins: list[int] = []
    for each in rendered:
        begins.append(len(sequences))
        if each.tokens is not None:
            sequences.append(_make_full_sequence(each.tokens, reader.reference.prefix))
            sequences += [_make_answer_sequence(each.tokens, span) for span in range(int(each.tokens.owner.max()) + 1)]
    num_tokens = max(sum(len(sequence.ids) for sequence in sequences), 1)
    characters = sum(len(turn.text) for drawn in examples for turn in drawn.example.turns)
    progress = _BatchProgress(advance, len(examples), characters, num_tokens)
    measured = measure_sequences(reader.reference, sequences, progress.add)
    progress.finish()
    control = reader.encoder.control
    rows = [
        _make_row(reader, each, drawn, measured[begin:], control)
        for each, drawn, begin in zip(rendered, examples, begins, strict=True)
    ]
    return pa.Table.from_pylist(rows, RESPONSES)


def _make_full_sequence(tokens: Tokens, prefix: int | None) -> "TokenSequence":
    """Return an example up to its last scored token. The prefix is not scored where the template writes it."""
    from curate.reference.token_sequences import TokenSequence

    wanted = np.arange(len(tokens.ids)) <= np.flatnonzero(tokens.owner >= 0)[-1]
    wanted[0] &= tokens.ids[0] != prefix
    return TokenSequence(tokens.ids, wanted)


def _make_answer_sequence(tokens: Tokens, span: int) -> "TokenSequence":
    """Return the tokens of one answer, all of them scored."""
    from curate.reference.token_sequences import TokenSequence

    ids = tokens.ids[tokens.owner == span]
    return TokenSequence(ids, np.ones(len(ids), np.bool_))


@dataclass(slots=True)
class _BatchProgress:
    """Progress of one batch: its examples and characters count as done by the share of its tokens that were read."""

    advance: Callable[[int, int, int], None] | None
    examples: int
    characters: int
    num_tokens: int
    read: int = 0
    reported: tuple[int, int] = (0, 0)
    """Examples and characters passed to ``advance`` so far."""

    def add(self, scored: int, read: int) -> None:
        """Report that a number of tokens were scored and read."""
        self.read += read
        self._report(min(1.0, self.read / self.num_tokens), scored)

    def finish(self) -> None:
        """Report the rest of the batch."""
        self._report(1.0, 0)

    def _report(self, share: float, tokens: int) -> None:
        now = round(self.examples * share), round(self.characters * share)
        if self.advance is not None:
            self.advance(now[0] - self.reported[0], tokens, now[1] - self.reported[1])
        self.reported = now


def _make_row(
    reader: ResponseReader,
    rendered: RenderedExample,
    drawn: "DrawnExample",
    measured: "Sequence[ScoredSequence]",
    control: frozenset[int],
) -> dict[str, Any]:
    """Return the row of one example: its key with the sums, or with the reason why it cannot be scored."""
    asked, answered = _hash_turns(reader, drawn)
    row = {"file": drawn.file, "row": drawn.row, "part": drawn.part, "id": drawn.id}
    row |= {"asked": asked, "answered": answered, "status": "unscorable", "reason": rendered.reason}
    if rendered.tokens is None or rendered.rendered is None:
        return row
    row["notes"] = "\n".join(rendered.rendered.notes) or None
    answers = int(rendered.tokens.owner.max()) + 1
    sums = sum_tokens(rendered.rendered, rendered.tokens, measured[0], measured[1 : 1 + answers], control)
    if not np.isfinite([sums["nats"], sums["unconditional_nats"], sums["full_nats"]]).all():
        return row | {"reason": "the model gave NaN or infinity for one of its tokens"}
    if not sums["tokens"]:
        return row | {"reason": "its only token has nothing before it to be predicted from"}
    return row | sums | {"status": "ok", "reason": None}


def sum_tokens(
    rendered: Rendered,
    tokens: Tokens,
    given: "ScoredSequence",
    alone: "Sequence[ScoredSequence]",
    control: frozenset[int],
) -> dict[str, Any]:
    """Return the ``SUMS`` of one example.

    ``given`` is the example as the model scored it, ``alone`` each answer without its question; ``control`` are the ids
    of control tokens. A token that had nothing before it to be predicted from (no prefix token) is left out of the sums
    of nats and tokens, with the prompt and without it, so that both are over the same tokens.
    """
    scored = tokens.owner >= 0
    unconditional, predicted = np.zeros(len(scored)), np.zeros(len(scored), np.bool_)
    for span, answer in enumerate(alone):
        unconditional[tokens.owner == span], predicted[tokens.owner == span] = answer.nats, answer.ranks > 0
    known = scored & predicted & (given.ranks > 0)
    content = known & ~np.isin(tokens.ids, list(control))
    first = known & _mask_beginnings(tokens.owner)
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


def _mask_beginnings(owner: Int32Array) -> BoolArray:
    """Return a mask (N) of the first ``FIRST`` tokens of each answer."""
    mask = np.zeros(len(owner), np.bool_)
    for span in range(int(owner.max()) + 1):
        mask[np.flatnonzero(owner == span)[:FIRST]] = True
    return mask


def _count_bytes(text: str, tokens: Tokens, content: BoolArray) -> int:
    """Return the UTF-8 bytes of the masked tokens' text; a character that neighbouring tokens share counts once."""
    total = 0
    for span in range(int(tokens.owner.max()) + 1):
        indices = np.flatnonzero(content & (tokens.owner == span))
        for run in np.split(indices, np.flatnonzero(np.diff(indices) > 1) + 1) if len(indices) else ():
            total += len(text[int(tokens.spans[run[0], 0]) : int(tokens.spans[run[-1], 1])].encode())
    return total


def _hash_turns(reader: ResponseReader, drawn: "DrawnExample") -> tuple[int, int]:
    """Return hashes of the turns before the first scored answer, and of the scored answers."""
    turns = drawn.example.turns
    scored = scored_turns(drawn.example, reader.turns)
    first = scored[0] if scored else len(turns)
    asked = "\0".join(f"{turn.role}\0{turn.text}" for turn in turns[:first])
    answered = "\0".join(" ".join(turns[at].text.casefold().split()) for at in scored)
    return xxhash.xxh3_64_intdigest(asked.encode()), xxhash.xxh3_64_intdigest(answered.encode())
