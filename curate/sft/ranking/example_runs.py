"""A run of each dataset, with the numbers of its examples beside its rows: what ``curate filter`` and ``export`` know.

    OUT/NAME/scores/…            perplexity of the answers given what was asked; tokens and nats are theirs
    OUT/NAME/carried/…           ifd_ppl, ifd_loss, rsr, unconditional_nats, prompt_tokens, and
                 ifd_below_1     ifd_ppl where the prompt helps, else null
                 asked           text, equal where what is asked is equal
                 best_of_prompt  the perplexity where it is the lowest of all rows that ask the same, else null

A row of several examples (trees, instances) has their sums. A row that was not drawn, or has no example, says so by its
status and reason, and is never kept by accident.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.corpus import Corpus, Documents, open_corpus
from curate.corpus.chat.types import ConversationError
from curate.reference.likelihood import Likelihoods
from curate.rundir import document_columns, parquet
from curate.rundir.run import Run, compute_fingerprint, open_run
from curate.runtime import console
from curate.sft.datasets import InstructionSet
from curate.sft.datasets.reading import read_record
from curate.sft.measuring.responses import SUMS, ResponseReader
from curate.sft.ranking.session import RankingSession
from curate.stages.score.rows import assemble, text_columns
from curate.stages.score.summary import summarise
from curate.stages.score.table import begin, complete

Key = tuple[str, int]
NOT_SAMPLED = "not_sampled"
MOST = 700.0  # nats a token whose exponential is a number
NUMBERS = {
    "ifd_ppl": pa.float64(),
    "ifd_loss": pa.float64(),
    "ifd_below_1": pa.float64(),
    "rsr": pa.float64(),
    "unconditional_nats": pa.float64(),
    "prompt_tokens": pa.int64(),
    "asked": pa.large_string(),
    "best_of_prompt": pa.float64(),
}


def write_all(
    contest: RankingSession, reader: ResponseReader, measured: Mapping[str, pa.Table], out: str
) -> tuple[str, ...]:
    """A run for each dataset, in a folder of its name.  → the run directories"""
    return tuple(write(contest, reader, one, measured[one.name], Path(out) / one.name) for one in contest.sets)


def write(contest: RankingSession, reader: ResponseReader, one: InstructionSet, measured: pa.Table, path: Path) -> str:
    """One dataset as a run: its scores are those of its answers."""
    run = open_run(path, create=True)
    corpus = open_corpus(list(one.corpus.paths), text_field=f"@{one.schema}", id_field=one.corpus.id_field)
    identity = reader.reference.identity | {
        "template": reader.template.fingerprint(),
        "turns": contest.wanted.turns,
        "end_of_turn": contest.wanted.end_of_turn,
    }
    drawn = {"sample": contest.wanted.sample, "seed": contest.wanted.seed}
    made_from = {"corpus": corpus.fingerprint(), "model": identity, "parameters": {"signals": []} | drawn}
    begin(run, corpus, made_from, restart=True)
    rows = sum_rows(measured)
    _write_parts(run, corpus, compute_fingerprint(made_from), rows, explain_rows(one))
    document_columns.settle(run, tuple(NUMBERS), corpus.fingerprint())
    summary = summarise(run, identity["model"], 1.0)
    kept = {name: getattr(summary, name) for name in ("perplexity", "mean_perplexity", "bits_per_byte", "quantiles")}
    complete(run, corpus, made_from, kept)
    read = summary.documents + sum(summary.not_scored.values())
    if summary.not_scored.get(NOT_SAMPLED):
        left_out = summary.not_scored[NOT_SAMPLED]
        console.warn(f"{one.name}: {left_out:,} rows were not drawn; --sample-size 0 measures all")
    console.say("examples", f"{path}   {summary.documents:,} of {read:,} rows have numbers")
    return str(path)


def sum_rows(measured: pa.Table) -> dict[Key, dict[str, Any]]:
    """The sums of each row over its examples; the reason, where none of them could be scored."""
    found: dict[Key, dict[str, Any]] = {}
    for one in measured.to_pylist():
        row = found.setdefault((one["file"], one["row"]), {"asked": one["asked"], "reason": one["reason"], "scored": 0})
        if one["status"] == "ok":
            row["scored"] += 1
            for name in SUMS:
                row[name] = row.get(name, 0) + one[name]
    return found


def explain_rows(one: InstructionSet) -> dict[Key, str]:
    """Why rows that can be read hold no example, by their keys."""
    found: dict[Key, str] = {}
    for row in one.corpus.records():
        if row.record is not None:
            try:
                refusal = read_record(row.record, one.schema, one.said).refusal
            except ConversationError as error:
                refusal = str(error)
            if refusal is not None:
                found[row.file, row.row] = refusal
    return found


def choose_best(rows: Mapping[Key, Mapping[str, Any]]) -> set[Key]:
    """Of the rows that ask the same, the one whose answers have the lowest perplexity; ties go to the first."""
    groups: dict[int, list[tuple[float, Key]]] = defaultdict(list)
    for key, row in rows.items():
        if row["scored"]:
            groups[row["asked"]].append((row["nats"] / row["tokens"], key))
    return {min(found)[1] for found in groups.values()}


def _write_parts(
    run: Run, corpus: Corpus, fingerprint: str, rows: Mapping[Key, dict[str, Any]], reasons: Mapping[Key, str]
) -> None:
    best = choose_best(rows)
    numbers = {source.name: number for number, source in enumerate(corpus.sources)}
    for documents in corpus.slices():
        keys = [(documents.mark.file, row) for row in documents.rows.tolist()]
        likelihoods = gather(documents, keys, rows, reasons)
        scored = [at for at, status in enumerate(documents.statuses) if status == "ok"]
        table = assemble(documents, scored, likelihoods, text_columns(documents, []), [])
        part = f"{numbers[documents.mark.file]:05d}-{documents.mark.number:06d}.parquet"
        note = {"made_from": corpus.fingerprint(), "slice": asdict(documents.mark)}
        numbers_of = [describe(rows.get(key), key in best) for key in keys]
        for name, kind in NUMBERS.items():
            values = pa.array([found.get(name) for found in numbers_of], kind)
            parquet.write_part(document_columns.folder(run, name) / part, pa.table({"value": values}), note)
        parquet.write_part(run.scores / part, table, {"made_from": fingerprint, "slice": asdict(documents.mark)})


def gather(
    documents: Documents, keys: Sequence[Key], rows: Mapping[Key, Mapping[str, Any]], reasons: Mapping[Key, str]
) -> Likelihoods:
    """The likelihoods of the rows of one slice that have a text."""
    wanted = [key for key, status in zip(keys, documents.statuses, strict=True) if status == "ok"]
    found = Likelihoods.blank(len(wanted))
    for at, key in enumerate(wanted):
        row = rows.get(key)
        if row is None:
            status = "unscorable" if key in reasons else NOT_SAMPLED
            found.refuse(at, status, reasons.get(key, "it was not drawn: --sample-size 0 measures every example"))
        elif not row["scored"]:
            found.refuse(at, "unscorable", row["reason"] or "nothing of it could be scored")
        else:
            found.nats[at], found.tokens[at] = row["nats"], row["tokens"]
            found.scored_bytes[at], found.windows[at] = row["bytes"], row["windows"]
    return found


def describe(row: Mapping[str, Any] | None, best: bool) -> dict[str, Any]:
    """The numbers of a row beside its scores; none where it was not measured."""
    if row is None or not row["scored"]:
        return {}
    given, alone, tokens = row["nats"], row["unconditional_nats"], row["tokens"]
    ifd = float(np.exp(min((given - alone) / tokens, MOST)))
    return {
        "ifd_ppl": ifd,
        "ifd_loss": given / alone if alone > 0 else None,
        "ifd_below_1": ifd if ifd < 1 else None,
        "rsr": row["ranks"] / given if given > 0 else None,
        "unconditional_nats": alone,
        "prompt_tokens": row["prompt_tokens"],
        "asked": f"{row['asked']:016x}",
        "best_of_prompt": float(np.exp(min(given / tokens, MOST))) if best else None,
    }
