"""The three-way reading: each dataset as raw text under the base, as raw text under a chat model, and as answers in the
chat model's own template.

    base, raw       how near the text lies to what the base was trained on: familiarity with the domain
    chat, raw       the same after the chat model's training: what that training did to plain text
    chat, template  the assistant's tokens alone, given what was asked: how near the answers lie to what the chat model
                    was aligned to say

All in bits per byte, since the two models may have different tokenizers. There is no absolute scale for these numbers:
the words beside them place a dataset among those that were read with it, and are withheld for fewer than three.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from curate.corpus.chat.types import joined
from curate.reference.likelihood import LN2, Passage, perplexity
from curate.runtime import console
from curate.sft.measuring.reader import ModelVariant, open_reader
from curate.sft.ranking import bootstrap, session
from curate.sft.ranking.summary import ThreeWayReading
from curate.sft.ranking.table import Interval

if TYPE_CHECKING:
    from curate.reference.causal import CausalReference
    from curate.reference.protocol import ScoringConfig as ModelReading
    from curate.sft.measuring.responses import ResponseReader

BAND = 1.1  # a dataset is foreign (familiar) where its whole interval lies this factor above (below) the middle one
LEAST = 3  # datasets that have a middle
Measured = tuple[Interval, float]
"""Bits per byte, and perplexity."""


def read(
    one: session.RankingSession, base: "ResponseReader", chat_model: str, reading: "ModelReading"
) -> tuple[ThreeWayReading, ...]:
    """The three readings of every dataset, on the examples that were drawn."""
    chat = open_reader(ModelVariant(chat_model, "auto"), reading, one.wanted)
    console.say("chat model", f"{chat_model}, {chat.template.name}")
    if chat.template.name == "plain":
        console.warn(f"{chat_model} has no chat template: its answers are read in the plain one")
    raw = {
        model: {each.name: _read_raw(reader.reference, one, each.name) for each in one.sets}
        for model, reader in (("base", base), ("chat", chat))
    }
    answers = one.measure(chat)
    owns = {}
    for each in one.sets:
        ok = answers[each.name].filter(pc.equal(answers[each.name]["status"], "ok"))
        columns = [ok[name].to_numpy().astype(np.float64) for name in ("content_nats", "bytes", "nats", "tokens")]
        owns[each.name] = _bound(np.stack(columns, axis=1), one, each.name)
    found = [(each.name, raw["base"][each.name], raw["chat"][each.name], owns[each.name]) for each in one.sets]
    return interpret(found)


def _read_raw(reference: "CausalReference", one: session.RankingSession, name: str) -> Measured:
    """Bits per byte of the turns as plain text, all tokens."""
    passages = [Passage(joined(each.example.turns)) for each in one.drawn[name].examples]
    found = next(reference.score([passages]))
    ok = np.array([status == "ok" for status in found.status])
    columns = (found.nats[ok], found.scored_bytes[ok], found.nats[ok], found.tokens[ok])
    return _bound(np.stack(columns, axis=1).astype(np.float64), one, name)


def _bound(columns_N4: Any, one: session.RankingSession, name: str) -> Measured:
    """Bits per byte with its interval, and perplexity; of columns nats, bytes, nats, tokens."""
    sums = columns_N4.sum(axis=0)
    drawn = bootstrap.resample(columns_N4, one.wanted.draws, bootstrap.make_generator(one.wanted.seed, name))
    low, high = bootstrap.bound(drawn[:, 0] / drawn[:, 1] / LN2)
    value = sums[0] / sums[1] / LN2 if sums[1] else float("nan")
    return Interval(float(value), float(low), float(high)), float(perplexity(sums[2], sums[3]))


def interpret(found: Sequence[tuple[str, Measured, Measured, Measured]]) -> tuple[ThreeWayReading, ...]:
    """What the numbers say of each dataset beside the others, in words: base raw, chat raw, chat in its template."""
    domains = float(np.median([base.value for _, (base, _), _, _ in found]))
    answers = float(np.median([own.value for _, _, _, (own, _) in found]))
    readings = []
    for name, base, chat, own in found:
        domain, alignment = _among(base[0], domains), _among(own[0], answers)
        reading = ThreeWayReading(name, base[0], chat[0], own[0], (base[1], chat[1], own[1]), domain, alignment, "")
        readings.append(replace(reading, advice=advise(reading)) if len(found) >= LEAST else _withhold(reading))
    return tuple(readings)


def _among(one: Interval, middle: float) -> str:
    """Whether a whole interval lies clearly below or above the middle."""
    if one.low > middle * BAND:
        return "foreign"
    return "familiar" if one.high < middle / BAND else "ordinary"


def advise(one: ThreeWayReading) -> str:
    """What the three numbers together suggest to do first."""
    if one.domain == "foreign":
        helped = one.chat_raw.high < one.base_raw.low
        return "continued pre-training on its domain first" + (
            ", of which the chat model has had some" if helped else ""
        )
    if one.alignment == "foreign":
        return "fine-tuning has something to teach"
    if one.alignment == "familiar":
        return "little that the chat model would not say already"
    return "no need of continued pre-training"


def _withhold(one: ThreeWayReading) -> ThreeWayReading:
    advice = "with fewer than three datasets there is no middle to compare with"
    return replace(one, domain="–", alignment="–", advice=advice)
