"""Whether served tokens spell the text of their document, and which of them do: numbers of another text are refused.

The text is that of the document; in a conversation it may be that of its last turn alone, which is what a server
generated. Tokens that are no text are left out: those that the server marks, a last one behind the text
(``<|im_end|>``), a first one before it that has no number (``<s>``).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from curate.reference.served.formats import LogprobsError, ServedToken

LONGEST_TOKEN = 256
"""Bytes that a first token may spell of which only its place is known."""


@dataclass(frozen=True, slots=True)
class SpelledTokens:
    """The tokens of a text that have numbers, in order."""

    logprobs: list[float]
    num_bytes: int
    """UTF-8 bytes that they spell."""
    skips_first: bool
    """Whether the text begins with a token without a number."""


def match_tokens(tokens: Sequence[ServedToken], text: str, last_turn: str | None = None) -> SpelledTokens:
    """Return the tokens that spell a text, or its last turn where that is given.

    Where a token is part of a character and spelled with U+FFFD, only the ASCII characters are compared. Raises
    LogprobsError where they spell something else, and where their bytes cannot be known.
    """
    kept = [token for token in tokens if not token.special]
    if not kept:
        raise LogprobsError("all tokens are special ones")
    if all(token.octets is None for token in kept):
        return _take_numbers(kept, text, last_turn)
    if any(token.octets is None for token in kept[1:]) or (kept[0].octets is None and kept[0].logprob is not None):
        raise LogprobsError("some tokens have a spelling and others have none")
    targets = [text] if last_turn is None or last_turn == text else [text, last_turn]
    for chosen, target in itertools.product(_list_runs(kept), targets):
        found = _match_run(chosen, target)
        if found is not None and found.num_bytes:
            return found
    spelled = b"".join(token.octets or b"" for token in kept).decode("utf-8", "replace")
    whose = "text" if last_turn is None else "text, nor its last turn"
    raise LogprobsError(f"the tokens do not spell the {whose} (they spell {_shorten(spelled)})")


def _take_numbers(tokens: Sequence[ServedToken], text: str, last_turn: str | None) -> SpelledTokens:
    """Return tokens of which only the numbers are known as those of the complete text."""
    if last_turn is not None:
        raise LogprobsError("numbers alone, so that it is not known of which turns they are")
    if tokens[0].logprob is None:
        raise LogprobsError("the first token has no number, and how many bytes the others spell is not known")
    return SpelledTokens([token.logprob or 0.0 for token in tokens], len(text.encode()), False)


def _list_runs(tokens: Sequence[ServedToken]) -> list[Sequence[ServedToken]]:
    """Return which tokens may spell the text: all, without the last, without a first that has no number, or both."""
    runs = [tokens, tokens[:-1]]
    if tokens[0].logprob is None and tokens[0].octets is not None:
        runs += [tokens[1:], tokens[1:-1]]
    return [run for run in runs if any(token.logprob is not None for token in run)]


def _match_run(tokens: Sequence[ServedToken], target: str) -> SpelledTokens | None:
    """Return the tokens with numbers, if all of them spell a text; None if not."""
    first, scored = tokens[0], tokens[1:] if tokens[0].logprob is None else tokens
    octets = b"".join(token.octets or b"" for token in tokens)
    wanted = target.encode()
    before = len(wanted) - len(octets) if first.octets is None else 0
    logprobs = [token.logprob for token in scored if token.logprob is not None]
    if 0 <= before <= LONGEST_TOKEN and wanted[before:] == octets:
        unscored = before if first.octets is None else len(octets) - sum(len(token.octets or b"") for token in scored)
        return SpelledTokens(logprobs, len(wanted) - unscored, len(scored) < len(tokens) and unscored > 0)
    is_vague = not all(token.is_exact for token in tokens)
    if not is_vague or first.octets is None or (first.logprob is None and not first.is_exact):
        return None
    if _keep_ascii(octets.decode("utf-8", "replace")) != _keep_ascii(target):
        return None
    unscored = len(first.octets) if first.logprob is None else 0
    return SpelledTokens(logprobs, len(wanted) - unscored, unscored > 0)


def _keep_ascii(text: str) -> str:
    return text.encode("ascii", "ignore").decode()


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
