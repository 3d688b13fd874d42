"""The duplicates table of a run: found through sketches and buckets, verified on the texts themselves, written whole.

Beside what DuckDB may use, memory grows by some ten bytes for each document of the corpus and some hundred for each
that has a candidate; texts stream through it twice, a few slices at a time.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.corpus import Corpus
from curate.rundir import schemas, sql
from curate.rundir.run import Run, compute_fingerprint
from curate.runtime import console
from curate.runtime.files import replacing
from curate.stages.dedup import clusters, lsh_buckets, sketch_table
from curate.stages.dedup.shingle_store import ShingleStore
from curate.stages.dedup.sketch_table import SketchPart
from curate.stages.dedup.sketches import SketchConfig

Array = np.ndarray[Any, np.dtype[Any]]

NONE = clusters.NONE
GROUP_ROWS = 65_536  # of the table that are compressed together


@dataclass(frozen=True, slots=True)
class DedupJob:
    """All that is settled before the work begins."""

    run: Run
    corpora: Sequence[Corpus]
    """The corpus to be cleaned, then those it is held against."""
    names: Sequence[str]
    """What the others were called."""
    recipe: SketchConfig
    threshold: float
    keep: str
    memory_limit: str
    workers: int

    @property
    def folder(self) -> Path:
        """Where the work lies until it is finished."""
        return self.run.path / "dedup"

    @property
    def sketches(self) -> Path:
        return self.folder / "sketches"

    def sketched_from(self) -> str:
        """What the sketches depend on, so that others are not taken for them."""
        identities = [corpus.identity() for corpus in self.corpora]
        return compute_fingerprint([identities, sketch_table.SLICE_BYTES, asdict(self.recipe)])

    def made_from(self) -> dict[str, Any]:
        """What the table depends on."""
        others = {name: one.identity() for name, one in zip(self.names, self.corpora[1:], strict=True)}
        found: dict[str, Any] = {"corpus": self.corpora[0].identity(), "against": others, "hits": self.hits()}
        if self.keep == "lowest-ppl":
            found["scores"] = self.run.finished_scores()["fingerprint"]
        return found

    def hits(self) -> str | None:
        """The fingerprint of the run's finished hits, None without: who is contaminated does not stay for others."""
        record = self.run.stage("decontaminate") or {}
        return str(record["fingerprint"]) if record.get("complete") else None

    def parameters(self) -> dict[str, Any]:
        return {"threshold": self.threshold, "keep": self.keep, **asdict(self.recipe)}


@dataclass(frozen=True, slots=True, eq=False)
class DedupFindings:
    """Our documents that have copies, by their numbers, ascending: one entry for each in every array."""

    families: clusters.ClusterSet
    keepers: Array
    """The number of each document's keeper."""
    exact: Array
    """bool: whether it has the same words as its keeper."""
    similarities: Array
    """With the keeper, exact."""
    links: Array
    """The highest that was verified with any document of the cluster."""
    compared: int
    agreed: int
    crowded: int


def find_duplicates(job: DedupJob, parts: Sequence[SketchPart]) -> DedupFindings:
    """Group, verify and cluster what was sketched."""
    own, total = count_documents(parts)
    if not own:
        return nothing()
    spill, filled = job.folder / "spill", {part.path: part.first for part in parts if part.count}
    console.say("grouping", f"{total:,} documents by their words{' and band keys' if job.recipe.bands else ''}")
    buckets = lsh_buckets.LshBuckets(job.folder / "buckets")
    with lsh_buckets.open_sketches(filled, spill, job.memory_limit, job.workers) as connection:
        copies = lsh_buckets.find_copies(connection, own)
        near = buckets.fill(connection, job.recipe.band_names, own, total, now_and_then("grouping"))
    with ShingleStore(job.folder / "shingles") as book:
        for one in sketch_table.read_sets(job.corpora, parts, near, job.recipe.shingle, job.workers):
            book.add(one)
        checked = clusters.verifier(book.similarity, book.sizes, job.threshold)
        ours = int(np.searchsorted(near, own))
        console.say("comparing", f"{len(near):,} documents that share {buckets.count:,} buckets")
        read = partial(buckets.read, near, now_and_then("comparing"))
        joined = clusters.cluster_documents(read, ours, len(near), checked)
        families = clusters.gather_families((copies.numbers, copies.first, copies.other), near, *joined)
        keepers = settle_keepers(job, parts, families)
        return measure(families, keepers, near, book, checked)


