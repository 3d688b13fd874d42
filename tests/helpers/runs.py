"""Runs with made-up numbers: a small corpus and the scores table that ``curate score`` would leave, without a model."""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from curate.corpus import Corpus, Documents, open_corpus
from curate.reference.likelihood import LN2
from curate.rundir import parquet, placements, schemas
from curate.rundir.run import Run, compute_fingerprint, open_run
from curate.rundir.verdicts import rejections

# perplexity, tokens and status of a document; any of them may be left out
Numbers = Mapping[str, Any]


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    """JSON lines; a row of bytes is written as it is (for what is no JSON)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows)
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def made_up(text: str) -> Numbers:
    """Numbers that depend on the text alone: perplexity 2 … 102, a token for each word."""
    return {"perplexity": 2 + xxhash.xxh3_64_intdigest(text.encode()) % 1000 / 10, "tokens": max(1, len(text.split()))}


def make_run(
    run: Path,
    corpus_paths: Sequence[Path],
    numbers: Callable[[str], Numbers] = made_up,
    signals: Sequence[str] = ("zlib_ratio",),
    slice_bytes: int = 4_000_000,
    complete: bool = True,
    only_slices: int | None = None,
    identity: Mapping[str, Any] | None = None,
    **options: Any,
) -> Run:
    """Score a corpus with made-up numbers: parts and ``run.json`` as the contract has them."""
    corpus = open_corpus([str(path) for path in corpus_paths], slice_bytes=slice_bytes, **options)
    identity = {"model": "made-up", "tokenizer": "none", "dtype": "fp32", "prefix_id": 0, **(identity or {})}
    made_from = {"corpus": corpus.fingerprint(), "model": identity, "parameters": {"signals": list(signals)}}
    fingerprint = compute_fingerprint(made_from)
    place = open_run(run, create=True)
    counts: dict[str, int] = dict.fromkeys(("read", "ok", "empty", "unreadable", "tokens", "bytes"), 0)
    index = {source.name: number for number, source in enumerate(corpus.sources)}
    for written, documents in enumerate(corpus.slices()):
        if only_slices is not None and written >= only_slices:
            break
        table = scores_of(documents, numbers, signals)
        name = f"{index[documents.mark.file]:05d}-{documents.mark.number:06d}.parquet"
        note = {"made_from": fingerprint, "slice": asdict(documents.mark)}
        parquet.write_part(place.scores / name, table, note)
        counts["read"] += len(table)
        for status in table.column("status").to_pylist():
            counts[status] = counts.get(status, 0) + 1
        for column in ("tokens", "bytes"):
            counts[column] += sum(value or 0 for value in table.column(column).to_pylist())
    record = {"complete": complete, "made_from": made_from, "fingerprint": fingerprint, "corpus": corpus.spec()}
    place.save("score", {**record, "counts": counts, "summary": {}} if complete else record)
    return place


def scores_of(documents: Documents, numbers: Callable[[str], Numbers], signals: Sequence[str]) -> pa.Table:
    """One part of the scores table."""
    rows = []
    columns = (documents.rows.tolist(), documents.ids, documents.texts, documents.statuses, documents.reasons)
    for row, name, text, status, reason in zip(*columns, strict=True):
        known = {"file": documents.mark.file, "row": row, "id": name, "status": status, "reason": reason}
        rows.append({**known, **({} if text is None else of_text(text, status, numbers))})
    return pa.Table.from_pylist(rows, schema=schemas.scores_schema(signals))


def of_text(text: str, status: str, numbers: Callable[[str], Numbers]) -> dict[str, Any]:
    """The columns of a text: what it is itself, and what the made-up model said of it."""
    octets = text.encode()
    found: dict[str, Any] = {"hash": xxhash.xxh3_64_intdigest(octets), "bytes": len(octets), "chars": len(text)}
    if status != "ok":
        return found
    said = {"perplexity": 10.0, "tokens": 10, "status": "ok", "zlib_ratio": 0.5, **numbers(text)}
    if said["status"] != "ok":
        return {**found, "status": said["status"], "reason": f"made up: {said['status']}"}
    perplexity = said["perplexity"]
    nats = math.log(perplexity) * said["tokens"] if perplexity is not None and perplexity > 0 else None
    bits = None if nats is None else nats / LN2 / len(octets)
    measured = {"nats": nats, "bits_per_byte": bits, "scored_bytes": len(octets), "windows": 1, "first_nats": 7.1}
    return {**found, **measured, "scored_tokens": said["tokens"], "truncated": False, **said}


def numbered(values: Sequence[Numbers]) -> Callable[[str], Numbers]:
    """Numbers by the document's own number: the text ``document 3`` gets the fourth."""
    return lambda text: values[int(text.split()[1])]


