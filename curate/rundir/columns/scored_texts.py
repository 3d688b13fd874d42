"""The texts of a corpus as they are read again, compared with those that were scored, by the hash of each.

    scores/*.parquet: file, row, hash ──► one after the other ──┐
    corpus: slices, cut in any way    ──────────────────────────┴──► the first row that differs, or nothing

Both are in the order of the corpus, so that one part of the scores is in memory at a time. A file that is the same at
both its ends, and of the same size, can have other texts in the middle: nothing else sees that.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curate.corpus import Documents
from curate.errors import CorpusError
from curate.rundir import parquet
from curate.rundir.run import Run, note_changed_file
from curate.runtime.arrays import Int64Array


@dataclass(slots=True)
class ScoredTexts:
    """Reads the hashes of a run's scores along the slices of its corpus, which are asked for in order."""

    run: Run
    _parts: Iterator[pa.Table] | None = None
    _left: pa.Table | None = field(default=None)
    """The rows of the part at hand that no slice had yet."""

    def find_difference(self, documents: Documents) -> int | None:
        """Return the first row of one slice whose text is not the one that was scored; None where all are."""
        if not len(documents):
            return None
        digests = [None if text is None else xxhash.xxh3_64_intdigest(text.encode()) for text in documents.texts]
        first, taken, count = 0, list[pa.Table](), 0
        while count < len(documents):
            table = self._take(documents.mark.file, int(documents.rows[first + count]), len(documents) - count)
            if table is None:
                break
            taken.append(table)
            count += len(table)
        rows = [table.column("row").to_numpy() for table in taken]
        scored_rows: Int64Array = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        hashes = [value for table in taken for value in table.column("hash").to_pylist()]
        if len(scored_rows) == len(documents) and np.array_equal(scored_rows, documents.rows) and hashes == digests:
            return None
        pairs = zip(documents.rows.tolist(), digests, scored_rows.tolist(), hashes, strict=False)
        differing = (row for row, digest, scored, known in pairs if (row, digest) != (scored, known))
        return next(differing, int(documents.rows[min(count, len(documents) - 1)]))

    def check(self, documents: Documents) -> None:
        """Raise CorpusError, naming file and row, where a text is not the one that was scored.

        The file is noted in ``run.json``: the command in the hint reads it again.
        """
        for single in documents.slices:
            row = self.find_difference(single)
            if row is not None:
                file = single.mark.file
                hint = note_changed_file(self.run, file)
                message = f"the corpus has changed since it was scored: {file}, row {row}: its text is another one"
                raise CorpusError(message, hint)

    def _take(self, file: str, row: int, most: int) -> pa.Table | None:
        """Return the next rows of a file from ``row`` on, at most ``most``, of one part; None where there are none."""
        while True:
            if self._left is None or not len(self._left):
                self._parts = self._read_parts() if self._parts is None else self._parts
                self._left = next(self._parts, None)
                if self._left is None:
                    return None
            wanted = pc.and_(pc.equal(self._left.column("file"), file), pc.greater_equal(self._left.column("row"), row))
            begin = pc.index(wanted, True).as_py()
            if begin < 0:
                self._left = None
                continue
            ends = pc.index(wanted.slice(begin), False).as_py()
            count = min(most, ends if ends >= 0 else len(self._left) - begin)
            table, self._left = self._left.slice(begin, count), self._left.slice(begin + count)
            return table

    def _read_parts(self) -> Iterator[pa.Table]:
        for path in parquet.list_parts(self.run.scores):
            yield parquet.read_table(path, columns=["file", "row", "hash"], use_threads=False)


def open_scored_texts(run: Run) -> ScoredTexts | None:
    """Return the texts that a run has scored; None where it has no scores, and nothing is known of its corpus."""
    return ScoredTexts(run) if run.stage("score") is not None else None
