"""The loss mask: rendered conversations as token ids, each with the scored turn that it belongs to.

A rendering is tokenised as one text, with control tokens recognised, as trainers do it. A token belongs to the
span that it begins in. One that straddles the beginning of a span belongs to the prompt, since the model is given its
beginning.

The mask can be shown (``mark_scored``) and compared with the template's ``{% generation %}`` mask (``audit_mask``).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from curate.corpus.chat.types import Turn
from curate.errors import ModelError
from curate.runtime.arrays import BoolArray, Int32Array, Int64Array
from curate.runtime.redaction import NO_REDACTION, Redactor
from curate.sft.chat_template.delimiters import Span
from curate.sft.chat_template.render import ChatTemplate, Rendered, RenderError, read_tools

GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The N tokens of a rendering. There is no BOS unless the template writes one."""

    ids: Int32Array
    """N."""
    owner: Int32Array
    """N: k where the token belongs to span k of the rendering, else −1."""
    spans: Int64Array
    """N × 2, characters of the rendering: begin, end (excluded)."""


@dataclass(frozen=True, slots=True)
class MaskAudit:
    """Our mask of all assistant turns compared with the template's ``{% generation %}`` mask, in tokens."""

    both: int
    """Tokens that both score."""
    ours: int
    """Tokens that only our mask scores."""
    theirs: int
    """Tokens that only the template's mask scores."""
    ours_texts: tuple[str, ...]
    """The texts of ``ours``, one for each run of tokens."""
    theirs_texts: tuple[str, ...]
    """The texts of ``theirs``, one for each run of tokens."""


class ChatEncoder:
    """A tokenizer as trainers use it on rendered text: the text in one piece, nothing added, nothing cut off."""

    def __init__(self, tokenizer: Any):
        """Raises ModelError for a slow tokenizer, which gives no offsets."""
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            message = f"{type(tokenizer).__name__} gives no character offsets of its tokens"
            raise ModelError(message, "use a model with a tokenizer.json")
        self._fast = type(backend).from_str(backend.to_str())  # a copy, so that the settings below change nothing else
        self._fast.no_truncation()
        self._fast.no_padding()
        self._fast.encode_special_tokens = False
        # It only adds tokens, which we do not want, and takes white space out of the offsets, which we need.
        self._fast.post_processor = None

    @property
    def control(self) -> frozenset[int]:
        """The ids of the control tokens."""
        added = self._fast.get_added_tokens_decoder()
        return frozenset(token_id for token_id, token in added.items() if token.special)

    def encode(self, rendered: Sequence[Rendered]) -> list[Tokens]:
        """Return the tokens of each rendering. Their mask may be empty; see ``require_scored``."""
        encodings = self._fast.encode_batch([each.text for each in rendered], add_special_tokens=False)
        return [_read_encoding(each, encoding) for each, encoding in zip(rendered, encodings, strict=True)]


def require_scored(template: ChatTemplate, tokens: Tokens) -> None:
    """Raise RenderError, naming the template, where no token belongs to a scored turn."""
    if not (tokens.owner >= 0).any():
        raise RenderError(f"no token is scored under the template {template.name}")


def mark_scored(rendered: Rendered, tokens: Tokens, redactor: Redactor = NO_REDACTION) -> str:
    """Return the text of a rendering, redacted, with ⟦ and ⟧ around the scored tokens, to be read by a person."""
    text, pieces, done = redactor.redact(rendered.text), [], 0
    for begin, end in _find_runs(tokens, tokens.owner):
        pieces += [text.cut(done, begin), "⟦", text.cut(begin, end), "⟧"]
        done = end
    return "".join([*pieces, text.cut(done, len(rendered.text))])


def audit_mask(
    template: ChatTemplate, turns: Sequence[Turn], rendered: Rendered, tokens: Tokens, tools: str | None = None
) -> MaskAudit | None:
    """Return the comparison with transformers' mask; None for a template without ``{% generation %}``.

    Such a template marks all assistant turns, so all of them are compared, even where ``rendered`` scores only the last
    one (unless one of them cannot be scored). Raises ModelError where transformers gives other token ids than ours.
    """
    source = template.tool_source if template.tool_source and read_tools(tools) else template.source
    if not GENERATION.search(source):
        return None
    theirs = _read_template_mask(template, turns, tools, tokens)
    assistant = [index for index, turn in enumerate(turns) if turn.role == "assistant"]
    try:
        spans = template.render(turns, assistant, tools).spans
    except RenderError:
        spans = rendered.spans
    ours = _find_owners(tokens.spans, spans) >= 0
    only = ours & ~theirs, theirs & ~ours
    texts = [_list_texts(rendered, tokens, mask) for mask in only]
    return MaskAudit(int((ours & theirs).sum()), int(only[0].sum()), int(only[1].sum()), *texts)


def _read_template_mask(template: ChatTemplate, turns: Sequence[Turn], tools: str | None, tokens: Tokens) -> BoolArray:
    """Return the template's ``{% generation %}`` mask (N)."""
    options = {"tokenize": True, "return_dict": True, "return_assistant_tokens_mask": True}
    fitted = template.fit(turns, tools)
    found = template.apply(fitted.turns, tools, fitted.form, **options)
    if not np.array_equal(found["input_ids"], tokens.ids):
        raise ModelError(f"transformers tokenises the output of {template.name} differently than its tokenizer.json")
    return np.array(found["assistant_masks"], np.bool_)


def _read_encoding(rendered: Rendered, encoding: Any) -> Tokens:
    ids = np.array(encoding.ids, np.int32)
    spans = np.array(encoding.offsets, np.int64).reshape(-1, 2)
    _extend_over_blanks(rendered.text, spans)
    return Tokens(ids, _find_owners(spans, rendered.spans), spans)


def _extend_over_blanks(text: str, spans: Int64Array) -> None:
    """Let a token begin where the previous one ended if only blanks lie between, which the tokenizer left out.

    Changes ``spans`` in place. Line ends that no token spells belong to no token, so that they do not make the first
    word of an answer straddle the edge.
    """
    if not len(spans):
        return
    ended = np.maximum.accumulate(np.concatenate([[0], spans[:-1, 1]]))
    for at in np.flatnonzero(spans[:, 0] > ended).tolist():
        if not text[ended[at] : spans[at, 0]].strip(" "):
            spans[at, 0] = ended[at]


def _find_owners(token_spans: Int64Array, spans: Sequence[Span]) -> Int32Array:
    """Return for each token the index of the span that it begins in, −1 for none."""
    owner = np.full(len(token_spans), -1, np.int32)
    for index, (begin, end) in enumerate(spans):
        owner[(token_spans[:, 0] >= begin) & (token_spans[:, 0] < end)] = index
    return owner


def _list_texts(rendered: Rendered, tokens: Tokens, mask: BoolArray) -> tuple[str, ...]:
    """Return the text of each run of masked tokens."""
    runs = _find_runs(tokens, np.where(mask, 0, -1).astype(np.int32))
    return tuple(rendered.text[begin:end] for begin, end in runs)


def _find_runs(tokens: Tokens, owner: Int32Array) -> list[Span]:
    """Return the spans of runs of neighbouring tokens with the same owner, without those of owner −1."""
    edges = [0, *(np.flatnonzero(np.diff(owner)) + 1).tolist(), len(owner)]
    runs = [(first, last) for first, last in pairwise(edges) if last > first and owner[first] >= 0]
    return [(int(tokens.spans[first, 0]), int(tokens.spans[first:last, 1].max())) for first, last in runs]