def ppl(*values: float | None, **more: Any) -> list[Numbers]:
    """Numbers of a document for each perplexity."""
    return [{"perplexity": value, **more} for value in values]


def numbered_run(folder: Path, values: Sequence[Numbers], **options: Any) -> Run:
    """A run over ``document 0``, ``document 1`` … with the ids ``d0``, ``d1`` … and the given numbers."""
    corpus = folder / "corpus"
    write_lines(corpus / "a.jsonl", ({"id": f"d{n}", "text": f"document {n} word"} for n in range(len(values))))
    return make_run(folder / "run", [corpus], numbered(values), **options)


def decisions_of(run: Run) -> dict[tuple[str, int], str | None]:
    """The decision table: the reason of each document by key, None for what is kept."""
    rows = pq.read_table(run.filter).to_pylist()
    assert all(row["keep"] == (row["reason"] is None) for row in rows)
    assert len({(row["file"], row["row"]) for row in rows}) == len(rows)
    return {(row["file"], row["row"]): row["reason"] for row in rows}


def reasons_of(run: Run) -> list[str | None]:
    """The reason of each document, in the order of the corpus."""
    return list(decisions_of(run).values())


def kept_of(run: Run) -> list[int]:
    """Rows of the only file that are kept."""
    return [row for (_, row), reason in decisions_of(run).items() if reason is None]


# The buckets and the order, as ``curate bucket`` and ``curate order`` leave them.


def write_buckets(run: Run, buckets: Sequence[str | None], **parameters: Any) -> None:
    """The buckets of all rows of the scores, in their order, None for what is not kept."""
    names = sorted({name for name in buckets if name is not None})
    counts = {"read": len(buckets), "kept": sum(name is not None for name in buckets), "unmeasured": 0}
    own = {"scheme": "quantiles", "by": "perplexity", "within": [], "names": names, **parameters}
    write_places(run, "bucket", pa.array(buckets, pa.string()), own, counts)


def write_order(run: Run, positions: Sequence[int | None], **parameters: Any) -> None:
    """The positions of all rows of the scores, in their order, None for what is not kept."""
    counts = {"read": len(positions), "kept": sum(place is not None for place in positions), "unmeasured": 0}
    own = {"by": "perplexity", "direction": "ascending", "schedule": "sort", "seed": 0, **parameters}
    write_places(run, "order", pa.array(positions, pa.int64()), own, counts)


def write_places(run: Run, verb: str, column: pa.Array, parameters: Numbers, counts: Numbers) -> None:
    """A table of buckets or positions beside what the run has now, and its record."""
    run = open_run(run.path)
    found = rejections.open_rejections(run)
    note = {"made_from": placements.list_sources(run, found), "parameters": dict(parameters)}
    note["fingerprint"] = compute_fingerprint([note, column.to_pylist()])
    path, schema = (run.buckets, schemas.BUCKETS) if verb == "bucket" else (run.order, schemas.ORDER)
    keys = pa.concat_tables(pq.read_table(part, columns=["file", "row"]) for part in parquet.list_parts(run.scores))
    placements.write_placements(path, schema, [keys.append_column(schema.names[2], column)], note)
    run.save(verb, {**note, "counts": dict(counts)})


# The hits and the duplicates, as ``curate decontaminate`` and ``curate dedup`` leave them.

A_HIT: Mapping[str, Any] = {
    "id": None, "turn": None, "role": None, "eval_set": "gsm8k", "eval_id": "test #417", "part": "question",
    "verdict": "contaminated", "action": "drop", "rule": "aligned", "containment": 0.9, "coverage": 0.94, "bits": 82.4,
    "longest_match": 9, "answer_found": None, "start": 0, "end": 8, "before": "", "matched_text": "document",
    "after": "", "eval_text": "document",
}  # fmt: skip


def write_hits(
    run: Run,
    hits: Iterable[Mapping[str, Any]],
    action: str = "drop",
    slice_bytes: int = 900,
    only_slices: int | None = None,
) -> None:
    """Hits of some rows (of ``a.jsonl`` where they name no file), in slices that need not be those of the scores.

    Without ``only_slices`` the record says complete; its counts are made up where no test looks at them.
    """
    run = open_run(run.path)  # a verb may have written its record since
    corpus = replace(Corpus.from_spec(run.stage("score")["corpus"]), slice_bytes=slice_bytes)
    found = [{"file": "a.jsonl", **A_HIT, "action": "cut" if action == "cut-span" else action, **hit} for hit in hits]
    made_from, parameters = {"corpus": corpus.identity(), "hits": found}, {"action": action}
    note = {
        "made_from": made_from,
        "parameters": parameters,
        "fingerprint": compute_fingerprint([made_from, parameters]),
    }
    index = {source.name: number for number, source in enumerate(corpus.sources)}
    read = 0
    for number, documents in enumerate(corpus.slices()):
        read += len(documents)
        if only_slices is not None and number >= only_slices:
            continue
        mark, rows = documents.mark, set(documents.rows.tolist())
        inside = [hit for hit in found if hit["file"] == mark.file and hit["row"] in rows]
        inside.sort(key=lambda hit: hit["row"])
        path = run.hits / f"{index[mark.file]:05d}-{mark.number:06d}.parquet"
        metadata = {"made_from": note["fingerprint"], "slice": asdict(mark)}
        parquet.write_part(path, pa.Table.from_pylist(inside, schema=schemas.HITS), metadata)
    run.save("decontaminate", {**note, "complete": only_slices is None, "counts": count_hits(found, read)})


