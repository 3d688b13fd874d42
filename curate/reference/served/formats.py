"""The formats in which serving stacks return the log probabilities of tokens; each becomes a list of ``ServedToken``.

    [-0.7, -1.2]                                                 natural logarithms alone
    {"content": [{"token", "logprob", "bytes", "top_logprobs"}]}  OpenAI, chat; also its list alone
    {"tokens": […], "token_logprobs": […], "text_offset": […]}    OpenAI and vLLM, completions
    [null, {"TOKEN_ID": {"logprob", "rank", "decoded_token"}}]    vLLM, prompt_logprobs
    {"tokens": [{"id", "text", "logprob", "special"}]}            text-generation-inference, details
    any of them as JSON text, or under logprobs, prompt_logprobs, details

Sources: OpenAI's OpenAPI description (ChatCompletionTokenLogprob, CompletionChoice.logprobs); vLLM's
``vllm/logprobs.py`` and ``entrypoints/openai``, which writes -9999.0 for minus infinity; the OpenAPI description of
text-generation-inference (Details, Token). All of them return natural logarithms. A base of 2 or of 10 cannot be told
from the numbers.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SENTINEL = -9999.0
"""What OpenAI and vLLM write where a token is too unlikely to have a number; no smaller number is one either."""
ROUNDING = 1e-5
"""Up to here a positive logarithm is the 0 of a sure token, rounded in float32."""
INNER = ("logprobs", "prompt_logprobs", "details")
"""Keys of responses under which the log probabilities lie."""
ESCAPED = re.compile(r"bytes:((?:\\x[0-9a-fA-F]{2})+)")
"""How OpenAI's completions spell a token that is part of a character."""


class LogprobsError(Exception):
    """Why a document has no numbers. What is of this document alone stands in parentheses at the end."""


@dataclass(frozen=True, slots=True)
class ServedToken:
    """A token as a serving stack returned it."""

    logprob: float | None
    """Natural logarithm, at most 0; None of a first token, before which the model read nothing."""
    octets: bytes | None
    """What it spells; None where only its number is known."""
    special: bool = False
    """Whether the stack marks it as one that is no text."""
    is_exact: bool = True
    """Whether ``octets`` are all of its bytes; where it is part of a character they may be those of U+FFFD."""


def parse_logprobs(value: Any) -> list[ServedToken]:
    """Return the tokens of a value of the column, at least one, the first alone without a number.

    Raises LogprobsError where there is no value, none of the formats, or a number that is no log probability.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise LogprobsError("no value")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise LogprobsError("neither JSON nor a list") from error
        return parse_logprobs(value)
    tokens = _parse_object(value) if isinstance(value, Mapping) else _parse_list(value)
    if not tokens:
        raise LogprobsError("no tokens")
    for index, token in enumerate(tokens):
        if token.logprob is None and index:
            raise LogprobsError(f"a token behind the first has no number (token {index + 1} of {len(tokens)})")
    if all(token.logprob is None for token in tokens):
        raise LogprobsError("no token has a number")
    return tokens


def _parse_object(value: Mapping[str, Any]) -> list[ServedToken]:
    inner = [name for name in INNER if value.get(name) is not None]
    if len(inner) > 1:
        raise LogprobsError(f"more than one list of tokens ({' and '.join(inner)})")
    if inner:
        return parse_logprobs(value[inner[0]])
    if "token_logprobs" in value:
        return _parse_completion(value)
    for name in ("content", "tokens"):
        if name in value:
            if value[name] is None:
                raise LogprobsError("no tokens")
            return _parse_list(value[name])
    raise LogprobsError(f"an object of none of the known formats (it has {', '.join(map(str, list(value)[:5]))})")


def _parse_completion(value: Mapping[str, Any]) -> list[ServedToken]:
    numbers, spelled = value["token_logprobs"], value.get("tokens")
    if not isinstance(numbers, Sequence) or isinstance(numbers, str):
        raise LogprobsError("token_logprobs is no list")
    if spelled is None:
        return _parse_list(numbers)
    if not isinstance(spelled, Sequence) or len(spelled) != len(numbers):
        raise LogprobsError("tokens and token_logprobs are not of one length")
    return [_make_token(index, number, text) for index, (number, text) in enumerate(zip(numbers, spelled, strict=True))]


def _parse_list(value: Any) -> list[ServedToken]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise LogprobsError(f"neither a list nor an object (it is {_shorten(value)})")
    items = list(value)
    if not any(isinstance(item, Mapping) for item in items):
        return [_make_token(index, number, None) for index, number in enumerate(items)]
    return [_parse_item(index, item) for index, item in enumerate(items)]


def _parse_item(index: int, item: Any) -> ServedToken:
    """Return a token that is an object, or null as the first of vLLM's prompt_logprobs is."""
    if item is None:
        return ServedToken(None, None)
    if not isinstance(item, Mapping):
        raise LogprobsError(f"numbers and objects in one list (token {index + 1})")
    if "logprob" in item:
        return _parse_token(index, item)
    entries = [entry for entry in item.values() if entry is not None]
    if not entries or not all(isinstance(entry, Mapping) and "logprob" in entry for entry in entries):
        raise LogprobsError(f"an object of none of the known formats (token {index + 1})")
    first = entries[0]  # that of the prompt; the likeliest others come behind it
    if len(entries) > 1 and first.get("decoded_token") is None:
        raise LogprobsError("several candidates without decoded_token, so that the prompt's is not known")
    return _make_token(index, first["logprob"], first.get("decoded_token"))


def _parse_token(index: int, item: Mapping[str, Any]) -> ServedToken:
    text = item.get("token", item.get("text"))
    special, octets = item.get("special") is True, item.get("bytes")
    if octets is None:
        return _make_token(index, item["logprob"], text, special)
    try:
        return ServedToken(_check_number(index, item["logprob"]), bytes(list(octets)), special)
    except (TypeError, ValueError) as error:
        raise LogprobsError(f"bytes that are no bytes (token {index + 1})") from error


def _make_token(index: int, number: Any, text: Any, special: bool = False) -> ServedToken:
    logprob = _check_number(index, number)
    if not isinstance(text, str):
        return ServedToken(logprob, None, special)
    if escaped := ESCAPED.fullmatch(text):
        return ServedToken(logprob, bytes.fromhex(escaped[1].replace("\\x", "")), special)
    return ServedToken(logprob, text.encode("utf-8", "replace"), special, "\ufffd" not in text)


def _check_number(index: int, value: Any) -> float | None:
    """Return a log probability; None for null. Raises LogprobsError for anything else."""
    if value is None:
        return None
    where = f"(token {index + 1}: {_shorten(value)})"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LogprobsError(f"not a number {where}")
    if math.isnan(value):
        raise LogprobsError(f"NaN is no log probability {where}")
    if value > ROUNDING:
        raise LogprobsError(f"a positive number is no log probability {where}")
    if value <= SENTINEL:
        raise LogprobsError(f"-9999 or less stands for a token without a number {where}")
    return min(0.0, float(value))


def _shorten(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 20 else f"{text[:19]}…"
