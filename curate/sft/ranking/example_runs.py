"""A run of each dataset with the numbers of its examples, which ``curate filter`` and ``curate export`` can use.

    OUT/NAME/scores/…            perplexity of the answers given their questions; tokens and nats are theirs
    OUT/NAME/carried/…           ifd_ppl, ifd_loss, rsr, unconditional_nats, prompt_tokens, and
                 ifd_below_1     ifd_ppl where the prompt helps, else null
                 asked           text, equal where the questions are equal
                 best_of_prompt  the perplexity where it is the lowest of all rows with the same question, else null

A row of several examples (trees, instances) has their sums. A row that was not drawn, or has no example, has a status
other than ok and a reason, so that no filter keeps it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.corpus import Corpus, Documents, open_corpus
from curate.corpus.chat.types import ConversationError
from curate.corpus.gathering import read_gathered
from curate.corpus.slice_marks import describe_slices
from curate.errors import CorpusError
from curate.reference.likelihood import Likelihoods
from curate.rundir import document_columns, parquet
from curate.rundir.guards import ownership
from curate.rundir.guards.claims import open_claimed
from curate.rundir.run import Run, compute_fingerprint, name_part
from curate.runtime import console
from curate.sft.datasets import InstructionSet
from curate.sft.datasets.reading import read_record
from curate.sft.measuring.responses import SUMS, ResponseReader
from curate.sft.ranking.session import RankingSession
from curate.stages.score.rows import assemble_part, measure_texts
from curate.stages.score.summary import summarise_scores
from curate.stages.score.table import begin_scores, complete_scores

RowKey = tuple[str, int]
"""File and row."""
NOT_SAMPLED = "not_sampled"
MOST = 700.0
"""Nats a token up to which the exponential is finite."""
COLUMNS = {
    "ifd_ppl": pa.float64(),
    "ifd_loss": pa.float64(),
    "ifd_below_1": pa.float64(),
    "rsr": pa.float64(),
    "unconditional_nats": pa.float64(),
    "prompt_tokens": pa.int64(),
    "asked": pa.large_string(),
    "best_of_prompt": pa.float64(),
}


def open_run_corpora(session: RankingSession, out: str) -> dict[str, Corpus]:
    """Open each dataset as the corpus of its run in ``out``, by name; call it before anything is measured.

    A corpus has one schema, that of most rows. Warns of rows of other schemas, which are ranked and have no numbers in
    the run. Raises CorpusError where a file lacks the columns of the schema, and UsageError or TableError where a
    folder of a run has files that curate did not make.
    """
    for dataset in session.datasets:
        reserve_example_run(Path(out) / dataset.name)
    corpora = {dataset.name: _open_run_corpus(dataset) for dataset in session.datasets}
    for dataset in session.datasets:
        others = {name: rows for name, rows in session.samples[dataset.name].schemas.items() if name != dataset.schema}
        if others:
            listed = ", ".join(f"{name} {rows:,}" for name, rows in others.items())
            console.warn(f"{dataset.name}: rows of other schemas than {dataset.schema} get no numbers: {listed}")
    return corpora


def _open_run_corpus(dataset: InstructionSet) -> Corpus:
    paths, schema = list(dataset.corpus.paths), dataset.spelled_schema
    try:
        return open_corpus(paths, text_field=f"@{schema}", id_field=dataset.corpus.id_field)
    except CorpusError as error:
        message = f"--examples needs one schema in all files of a dataset, here {dataset.name}: {error.message}"
        raise CorpusError(message, "curate rank-sft FILE1 FILE2 --examples OUT") from error


def write_example_runs(
    session: RankingSession,
    reader: ResponseReader,
    name_to_responses: Mapping[str, pa.Table],
    name_to_corpus: Mapping[str, Corpus],
    out: str,
) -> tuple[str, ...]:
    """Write a run for each dataset, in the folder ``out``/NAME, and return the run directories in order."""
    runs = []
    for dataset in session.datasets:
        responses, corpus = name_to_responses[dataset.name], name_to_corpus[dataset.name]
        runs.append(write_example_run(session, reader, dataset, responses, corpus, Path(out) / dataset.name))
    return tuple(runs)


def reserve_example_run(path: Path) -> Run:
    """Return the run of a dataset, before anything is written. Raises UsageError or TableError for foreign files."""
    run = open_claimed(path, "rank-sft", create=True)
    run.reserve(*ownership.SCORE_NAMES, emptied=ownership.SCORE_FOLDERS)
    return run


def write_example_run(
    session: RankingSession,
    reader: ResponseReader,
    dataset: InstructionSet,
    responses: pa.Table,
    corpus: Corpus,
    path: Path,
) -> str:
    """Write one dataset as a run whose scores are those of its answers, and return the run directory."""
    run = reserve_example_run(path)
    identity = reader.reference.identity | {
        "template": reader.template.fingerprint(),
        "turns": session.options.turns,
        "end_of_turn": session.options.end_of_turn,
    }
    drawn = {"sample": session.options.sample, "seed": session.options.seed}
    made_from = {"corpus": corpus.fingerprint(), "model": identity, "parameters": {"signals": []} | drawn}
    begin_scores(run, corpus, made_from, restart=True)
    hidden = [name for name in corpus.columns if name in COLUMNS]
    if hidden:
        console.warn(f"{path}: {', '.join(hidden)} in --by and --where are the measures, not the documents' columns")
    rows = sum_rows(responses)
    num_documents = _write_parts(run, corpus, compute_fingerprint(made_from), rows, explain_refusals(dataset))
    document_columns.complete_carried(run, tuple(COLUMNS), corpus.fingerprint())
    summary = summarise_scores(run, identity["model"], 1.0)
    complete_scores(run, corpus, made_from, summary.as_record(), num_documents)
    read = summary.documents + sum(summary.not_scored.values())
    if summary.not_scored.get(NOT_SAMPLED):
        left_out = summary.not_scored[NOT_SAMPLED]
        console.warn(f"{dataset.name}: {left_out:,} rows were not drawn; --sample-size 0 measures all")
    console.say("examples", f"{path}   {summary.documents:,} of {read:,} rows have numbers")
    return str(path)


def sum_rows(responses: pa.Table) -> dict[RowKey, dict[str, Any]]:
    """Return the sums of each row over its scored examples, and the reason of the first example if it has one."""
    rows: dict[RowKey, dict[str, Any]] = {}
    for example in responses.to_pylist():
        start = {"asked": example["asked"], "reason": example["reason"], "scored": 0}
        row = rows.setdefault((example["file"], example["row"]), start)
        if example["status"] == "ok":
            row["scored"] += 1
            for name in SUMS:
                row[name] = row.get(name, 0) + example[name]
    return rows


def explain_refusals(dataset: InstructionSet) -> dict[RowKey, str]:
    """Return why readable rows have no example, by their keys."""
    reasons: dict[RowKey, str] = {}
    for row in dataset.corpus.records():
        if row.record is not None:
            try:
                refusal = read_record(row.record, dataset).refusal
            except ConversationError as error:
                refusal = str(error)
            if refusal is not None:
                reasons[row.file, row.row] = refusal
    return reasons


def choose_best(rows: Mapping[RowKey, Mapping[str, Any]]) -> set[RowKey]:
    """Return, of the rows with the same question, the one with the lowest perplexity; ties go to the first key."""
    groups: dict[int, list[tuple[float, RowKey]]] = defaultdict(list)
    for key, row in rows.items():
        if row["scored"]:
            groups[row["asked"]].append((row["nats"] / row["tokens"], key))
    return {min(group)[1] for group in groups.values()}


def _write_parts(
    run: Run, corpus: Corpus, fingerprint: str, rows: Mapping[RowKey, dict[str, Any]], reasons: Mapping[RowKey, str]
) -> int:
    """Write the scores and the carried columns, a part for each slice of the corpus, and return the documents read."""
    best, num_documents, made_from = choose_best(rows), 0, corpus.fingerprint()
    source_numbers = {source.name: number for number, source in enumerate(corpus.sources)}
    for documents in read_gathered(corpus):
        keys = list(zip(documents.files, documents.rows.tolist(), strict=True))
        likelihoods = gather_likelihoods(documents, keys, rows, reasons)
        scored = [index for index, status in enumerate(documents.statuses) if status == "ok"]
        table = assemble_part(documents, scored, likelihoods, measure_texts(documents, []), [])
        part = name_part(source_numbers[documents.marks[0].file], documents.marks[0].number)
        note = {"made_from": made_from, **describe_slices(documents.marks)}
        computed = [compute_columns(rows.get(key), key in best) for key in keys]
        for name, kind in COLUMNS.items():
            values = pa.array([row.get(name) for row in computed], kind)
            parquet.write_part(document_columns.locate_column(run, name) / part, pa.table({"value": values}), note)
        parquet.write_part(run.scores / part, table, {**note, "made_from": fingerprint})
        num_documents += len(documents)
    return num_documents


def gather_likelihoods(
    documents: Documents,
    keys: Sequence[RowKey],
    rows: Mapping[RowKey, Mapping[str, Any]],
    reasons: Mapping[RowKey, str],
) -> Likelihoods:
    """Return the likelihoods of those rows of one slice that have a text."""
    readable = [key for key, status in zip(keys, documents.statuses, strict=True) if status == "ok"]
    likelihoods = Likelihoods.blank(len(readable))
    for index, key in enumerate(readable):
        row = rows.get(key)
        if row is None:
            status = "unscorable" if key in reasons else NOT_SAMPLED
            reason = reasons.get(key, "it was not drawn: --sample-size 0 measures every example")
            likelihoods.refuse(index, status, reason)
        elif not row["scored"]:
            likelihoods.refuse(index, "unscorable", row["reason"] or "nothing of it could be scored")
        else:
            likelihoods.nats[index], likelihoods.tokens[index] = row["nats"], row["tokens"]
            likelihoods.text_tokens[index] = row["tokens"]  # of the answers, which are what is learnt
            likelihoods.scored_bytes[index], likelihoods.windows[index] = row["bytes"], row["windows"]
    return likelihoods


def compute_columns(row: Mapping[str, Any] | None, best: bool) -> dict[str, Any]:
    """Return the ``COLUMNS`` of a row; none where it was not measured."""
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
