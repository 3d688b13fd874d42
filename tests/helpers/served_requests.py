"""Requests as serving stacks log them, with the log probabilities of a tiny model in the formats of several."""

import json

import numpy as np

from curate.reference import ScoringConfig, load
from curate.reference.token_surprisal import cut_spans, measure_surprisal

TEXTS = [f"{word} and the window of {word} number {number} " * (1 + number % 3) for number, word in enumerate(
    ["ledger", "token", "slice", "corpus", "model", "prefix", "nat", "bit", "pack", "sum"]
)]  # fmt: skip


def measure_tokens(model, texts, prefix="auto"):
    """Each text as (pieces, log probabilities) by a model's own numbers; without a prefix the first is None."""
    reference = load(str(model), ScoringConfig(exact=True, prefix=prefix))
    measured = []
    for text, found in zip(texts, measure_surprisal(reference, texts), strict=True):
        spans = cut_spans(text, found, int(found.spans[0, 0]))
        pieces, numbers = [span.text for span in spans], [-float(nats) for nats in found.nats]
        if prefix == "none":
            pieces, numbers = [text[: int(found.spans[0, 0])], *pieces], [None, *numbers]
        measured.append((pieces, numbers))
    return measured


def as_numbers(_pieces, numbers):
    return numbers


def as_chat(pieces, numbers):
    tokens = [
        {"token": piece, "logprob": number, "bytes": list(piece.encode()), "top_logprobs": []}
        for piece, number in zip(pieces, numbers, strict=True)
    ]
    return {"content": tokens}


def as_completion(pieces, numbers):
    offsets = np.cumsum([0, *map(len, pieces[:-1])]).tolist()
    return {"tokens": pieces, "token_logprobs": numbers, "text_offset": offsets, "top_logprobs": None}


def as_prompt(pieces, numbers):
    """vLLM's prompt_logprobs: the prompt's token, and a likelier one behind it."""
    entries = [
        None
        if number is None
        else {
            str(place): {"logprob": number, "rank": 2, "decoded_token": piece},
            str(place + 1000): {"logprob": number / 2, "rank": 1, "decoded_token": "?"},
        }
        for place, (piece, number) in enumerate(zip(pieces, numbers, strict=True))
    ]
    return entries if numbers[0] is None else [None, *entries]  # behind a token that begins texts


def as_generation(pieces, numbers):
    tokens = [
        {"id": 5, "text": piece, "logprob": number, "special": False}
        for piece, number in zip(pieces, numbers, strict=True)
    ]
    return {
        "finish_reason": "eos_token",
        "tokens": [*tokens, {"id": 0, "text": "</s>", "logprob": -1.5, "special": True}],
    }


def as_text(pieces, numbers):
    return json.dumps(as_chat(pieces, numbers))


FORMATS = [as_numbers, as_chat, as_completion, as_prompt, as_generation, as_text]


def make_requests(texts, tokens, write=as_chat):
    """Rows with an id, a segment, the version of the model and a time; ``tokens`` are those of ``measure_tokens``."""
    return [
        {
            "request_id": f"r{number}",
            "segment": ("chat", "code")[number % 2],
            "user": f"u{number % 4}",
            "model_version": "v1",
            "timestamp": f"2026-11-0{1 + number % 5}T08:00:00Z",
            "text": text,
            "logprobs": write(*of_text),
        }
        for number, (text, of_text) in enumerate(zip(texts, tokens, strict=True))
    ]
