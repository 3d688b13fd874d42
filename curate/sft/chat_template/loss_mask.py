"""Rendered conversations as token ids, each with the scored turn that owns it; and masks to look at and to check.

A rendering is tokenised as one text, with control tokens recognised, as trainers do it. A token belongs to a span if
it begins in it: one that straddles the edge belongs to the prompt, since the model is given its beginning.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.corpus.chat.types import Turn
from curate.errors import ModelError
from curate.sft.chat_template.delimiters import Place
from curate.sft.chat_template.render import ChatTemplate, Rendered, RenderError, read_tools

GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


@dataclass(frozen=True, slots=True)
class Tokens:
    """A rendering in tokens; no BOS but what the template writes."""

    ids: NDArray[np.int32]  # N
    owner: NDArray[np.int32]  # N: k where the token belongs to span k, else -1
    spans: NDArray[np.int64]  # N×2, characters: begin, end (excluded)


@dataclass(frozen=True, slots=True)
class MaskAudit:
    """Our mask of all assistant turns against the one that a template gives by ``{% generation %}``, in tokens."""

    both: int
    ours: int
    """Tokens that only we score."""
    theirs: int
    ours_texts: tuple[str, ...]
    """What they spell, one text for each run."""
    theirs_texts: tuple[str, ...]


class ChatEncoder:
    """The tokenizer as a trainer uses it on rendered text: whole, in one piece, and with nothing added."""

    def __init__(self, tokenizer: Any):
        """ModelError for a tokenizer that is not of the fast kind: it does not know where in a text its tokens lie."""
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            message = f"{type(tokenizer).__name__} does not say which characters a token stands for"
            raise ModelError(message, "bring a model whose tokenizer has a tokenizer.json")
        self._fast = type(backend).from_str(backend.to_str())  # a copy: the settings below are ours alone
        self._fast.no_truncation()
        self._fast.no_padding()
        self._fast.encode_special_tokens = False
        # It only adds tokens, which we do not want, and takes white space out of the offsets, which we need.
        self._fast.post_processor = None

    @property
    def control(self) -> frozenset[int]:
        """The ids of the control tokens."""
        return frozenset(at for at, one in self._fast.get_added_tokens_decoder().items() if one.special)

    def encode(self, rendered: Sequence[Rendered]) -> list[Tokens]:
        """The tokens of each rendering; see ``require_scored`` for a mask that comes out empty."""
        found = self._fast.encode_batch([one.text for one in rendered], add_special_tokens=False)
        return [_read(one, encoding) for one, encoding in zip(rendered, found, strict=True)]


def require_scored(template: ChatTemplate, tokens: Tokens) -> None:
    """Raise RenderError, which names the template, where no token belongs to a scored turn."""
    if not (tokens.owner >= 0).any():
        raise RenderError(f"no token is scored under the template {template.name}")


def mark(rendered: Rendered, tokens: Tokens) -> str:
    """The rendering with ⟦ and ⟧ around what the scored tokens spell, for a person to look at."""
    pieces, done = [], 0
    for begin, end in _runs(tokens, tokens.owner):
        pieces += [rendered.text[done:begin], "⟦", rendered.text[begin:end], "⟧"]
        done = end
    return "".join([*pieces, rendered.text[done:]])


def audit(
    template: ChatTemplate, turns: Sequence[Turn], rendered: Rendered, tokens: Tokens, tools: str | None = None
) -> MaskAudit | None:
    """Compare with transformers' own mask; None for a template without ``{% generation %}``.

    Such a template marks all assistant turns, so all of them are compared, also where ``rendered`` scores the last
    one only (unless one of them cannot be scored).
    """
    source = template.tool_source if template.tool_source and read_tools(tools) else template.source
    if not GENERATION.search(source):
        return None
    theirs = _their_mask(template, turns, tools, tokens)
    everyone = [at for at, turn in enumerate(turns) if turn.role == "assistant"]
    try:
        spans = template.render(turns, everyone, tools).spans
    except RenderError:
        spans = rendered.spans
    ours = _owners(tokens.spans, spans) >= 0
    only = ours & ~theirs, theirs & ~ours
    texts = [_texts(rendered, tokens, mask) for mask in only]
    return MaskAudit(int((ours & theirs).sum()), int(only[0].sum()), int(only[1].sum()), *texts)


def _their_mask(template: ChatTemplate, turns: Sequence[Turn], tools: str | None, tokens: Tokens) -> NDArray[np.bool_]:
    options = {"tokenize": True, "return_dict": True, "return_assistant_tokens_mask": True}
    found = template.apply(template.fit(turns, tools)[0], tools, **options)
    if not np.array_equal(found["input_ids"], tokens.ids):
        raise ModelError(f"transformers tokenises what {template.name} writes in another way than its tokenizer.json")
    return np.array(found["assistant_masks"], np.bool_)


def _read(rendered: Rendered, encoding: Any) -> Tokens:
    ids = np.array(encoding.ids, np.int32)
    spans = np.array(encoding.offsets, np.int64).reshape(-1, 2)
    _take_blanks(rendered.text, spans)
    return Tokens(ids, _owners(spans, rendered.spans), spans)


def _take_blanks(text: str, spans: NDArray[np.int64]) -> None:
    """Let a token begin where the one before it ended, if only blanks that its tokenizer leaves out lie between.

    Line ends that no token spells are nobody's: they do not make the first word of an answer straddle.
    """
    if not len(spans):
        return
    ended = np.maximum.accumulate(np.concatenate([[0], spans[:-1, 1]]))
    for at in np.flatnonzero(spans[:, 0] > ended).tolist():
        if not text[ended[at] : spans[at, 0]].strip(" "):
            spans[at, 0] = ended[at]


def _owners(places: NDArray[np.int64], spans: Sequence[Place]) -> NDArray[np.int32]:
    owner = np.full(len(places), -1, np.int32)
    for number, (begin, end) in enumerate(spans):
        owner[(places[:, 0] >= begin) & (places[:, 0] < end)] = number
    return owner


def _texts(rendered: Rendered, tokens: Tokens, mask: NDArray[np.bool_]) -> tuple[str, ...]:
    runs = _runs(tokens, np.where(mask, 0, -1).astype(np.int32))
    return tuple(rendered.text[begin:end] for begin, end in runs)


def _runs(tokens: Tokens, owner: NDArray[np.int32]) -> list[Place]:
    """The characters of neighbouring tokens with the same owner, without those of no owner."""
    edges = [0, *(np.flatnonzero(np.diff(owner)) + 1).tolist(), len(owner)]
    runs = [(first, last) for first, last in pairwise(edges) if last > first and owner[first] >= 0]
    return [(int(tokens.spans[first, 0]), int(tokens.spans[first:last, 1].max())) for first, last in runs]
