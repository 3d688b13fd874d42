"""The duplicates table of a run: found through sketches and buckets, verified on the texts, written in one piece.

On top of what DuckDB may use, memory grows by a byte for each document of the corpus, some ten for each that has a
candidate and some hundred for each that has a copy. Texts stream through it twice, a few slices at a time.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.corpus import Corpus
from curate.rundir import schemas, sql
from curate.rundir.run import Run
from curate.rundir.verdicts import rejections
from curate.runtime import console
from curate.runtime.arrays import Array, BoolArray, Float64Array, Int64Array, UInt64Array
from curate.runtime.disk.files import remove_file, replace_atomically
from curate.runtime.work.processes import StartWorkers
from curate.stages.dedup import clusters, exact_copies, sketch_table
from curate.stages.dedup.clusters import ClusterSet
from curate.stages.dedup.options import Keeper
from curate.stages.dedup.pairs import lsh_buckets, near_copies
from curate.stages.dedup.pairs.near_copies import NearCopies, PairSearch
from curate.stages.dedup.pairs.units import start_threads
from curate.stages.dedup.sketch_table import SketchPart
from curate.stages.dedup.sketches import SketchConfig, pays_to_compile
from curate.stages.slice_runner import Executor

NONE = near_copies.NONE
RULE = 2
"""The version of the rule by which copies are found (``pairs.candidates``); tables of version 1 do not say it."""
GROUP_ROWS = 65_536
"""Rows of the table that are compressed together."""


@dataclass(frozen=True, slots=True)
class DedupJob:
    """The checked options of one ``curate dedup``, with the corpora opened."""

    run: Run
    corpora: Sequence[Corpus]
    """The corpus to be cleaned, then those of ``--against``."""
    names: Sequence[str]
    """The names of the others, as ``--against`` gives them."""
    config: SketchConfig
    threshold: float
    keep: Keeper
    memory_limit: str
    workers: int
    start: StartWorkers = start_threads
    """What starts those who group, pair and compare documents."""
    executor: Executor | None = None
    """Where slices are sketched (``run_slices``)."""
    threads: int | None = None
    """Threads that sketch a slice; None: as many as ``workers``."""

    @property
    def folder(self) -> Path:
        """The work folder, which is removed in the end."""
        return self.run.path / "dedup"

    @property
    def sketches(self) -> Path:
        """The folder of the sketches, from which an interrupted run continues."""
        return self.folder / "sketches"

    def made_from(self) -> dict[str, Any]:
        """Return what the table depends on. Raises TableError where ``--keep lowest-ppl`` finds no scores."""
        others = {name: corpus.identity() for name, corpus in zip(self.names, self.corpora[1:], strict=True)}
        record: dict[str, Any] = {
            "corpus": self.corpora[0].identity(), "against": others, "hits": self.hits_fingerprint(), "rule": RULE,
        }  # fmt: skip
        score = self.run.stage("score") or {}
        if self.keep == "lowest-ppl" or (score.get("complete") and rejections.count_unscored(score)):
            record["scores"] = self.run.finished_scores()["fingerprint"]
        return record

    def hits_fingerprint(self) -> str | None:
        """Return the fingerprint of the run's hits; None where there are none.

        Raises DamageError, and TableError where the hits are not finished: they decide which copy is kept.
        """
        record = self.run.stage("decontaminate")
        if record is None:
            return None
        rejections.check_hits_are_finished(self.run, record)
        rejections.check_hits(self.run, record)
        return str(record["fingerprint"])

    def parameters(self) -> dict[str, Any]:
        """Return the options that the table depends on, by the names in the record."""
        return {"threshold": self.threshold, "keep": self.keep, **asdict(self.config)}


@dataclass(frozen=True, slots=True, eq=False)
class DedupFindings:
    """Our documents that have copies; one entry for each, in the order of ``copied.numbers``, in every array."""

    copied: ClusterSet
    keepers: Int64Array
    """The number of each document's keeper."""
    exact: BoolArray
    """Whether the document has the same words as its keeper."""
    similarities: Float64Array
    """The exact Jaccard similarity to the keeper; 1 for a keeper."""
    links: Float64Array
    """The highest similarity that was verified with any document of the cluster."""
    earlier: Array
    """The reason (str) that precedes that of a copy, "" for none."""
    compared: int
    """Pairs that were compared exactly."""
    agreed: int
    """Pairs that reached the threshold."""
    crowded: int
    """Documents that were not compared with all others of a bucket."""


