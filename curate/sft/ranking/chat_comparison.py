"""The three-way reading of datasets: as raw text under the base and under a chat model, and in the chat template.

    base, raw       how close the text is to what the base was trained on: familiarity with the domain
    chat, raw       the same after the chat model's training: what that training did to plain text
    chat, template  the assistant's tokens only, given their questions: how close the answers are to what the chat model
                    was aligned to say

All in bits per byte, since the two models may have different tokenizers. There is no absolute scale for these numbers:
the words place a dataset among those that were read with it, and are withheld for fewer than three.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from curate.corpus.chat.types import join_turns
from curate.reference.likelihood import Passage, perplexity
from curate.runtime import console
from curate.runtime.arrays import Float64Array
from curate.sft.measuring.reader import ModelVariant, open_reader
from curate.sft.ranking import bootstrap, intervals
from curate.sft.ranking.intervals import Interval
from curate.sft.ranking.measures import MEASURES
from curate.sft.ranking.session import RankingSession
from curate.sft.ranking.summary import ThreeWayReading

if TYPE_CHECKING:
    from curate.reference.causal import CausalReference
    from curate.reference.protocol import ScoringConfig
    from curate.sft.measuring.responses import ResponseReader

BAND = 1.1
"""A dataset is foreign (familiar) if its interval lies above (below) the median by this factor."""
LEAST = 3
"""Datasets from which words are given."""
MeasuredText = tuple[Interval, float]
"""Bits per byte, and perplexity."""


def read_three_ways(
    session: RankingSession, base: "ResponseReader", chat_model: str, reading: "ScoringConfig"
) -> tuple[ThreeWayReading, ...]:
    """Return the three readings of every dataset, over the examples of its sample."""
    chat = open_reader(ModelVariant(chat_model, "auto"), reading, session.options)
    console.say("chat model", f"{chat_model}, {chat.template.name}")
    if chat.template.name == "plain":
        console.warn(f"{chat_model} has no chat template: its answers are read in the plain one")
    names = [dataset.name for dataset in session.datasets]
    base_raw, chat_raw = (
        {name: _read_raw(reader.reference, session, name) for name in names} for reader in (base, chat)
    )
    name_to_responses = session.measure(chat)
    answers = {}
    for name in names:
        responses = name_to_responses[name]
        ok = responses.filter(pc.equal(responses["status"], "ok"))
        columns = [ok[column].to_numpy().astype(np.float64) for column in ("content_nats", "bytes", "nats", "tokens")]
        answers[name] = _find_interval(np.stack(columns, axis=1), session, name)
    return interpret_readings([(name, base_raw[name], chat_raw[name], answers[name]) for name in names])


def _read_raw(reference: "CausalReference", session: RankingSession, name: str) -> MeasuredText:
    """Return bits per byte of the turns as plain text, over all tokens."""
    passages = [Passage(join_turns(drawn.example.turns)) for drawn in session.samples[name].examples]
    likelihoods = next(reference.score([passages]))
    ok = np.array([status == "ok" for status in likelihoods.status])
    columns = (likelihoods.nats[ok], likelihoods.scored_bytes[ok], likelihoods.nats[ok], likelihoods.tokens[ok])
    return _find_interval(np.stack(columns, axis=1).astype(np.float64), session, name)


def _find_interval(columns_N4: Float64Array, session: RankingSession, name: str) -> MeasuredText:
    """Return bits per byte with its interval, and perplexity, from the columns nats, bytes, nats, tokens."""
    options = session.options
    products = intervals.add_products(columns_N4[:, :2])
    drawn = bootstrap.resample(products, options.draws, bootstrap.make_generator(options.seed, name))
    bits = intervals.find_measure_interval(MEASURES["bits_per_byte"], columns_N4[:, :2], drawn)
    nats, tokens = columns_N4[:, 2:].sum(axis=0)
    return bits, float(perplexity(nats, tokens))


def interpret_readings(
    measured: Sequence[tuple[str, MeasuredText, MeasuredText, MeasuredText]],
) -> tuple[ThreeWayReading, ...]:
    """Return the readings with words for each dataset in comparison with the others.

    ``measured`` has for each dataset its name, base raw, chat raw, and chat in its template.
    """
    domain_median = float(np.median([base.value for _, (base, _), _, _ in measured]))
    answer_median = float(np.median([answers.value for _, _, _, (answers, _) in measured]))
    readings = []
    for name, base, chat, answers in measured:
        domain, alignment = _compare_to_median(base[0], domain_median), _compare_to_median(answers[0], answer_median)
        perplexities = (base[1], chat[1], answers[1])
        reading = ThreeWayReading(name, base[0], chat[0], answers[0], perplexities, domain, alignment, "")
        enough = len(measured) >= LEAST
        readings.append(replace(reading, advice=choose_advice(reading)) if enough else _withhold_words(reading))
    return tuple(readings)


def _compare_to_median(interval: Interval, median: float) -> str:
    """Return whether an interval lies clearly below or above the median."""
    if interval.low > median * BAND:
        return "foreign"
    return "familiar" if interval.high < median / BAND else "ordinary"


def choose_advice(reading: ThreeWayReading) -> str:
    """Return what the three numbers together suggest to do first."""
    if reading.domain == "foreign":
        helped = reading.chat_raw.high < reading.base_raw.low
        return "continued pre-training on its domain first" + (
            ", of which the chat model has had some" if helped else ""
        )
    if reading.alignment == "foreign":
        return "fine-tuning has something to teach"
    if reading.alignment == "familiar":
        return "little that the chat model would not say already"
    return "no need of continued pre-training"


def _withhold_words(reading: ThreeWayReading) -> ThreeWayReading:
    advice = "with fewer than three datasets there is no middle to compare with"
    return replace(reading, domain="–", alignment="–", advice=advice)
