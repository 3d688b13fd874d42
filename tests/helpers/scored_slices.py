"""Slices of made-up documents, and likelihoods with chosen numbers."""

import numpy as np

from curate.corpus import Documents, SliceMark
from curate.reference.likelihood import Likelihoods


def make_documents(texts, statuses=None, file="a.jsonl", number=0, last=True):
    """One slice of texts; None stands for a row that cannot be read."""
    statuses = statuses or ["unreadable" if text is None else "ok" for text in texts]
    count = len(texts)
    return Documents(
        marks=(SliceMark(file, number, 0, count, None, count, last),),
        rows=np.arange(count, dtype=np.int64),
        ids=[f"d{row}" for row in range(count)],
        texts=texts,
        turns=None,
        statuses=statuses,
        reasons=["line 1: invalid JSON" if status == "unreadable" else None for status in statuses],
        read_bytes=100,
        table=None,
    )


def make_likelihoods(nats, tokens, scored_bytes):
    """Likelihoods with these sums; NaN nats stand for a model that gave NaN."""
    likelihoods = Likelihoods.blank(len(nats))
    likelihoods.nats[:], likelihoods.tokens[:], likelihoods.scored_bytes[:] = nats, tokens, scored_bytes
    likelihoods.windows[:], likelihoods.text_tokens[:] = 1, np.asarray(tokens, np.int64) + 1  # one was not scored
    for row in np.flatnonzero(np.isnan(likelihoods.nats)).tolist():
        likelihoods.refuse(row, "not_finite", "NaN")
    return likelihoods