def count_hits(hits: Sequence[Mapping[str, Any]], read: int) -> dict[str, Any]:
    """The counts of the record of ``curate decontaminate``."""
    leaks = {(hit["file"], hit["row"]) for hit in hits if hit["verdict"] == "contaminated"}
    review = {(hit["file"], hit["row"]) for hit in hits} - leaks
    names = sorted({hit["eval_set"] for hit in hits if hit["verdict"] == "contaminated"})
    sets = {
        name: len({(hit["file"], hit["row"]) for hit in hits if hit["eval_set"] == name and hit["action"] != "none"})
        for name in names
    }
    clean = read - len(leaks) - len(review)
    return {
        "read": read, "scanned": read, "clean": clean, "review": len(review), "contaminated": len(leaks), "empty": 0,
        "unreadable": 0, "sets": sets,
    }  # fmt: skip


def write_duplicates(
    run: Run, clusters: Iterable[Mapping[int, str]], keep: str = "longest", ids: str | None = "d{}"
) -> None:
    """Duplicates inside ``a.jsonl``: a cluster is its rows with their kinds, one of them ``keeper``."""
    rows = []
    for number, cluster in enumerate(clusters):
        (keeper,) = (row for row, kind in cluster.items() if kind == "keeper")
        for row, kind in cluster.items():
            own = {"file": "a.jsonl", "row": row, "id": ids and ids.format(row), "cluster": number, "kind": kind}
            kept = {"keeper": kind == "keeper", "keeper_source": None, "keeper_file": "a.jsonl", "keeper_row": keeper}
            rows.append({**own, **kept, "jaccard": 0.937 if kind == "near" else 1.0, "link": 0.95})
    write_duplicate_rows(run, sorted(rows, key=lambda row: row["row"]), keep)


def write_duplicate_rows(run: Run, rows: Sequence[Mapping[str, Any]], keep: str = "longest") -> None:
    """The duplicates table with some rows, and its record."""
    run = open_run(run.path)
    corpus = Corpus.from_spec(run.stage("score")["corpus"])
    made_from, parameters = {"corpus": corpus.identity(), "against": {}}, {"threshold": 0.8, "keep": keep}
    note = {"made_from": made_from, "parameters": parameters}
    note["fingerprint"] = compute_fingerprint([note, rows])
    parquet.write_part(run.duplicates, pa.Table.from_pylist(list(rows), schema=schemas.DUPLICATES), note)
    kinds = [row["kind"] for row in rows]
    read = sum(len(documents) for documents in corpus.slices())
    counts = {"read": read, "exact": kinds.count("exact"), "near": kinds.count("near")}
    run.save("dedup", {**note, "counts": counts})


def widest(shown: str) -> int:
    """The characters of the longest line, a temporary folder in it counted as one: how long that is says nothing."""
    return max(len(re.sub(r"/\S*pytest-\S+", "R", line)) for line in shown.splitlines())


def count_scored_tokens_alone(run: Path) -> None:
    """Write the scores as earlier versions did: ``tokens`` are the scored ones, and there is no other column."""
    for part in parquet.list_parts(run / "scores"):
        table = pq.read_table(part)
        position = table.column_names.index("tokens")
        table = table.set_column(position, "tokens", table.column("scored_tokens")).drop_columns(["scored_tokens"])
        pq.write_table(table, part)
    record = open_run(run).stage("score")
    open_run(run).save("score", {name: value for name, value in record.items() if name != "manifest"})


def read_files(run, leftovers=True):
    """All files of a run but the mark of what is in it, whose lines are in the order of the work.

    Without ``leftovers`` what a killed process had begun does not count: it goes with the next verb, if not in the end.
    """
    paths = [path for path in Path(run).rglob("*") if path.is_file() and path.name != ".curate-run.jsonl"]
    kept = [path for path in paths if leftovers or path.suffix != ".tmp"]
    return {str(path.relative_to(run)): path.read_bytes() for path in kept}
