"""What the summary says under ``--convention``: which numbers are the tool's, and where its own would differ."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from curate.reference.conventions.framing import TextFrame
from curate.rundir import sql
from curate.runtime.numbers import count_noun

if TYPE_CHECKING:
    from curate.rundir.run import Run

LABEL = "convention  "
INDENT = " " * len(LABEL)


def list_convention_notes(run: "Run", sums: Mapping[str, float], not_scored: Mapping[str, int]) -> list[str]:
    """Return lines about the numbers of a run; none where it was scored by our own convention.

    ``sums`` are those of ``table.sum_parts``, ``not_scored`` counts documents by status.
    """
    record = run.stage("score") or {}
    identity: Mapping[str, Any] = record.get("made_from", {}).get("model", {})
    describe = {"lm-eval": _describe_lm_eval, "evaluate": _describe_evaluate, "hf-guide": _describe_guide}
    name = identity.get("convention")
    if name not in describe:
        return []
    lines = describe[name](identity, run, sums, not_scored)
    return [f"{LABEL if number == 0 else INDENT}{line}" for number, line in enumerate(lines)]


def _describe_lm_eval(
    identity: Mapping[str, Any], run: "Run", sums: Mapping[str, float], not_scored: Mapping[str, int]
) -> list[str]:
    byte_perplexity = math.exp(sums["nats"] / sums["scored_bytes"])
    lines = [f"lm-eval: bits per byte is its bits_per_byte, its byte_perplexity is {byte_perplexity:.6g}"]
    frame = TextFrame.from_identity(identity)
    if frame.before or frame.after:
        sides = ((frame.before, "in front"), (frame.after, "behind"))
        where = " and ".join(f"{count_noun(len(ids), 'token')} {side}" for ids, side in sides if ids)
        lines.append(f"as in lm-eval, what the tokenizer adds to a text is scored ({where}), after a prefix token too;")
        lines.append("--convention-args add_bos_token=False leaves it out")
    if empty := not_scored.get("empty", 0) + not_scored.get("unscorable", 0):
        lines.append(f"{count_noun(empty, 'empty document')} left out, which lm-eval scores too")
    return lines


def _describe_evaluate(
    identity: Mapping[str, Any], run: "Run", sums: Mapping[str, float], not_scored: Mapping[str, int]
) -> list[str]:
    lines = [
        "evaluate: the mean of documents is its mean_perplexity, but for the rounding of its own float32 sums,",
        "which are off by about 1e-4 nats a token with a large vocabulary",
    ]
    frame = TextFrame.from_identity(identity)
    if frame.padded_to is not None:
        lines.append(f"texts are padded on the left to {frame.padded_to:,} tokens, as the tokenizer does: the longest")
        lines.append("text of the corpus changes the numbers of all others")
    if sums["truncated"]:
        cut = count_noun(int(sums["truncated"]), "document")
        window = identity["max_tokens"] + (identity["prefix"] is not None)
        lines.append(f"{cut} cut off, as with max_length={window}; without max_length evaluate reads them beyond that,")
        lines.append("or fails where the model has no more positions")
    if empty := not_scored.get("empty", 0) + not_scored.get("unscorable", 0):
        lines.append(
            f"{count_noun(empty, 'document')} without a token to score left out; evaluate refuses a corpus with one"
        )
    return lines


def _describe_guide(
    identity: Mapping[str, Any], run: "Run", sums: Mapping[str, float], not_scored: Mapping[str, int]
) -> list[str]:
    lines = ["hf-guide: the token-weighted perplexity is its ppl, each document on its own"]
    window, stride = identity["window"] + 1, identity.get("stride")
    if stride is None or stride < window:
        return lines
    share = 100 * sums["scored_tokens"] / sums["tokens"]
    lines.append(f"windows of {window:,} tokens begin every {stride:,}: {share:.0f}% of the tokens are scored,")
    lines.append("not the first of a window, nor what lies between two windows;")
    lines.append(f"--convention-args stride={window - 1} scores all")
    frame = TextFrame.from_identity(identity)
    added = len(frame.before) + len(frame.after) + (identity["prefix"] is not None)
    query = f"SELECT count(*) FROM {sql.parquet_source(run.scores)} WHERE status = 'ok'"
    single = sql.ask(f"{query} AND tokens + {added} > {window} AND (tokens + {added} - 1) % {stride} = 0")[0][0]
    if single:
        one = count_noun(int(single), "document")
        lines.append(f"{one} with a last window of one token, for which the guide prints nan: left out here")
    return lines
