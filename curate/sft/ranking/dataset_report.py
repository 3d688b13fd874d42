"""What a ranking reports of one dataset: its rows, reasons and lengths, and a few of its examples."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.reference.likelihood import perplexity
from curate.runtime.redaction import NO_REDACTION, Redaction, Redactor
from curate.sft.datasets import DatasetSample, DrawnExample, InstructionSet
from curate.sft.ranking.session import count_reasons
from curate.sft.ranking.summary import Dataset

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the scored tokens of an example."""
SHARES = (0.1, 0.5, 0.9)
"""Quantiles of the answers' perplexity whose examples are shown."""
MOST_ASKED, MOST_ANSWERED = 400, 600
"""Characters of question and answer that are shown."""


def describe_dataset(
    dataset: InstructionSet, sample: DatasetSample, responses: pa.Table, redactor: Redactor = NO_REDACTION
) -> Dataset:
    """Return the report of a dataset: what was read, what was measured of its sample, and a few examples, redacted."""
    ok = responses.filter(pc.equal(responses["status"], "ok"))
    tokens = ok["tokens"].to_numpy()
    return Dataset(
        name=dataset.name,
        data=" ".join(dataset.corpus.paths),
        schemas=sample.schemas,
        rows=sample.rows,
        available=sample.available,
        drawn=len(sample.examples),
        refused={reason: rows.count for reason, rows in sample.refused.items()},
        unreadable={reason: rows.count for reason, rows in sample.unreadable.items()},
        not_scored=dict(count_reasons(responses).most_common()),
        notes=count_notes(responses),
        marks={note: rows.count for note, rows in sample.marks.items()},
        long=int((ok["windows"].to_numpy() > 1).sum()),
        prompt_tokens=float(ok["prompt_tokens"].to_numpy().mean()) if ok.num_rows else float("nan"),
        lengths={f"{share:.0%}": float(np.quantile(tokens, share)) for share in QUANTILES} if ok.num_rows else {},
        fields=dataset.fields.as_dict(),
        examples=choose_examples(sample.examples, ok, redactor),
    )


def count_notes(responses: pa.Table) -> dict[str, int]:
    """Return how many examples the template changed, by note."""
    notes = (note for row in responses["notes"].to_pylist() if row for note in row.split("\n"))
    return dict(Counter(notes).most_common())


def choose_examples(
    examples: Sequence[DrawnExample], responses: pa.Table, redactor: Redactor
) -> tuple[dict[str, Any], ...]:
    """Return the examples at the quantiles ``SHARES`` of perplexity, lowest first; all ``responses`` are scored.

    Their texts and ids are redacted.
    """
    if not responses.num_rows:
        return ()
    perplexities = perplexity(responses["nats"].to_numpy(), responses["tokens"].to_numpy())
    order = np.argsort(perplexities, kind="stable")
    indices = dict.fromkeys(int(order[round(share * (len(order) - 1))]) for share in SHARES)
    by_key = {(drawn.file, drawn.row, drawn.part): drawn for drawn in examples}
    rows = responses.take(list(indices)).to_pylist()
    return tuple(_describe_example(by_key[row["file"], row["row"], row["part"]], row, redactor) for row in rows)


def _describe_example(drawn: DrawnExample, row: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    turns = drawn.example.turns
    last = max(index for index, turn in enumerate(turns) if turn.role == "assistant")
    asked = "\n\n".join(f"{turn.role}: {turn.text}" if last > 1 else turn.text for turn in turns[:last])
    nats, tokens, alone = row["nats"], row["tokens"], row["unconditional_nats"]
    return {
        "place": f"{drawn.file}, row {drawn.row}",
        "id": None if drawn.id is None else redactor(drawn.id),
        "asked": _cut_front(redactor.redact(asked), MOST_ASKED),
        "answered": _cut(redactor.redact(turns[last].text), MOST_ANSWERED),
        "tokens": tokens,
        "perplexity": float(perplexity(nats, tokens)),
        "unconditional_perplexity": float(perplexity(alone, tokens)),
        "ifd_ppl": float(np.exp((nats - alone) / tokens)),
    }


def _cut(text: Redaction, most: int) -> str:
    """Return the first ``most`` characters of a text, redacted."""
    return text.cut(0, most) + (" …" if len(text.original) > most else "")


def _cut_front(text: Redaction, most: int) -> str:
    """Return the last ``most`` characters of a text, redacted: the question is at the end of the prompt."""
    size = len(text.original)
    return ("… " if size > most else "") + text.cut(max(size - most, 0), size)