def find_duplicates(job: DedupJob, parts: Sequence[SketchPart]) -> DedupFindings:
    """Group, verify and cluster the documents that were sketched, and return those of ours that have copies."""
    num_ours, total = count_documents(parts)
    if not num_ours:
        return no_findings()
    console.say("grouping", f"{total:,} documents by their words{' and band keys' if job.config.bands else ''}")
    filled = {part.path: part.first for part in parts if part.count}
    with exact_copies.open_sketches(filled, job.folder / "spill", job.memory_limit, job.workers) as connection:
        copies, left_out = exact_copies.find_copies(connection, num_ours, total)
    job.run.remove("dedup", "work")  # of a run that was stopped
    search = make_pair_search(job)
    buckets = lsh_buckets.make_search(parts, search.folder, num_ours, left_out)
    del left_out

    def read_sets(numbers: Int64Array) -> Iterator[UInt64Array]:
        return sketch_table.read_sets(job.corpora, parts, numbers, job.config, job.workers)

    near = near_copies.find_near_copies(search, buckets, read_sets)
    copied = clusters.gather_clusters((copies.numbers, copies.first, copies.other), near)
    earlier = read_earlier_reasons(job, parts, copied.numbers)
    keepers = choose_keepers(job, parts, copied, earlier != "")
    return measure_similarities(search, copied, keepers, near, earlier)


def make_pair_search(job: DedupJob) -> PairSearch:
    """Return what the search for near copies needs."""
    return PairSearch(
        folder=(job.folder / "work").absolute(),
        bands=job.config.band_names,
        threshold=job.threshold,
        start=job.start,
        workers=job.workers,
        compiled=pays_to_compile([corpus.size for corpus in job.corpora]),
        say=console.say,
        report=make_reporter(),
    )


def make_reporter() -> Callable[[str, str], None]:
    """Return a function that shows a text after a label, at most once in LOG_SECONDS."""
    shown = time.monotonic()

    def report(label: str, text: str) -> None:
        nonlocal shown
        if time.monotonic() - shown >= console.LOG_SECONDS:
            console.say(label, text)
            shown = time.monotonic()

    return report


def no_findings() -> DedupFindings:
    """Return what is found among no documents."""
    none = np.zeros(0, np.int64)
    copied = ClusterSet(none, none, none, none, none.astype(bool))
    return DedupFindings(copied, none, none.astype(bool), np.zeros(0), np.zeros(0), np.full(0, "", object), 0, 0, 0)


def count_documents(parts: Sequence[SketchPart]) -> tuple[int, int]:
    """Return the number of documents with words in the corpus to be cleaned, and in all corpora."""
    return max((part.stop for part in parts if part.corpus == 0), default=0), parts[-1].stop if parts else 0


def choose_keepers(job: DedupJob, parts: Sequence[SketchPart], copied: ClusterSet, dropped: BoolArray) -> Int64Array:
    """Return the number of each document's keeper: among the others where it has one there, else by ``--keep``.

    A document that is ``dropped`` for another reason keeps none that are not.
    """
    num_bytes = gather_column(parts, copied.numbers, "bytes")
    perplexities = np.full(len(num_bytes), np.nan)
    if job.keep == "lowest-ppl" and len(num_bytes):
        perplexities = read_perplexities(job, parts, copied.numbers)
    ranks = clusters.rank_documents(job.keep, num_bytes, perplexities)
    chosen = copied.numbers[clusters.choose_keepers(copied.clusters, ranks, dropped.astype(np.int64))]
    return np.where(copied.others == NONE, chosen, copied.others)


def gather_column(parts: Sequence[SketchPart], numbers: Int64Array, column: str) -> Int64Array:
    """Return one int64 column of the sketches of some documents, given by their numbers, ascending."""
    values = [rows[column].to_numpy() for _, rows in sketch_table.take_rows(parts, numbers, [column])]
    return np.concatenate([np.zeros(0, np.int64), *values])