def now_and_then(label: str) -> Callable[[str], None]:
    """Say what it is called with, but not more often than a log should have it."""
    spoken = time.monotonic()

    def tell(text: str) -> None:
        nonlocal spoken
        if time.monotonic() - spoken >= console.LOG_SECONDS:
            console.say(label, text)
            spoken = time.monotonic()

    return tell


def nothing() -> DedupFindings:
    """What is found among no documents."""
    none = np.zeros(0, np.int64)
    families = clusters.ClusterSet(none, none, none, none, none.astype(bool))
    return DedupFindings(families, none, none.astype(bool), np.zeros(0), np.zeros(0), 0, 0, 0)


def count_documents(parts: Sequence[SketchPart]) -> tuple[int, int]:
    """Numbered documents of the corpus to be cleaned, and of all corpora."""
    return max((part.stop for part in parts if part.corpus == 0), default=0), parts[-1].stop if parts else 0


def settle_keepers(job: DedupJob, parts: Sequence[SketchPart], families: clusters.ClusterSet) -> Array:
    """The number of each document's keeper: among the others where it has one there, else by the rule."""
    octets = gather(parts, families.numbers, "bytes")
    perplexities = np.full(len(octets), np.nan)
    if job.keep == "lowest-ppl" and len(octets):
        perplexities = read_perplexities(job, parts, families.numbers)
    ranks = clusters.rank_documents(job.keep, octets, perplexities)
    dropped = np.zeros(len(octets), np.int64)
    if job.hits() is not None and len(octets):
        dropped = is_dropped(job, parts, families.numbers)
    chosen = families.numbers[clusters.choose_keepers(families.clusters, ranks, dropped)]
    return np.where(families.others == NONE, chosen, families.others)


def gather(parts: Sequence[SketchPart], numbers: Array, column: str) -> Array:
    """One column of integers of some documents."""
    found = [rows[column].to_numpy() for _, rows in sketch_table.take_rows(parts, numbers, [column])]
    return np.concatenate([np.zeros(0, np.int64), *found])


def read_perplexities(job: DedupJob, parts: Sequence[SketchPart], numbers: Array) -> Array:
    """The perplexity of some documents of the corpus, NaN where they have none."""
    source = sql.parquet_source(job.run.scores)
    found = np.full(len(numbers), np.nan)
    places, values = join_keys(job, parts, numbers, f"SELECT file, row, perplexity AS value FROM {source}")
    found[places] = values
    return found


def is_dropped(job: DedupJob, parts: Sequence[SketchPart], numbers: Array) -> Array:
    """1 for the documents that ``decontaminate`` drops, else 0."""
    source = sql.parquet_source(job.run.hits)
    leaks = f"SELECT DISTINCT file, row, 1 AS value FROM {source} WHERE action = 'drop'"
    found = np.zeros(len(numbers), np.int64)
    found[join_keys(job, parts, numbers, leaks)[0]] = 1
    return found


def join_keys(job: DedupJob, parts: Sequence[SketchPart], numbers: Array, table: str) -> tuple[Array, Array]:
    """Of some documents those that a query (file, row, value) knows: their places, and the values."""
    keys = [
        pa.table({"file": pa.array([part.mark.file] * len(rows), pa.large_string()), "row": rows["row"]})
        for part, rows in sketch_table.take_rows(parts, numbers, ["row"])
    ]
    asked = pa.concat_tables(keys).append_column("place", pa.array(np.arange(len(numbers))))
    with lsh_buckets.open_tables(job.folder / "spill", job.memory_limit, job.workers) as connection:
        connection.register("asked", asked)
        query = f"SELECT place, value FROM asked JOIN ({table}) USING (file, row) WHERE value IS NOT NULL"
        columns = connection.execute(query).fetchnumpy()
    return columns["place"], columns["value"]


def measure(
    families: clusters.ClusterSet, keepers: Array, near: Array, book: ShingleStore, checked: clusters.PairVerifier
) -> DedupFindings:
    """The exact similarity of each document with its keeper, and the highest in its cluster."""
    at, ours = clusters.find(families.numbers, keepers)
    kept_words = keepers.copy()
    kept_words[ours] = families.words[at[ours]]
    places, met = clusters.find(near, families.words)
    exact = (families.words == kept_words) | ((families.others != NONE) & ~met)
    similarities, links = np.ones(len(keepers)), np.zeros(len(keepers))
    links[met] = np.asarray(checked.links)[places[met]]
    for document in np.flatnonzero(~exact):
        keeper = int(np.searchsorted(near, kept_words[document]))
        similarities[document] = book.similarity(int(places[document]), keeper)
    links = np.maximum(np.where(families.same, 1.0, links), np.where(families.numbers == keepers, 0.0, similarities))
    np.maximum.at(links, at[ours], np.where(families.numbers == keepers, 0.0, similarities)[ours])
    return DedupFindings(
        families, keepers, exact, similarities, links, checked.compared, checked.agreed, len(checked.crowded)
    )