def read_perplexities(job: DedupJob, parts: Sequence[SketchPart], numbers: Int64Array) -> Float64Array:
    """Return the perplexity of some documents of ours, given by their numbers, ascending; NaN where there is none."""
    source = sql.parquet_source(job.run.scores)
    perplexities = np.full(len(numbers), np.nan)
    indices, values = join_keys(job, parts, numbers, f"SELECT file, row, perplexity AS value FROM {source}")
    perplexities[indices] = values
    return perplexities


def read_earlier_reasons(job: DedupJob, parts: Sequence[SketchPart], numbers: Int64Array) -> Array:
    """Return for each of some documents of ours the reason (str) that precedes that of a copy, "" for none.

    ``numbers`` ascend.
    """
    earlier = np.full(len(numbers), "", object)
    if len(numbers):
        indices, values = join_keys(job, parts, numbers, rejections.query_before_copies(job.run))
        earlier[indices] = values
    return earlier


def count_earlier_reasons(job: DedupJob) -> dict[str, int]:
    """Return the number of documents of the corpus by the reason that precedes that of a copy."""
    query = f"SELECT value, count(*) FROM ({rejections.query_before_copies(job.run)}) GROUP BY value ORDER BY value"
    with exact_copies.open_tables(job.folder / "spill", job.memory_limit, job.workers) as connection:
        return dict(connection.execute(query).fetchall())


def join_keys(job: DedupJob, parts: Sequence[SketchPart], numbers: Int64Array, query: str) -> tuple[Int64Array, Array]:
    """Return what a SQL query (file, row, value) has for some documents: their indices in ``numbers``, and the values.

    ``numbers`` ascend. Documents that the query lacks or has with NULL are left out.
    """
    keys = [rows.select(["file", "row"]) for _, rows in sketch_table.take_rows(parts, numbers, ["file", "row"])]
    documents = pa.concat_tables(keys).append_column("entry", pa.array(np.arange(len(numbers))))
    with exact_copies.open_tables(job.folder / "spill", job.memory_limit, job.workers) as connection:
        connection.register("documents", documents)
        joined = f"SELECT entry, value FROM documents JOIN ({query}) USING (file, row) WHERE value IS NOT NULL"
        columns = connection.execute(joined).fetchnumpy()
    return columns["entry"], columns["value"]


def measure_similarities(
    search: PairSearch, copied: ClusterSet, keepers: Int64Array, near: NearCopies, earlier: Array
) -> DedupFindings:
    """Return the exact similarity of each document to its keeper, and the highest in its cluster.

    ``earlier`` comes from ``read_earlier_reasons``.
    """
    at, ours = clusters.find_sorted(copied.numbers, keepers)
    kept_words = keepers.copy()
    kept_words[ours] = copied.words[at[ours]]
    place, is_near = clusters.find_sorted(near.documents.astype(np.int64), copied.words)
    exact = (copied.words == kept_words) | ((copied.others != NONE) & ~is_near)
    similarities, links = np.ones(len(keepers)), np.zeros(len(keepers))
    links[is_near] = near.links[place[is_near]]
    similarities[~exact] = near_copies.measure_pairs(search, copied.words[~exact], kept_words[~exact])
    with_keeper = np.where(copied.numbers == keepers, 0.0, similarities)
    links = np.maximum(np.where(copied.same, 1.0, links), with_keeper)
    np.maximum.at(links, at[ours], with_keeper[ours])
    return DedupFindings(copied, keepers, exact, similarities, links, earlier, near.compared, near.agreed, near.crowded)


def write_table(job: DedupJob, parts: Sequence[SketchPart], findings: DedupFindings, note: Mapping[str, Any]) -> None:
    """Write the duplicates table, complete or not at all, in the order of the corpus.

    ``note`` becomes its metadata. The bytes depend on the rows alone, not on the slices that they come from.
    """
    schema = schemas.DUPLICATES.with_metadata(
        {b"curate": json.dumps(note, sort_keys=True, ensure_ascii=False).encode()}
    )
    with (
        replace_atomically(job.run.duplicates) as beside,
        pq.ParquetWriter(beside, schema, compression="zstd", write_page_checksum=True) as out,
    ):
        pending = schema.empty_table()
        for rows in make_tables(job, parts, findings, schema):
            pending = pa.concat_tables([pending, rows])
            while len(pending) >= GROUP_ROWS:
                out.write_table(pending.slice(0, GROUP_ROWS).combine_chunks())
                pending = pending.slice(GROUP_ROWS)
        out.write_table(pending.combine_chunks())