# Writing.


def write_table(job: DedupJob, parts: Sequence[SketchPart], found: DedupFindings, note: Mapping[str, Any]) -> None:
    """Write the duplicates table whole or not at all, in the order of the corpus.

    The bytes depend on the rows alone, not on the slices that they come from.
    """
    schema = schemas.DUPLICATES.with_metadata(
        {b"curate": json.dumps(note, sort_keys=True, ensure_ascii=False).encode()}
    )
    with replacing(job.run.duplicates) as beside, pq.ParquetWriter(beside, schema, compression="zstd") as out:
        held = schema.empty_table()
        for rows in tables_of(job, parts, found, schema):
            held = pa.concat_tables([held, rows])
            while len(held) >= GROUP_ROWS:
                out.write_table(held.slice(0, GROUP_ROWS).combine_chunks())
                held = held.slice(GROUP_ROWS)
        out.write_table(held.combine_chunks())


def tables_of(
    job: DedupJob, parts: Sequence[SketchPart], found: DedupFindings, schema: pa.Schema
) -> Iterator[pa.Table]:
    """The rows of the table, slice by slice."""
    numbered, first = clusters.number_clusters(found.families.clusters), 0
    keepers = DocumentLocations(parts, found.keepers, ["", *job.names])
    for part, rows in sketch_table.take_rows(parts, found.families.numbers, ["row", "id"]):
        places = slice(first, first + len(rows))
        yield pa.table(columns_of(part, rows, found, numbered, keepers, places), schema=schema)
        first += len(rows)


def columns_of(
    part: SketchPart, rows: pa.Table, found: DedupFindings, numbered: Array, keepers: "DocumentLocations", places: slice
) -> dict[str, Any]:
    """The rows of the table that one slice has."""
    numbers = found.families.numbers[places]
    kinds = np.where(found.exact[places], "exact", "near")
    kinds = np.where(numbers == found.keepers[places], "keeper", kinds)
    sources, files, kept_rows = keepers.look_up(found.keepers[places])
    return {
        "file": [part.mark.file] * len(rows),
        "row": rows["row"],
        "id": rows["id"],
        "cluster": numbered[places],
        "keeper": kinds == "keeper",
        "kind": kinds.tolist(),
        "keeper_source": sources,
        "keeper_file": files,
        "keeper_row": kept_rows,
        "jaccard": found.similarities[places],
        "link": found.links[places],
    }


class DocumentLocations:
    """Where some documents lie: the corpus' name (None for the first), the file and the row of each."""

    def __init__(self, parts: Sequence[SketchPart], numbers: Array, names: Sequence[str]):
        self._numbers, self._parts, self._names = np.unique(numbers), parts, names
        self._rows = gather(parts, self._numbers, "row")
        self._part = np.searchsorted([part.stop for part in parts], self._numbers, side="right")

    def look_up(self, numbers: Array) -> tuple[list[str | None], list[str], Array]:
        places = np.searchsorted(self._numbers, numbers)
        parts = [self._parts[place] for place in self._part[places]]
        sources = [self._names[part.corpus] or None for part in parts]
        return sources, [part.mark.file for part in parts], self._rows[places]


def write_unreadable(job: DedupJob, parts: Sequence[SketchPart]) -> None:
    """List the rows of the corpus that could not be read, as ``score`` does; a run with scores has its own list."""
    listed = [(part.mark.file, *row) for part in parts if part.corpus == 0 for row in part.unreadable]
    if job.run.stage("score") is not None:
        return
    if not listed:
        job.run.unreadable.unlink(missing_ok=True)
        return
    with replacing(job.run.unreadable) as beside, open(beside, "w", encoding="utf-8") as handle:
        for file, row, reason in listed:
            handle.write(json.dumps({"file": file, "row": row, "reason": reason}, ensure_ascii=False) + "\n")


def clear(job: DedupJob) -> None:
    """Remove the work folder."""
    shutil.rmtree(job.folder, ignore_errors=True)