def make_tables(
    job: DedupJob, parts: Sequence[SketchPart], findings: DedupFindings, schema: pa.Schema
) -> Iterator[pa.Table]:
    """Yield the rows of the duplicates table, slice by slice."""
    numbered, first = clusters.number_clusters(findings.copied.clusters), 0
    keepers = DocumentLocations(parts, findings.keepers, ["", *job.names])
    for _, rows in sketch_table.take_rows(parts, findings.copied.numbers, ["file", "row", "id"]):
        entries = slice(first, first + len(rows))
        yield pa.table(make_columns(rows, findings, numbered, keepers, entries), schema=schema)
        first += len(rows)


def make_columns(
    rows: pa.Table,
    findings: DedupFindings,
    numbered: Int64Array,
    keepers: "DocumentLocations",
    entries: slice,
) -> dict[str, Any]:
    """Return the columns of the duplicates table for the documents of one slice.

    ``rows`` are their sketches; ``entries`` are their entries in the arrays of ``findings`` and in ``numbered``, which
    has the number of each document's cluster.
    """
    numbers = findings.copied.numbers[entries]
    kinds = np.where(findings.exact[entries], "exact", "near")
    kinds = np.where(numbers == findings.keepers[entries], "keeper", kinds)
    sources, files, kept_rows = keepers.look_up(findings.keepers[entries])
    return {
        "file": rows["file"],
        "row": rows["row"],
        "id": rows["id"],
        "cluster": numbered[entries],
        "keeper": kinds == "keeper",
        "kind": kinds.tolist(),
        "keeper_source": sources,
        "keeper_file": files,
        "keeper_row": kept_rows,
        "jaccard": findings.similarities[entries],
        "link": findings.links[entries],
    }


class DocumentLocations:
    """The corpus, the file and the row of some documents, by their numbers.

    ``names`` are those of the corpora, "" for the corpus to be cleaned.
    """

    def __init__(self, parts: Sequence[SketchPart], numbers: Int64Array, names: Sequence[str]):
        self._numbers, self._parts, self._names = np.unique(numbers), parts, names
        self._rows = gather_column(parts, self._numbers, "row")
        tables = sketch_table.take_rows(parts, self._numbers, ["file"])
        files = [chunk for _, rows in tables for chunk in rows["file"].dictionary_encode().chunks]
        self._files = pa.chunked_array(files, pa.dictionary(pa.int32(), pa.large_string())).unify_dictionaries()
        self._part = np.searchsorted([part.stop for part in parts], self._numbers, side="right")

    def look_up(self, numbers: Int64Array) -> tuple[list[str | None], list[str], Int64Array]:
        """Return for each document the name of the corpus (None for the one to be cleaned), the file and the row."""
        indices = np.searchsorted(self._numbers, numbers)
        sources = [self._names[self._parts[index].corpus] or None for index in self._part[indices]]
        return sources, self._files.take(pa.array(indices)).to_pylist(), self._rows[indices]


def write_unreadable(job: DedupJob, parts: Sequence[SketchPart]) -> None:
    """List in ``unreadable.jsonl`` the rows of the corpus that could not be read.

    Does nothing in a run with scores, whose list ``score`` wrote; removes the file where there are no such rows.
    """
    unreadable = [row for part in parts if part.corpus == 0 for row in part.unreadable]
    if job.run.stage("score") is not None:
        return
    if not unreadable:
        remove_file(job.run.unreadable)
        return
    with replace_atomically(job.run.unreadable) as beside, open(beside, "w", encoding="utf-8") as handle:
        for file, row, reason in unreadable:
            handle.write(json.dumps({"file": file, "row": row, "reason": reason}, ensure_ascii=False) + "\n")


def remove_work_folder(job: DedupJob) -> None:
    """Remove the work folder of a job that is done."""
    job.run.remove("dedup")
