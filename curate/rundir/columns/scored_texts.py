"""The texts of a corpus as they are read again, compared with those that were scored, by the hash of each.

    scores/*.parquet: file, row, hash ──► one after the other ──┐
    corpus: slices, cut in any way    ──────────────────────────┴──► the first row that differs, or nothing

Both are in the order of the corpus, so that one part of the scores is in memory at a time. Where slices are left out,
as in one share of a corpus, the part of the next is found by the names of the parts and the metadata of a few. A file
that is the same at both its ends, and of the same size, can have other texts in the middle: nothing else sees that.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curate.corpus import Documents
from curate.corpus.slice_marks import list_slices
from curate.corpus.types import Source
from curate.errors import CorpusError
from curate.rundir import parquet
from curate.rundir.run import Run, name_part, note_changed_file
from curate.runtime.arrays import Int64Array


@dataclass(slots=True)
class ScoredTexts:
    """Reads the hashes of a run's scores along the slices of its corpus, which are asked for in order.

    With ``sources``, slices may be left out, and come in any order. A copy in another process begins anew.
    """

    run: Run
    sources: Sequence[Source] = ()
    """The files of the corpus, by whose numbers parts are named; none: every part is read, from the first on."""
    _paths: list[Path] | None = None
    _names: list[str] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)
    """The files of ``sources`` by name, with their numbers."""
    _next: int = 0
    """The index of the part behind the one at hand."""
    _left: pa.Table | None = field(default=None)
    """The rows of the part at hand that no slice had yet."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out the part at hand."""
        return ScoredTexts, (self.run, self.sources)

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
        """Return the rows of a file from ``row`` on, at most ``most``, of one part; None where that row is in none."""
        if self._paths is None:
            self._paths = parquet.list_parts(self.run.scores)
            self._names = [path.name for path in self._paths]
            self._numbers = {source.name: number for number, source in enumerate(self.sources)}
        table = self._cut(file, row, most)
        for index in () if table is not None else self._list_candidates(file, row):
            self._next, path = index + 1, self._paths[index]
            self._left = parquet.read_table(path, columns=["file", "row", "hash"], use_threads=False)
            table = self._cut(file, row, most)
            if table is not None:
                break
        return table

    def _cut(self, file: str, row: int, most: int) -> pa.Table | None:
        """Return the rows of a file from ``row`` on that the part at hand has, at most ``most``, and drop them there.

        None, and the part is as it was, where it does not have that row.
        """
        if self._left is None or not len(self._left):
            return None
        of_file = pc.equal(self._left.column("file"), file)
        begin = pc.index(pc.and_(of_file, pc.equal(self._left.column("row"), row)), True).as_py()
        if begin < 0:
            return None
        ends = pc.index(of_file.slice(begin), False).as_py()
        count = min(most, ends if ends >= 0 else len(self._left) - begin)
        table, self._left = self._left.slice(begin, count), self._left.slice(begin + count)
        return table

    def _list_candidates(self, file: str, row: int) -> Iterator[int]:
        """Yield the indices of the parts that may have a row of a file, the likeliest first; at last of all of them.

        Without the number of the file, those behind the part at hand.
        """
        number, following, paths = self._numbers.get(file), self._next, self._paths or []
        if number is None:
            yield from range(following, len(paths))
            return
        first, stop = (bisect_left(self._names, name_part(each, 0)) for each in (number, number + 1))
        if max(first - 1, 0) <= following < stop:
            yield following
        behind = bisect_right(range(first, stop), row, key=lambda index: find_first_row(self.run, paths[index], file))
        yield from (index for index in (first + behind - 1,) if 0 <= index < len(paths))
        yield from range(len(paths))


def find_first_row(run: Run, path: Path, file: str) -> int:
    """Return the first row of a file in a part whose first rows are of that file; 0 where they are of another one."""
    mark = list_slices(run.read_note(path))[0]
    return mark.first_row if mark.file == file else 0


def open_scored_texts(run: Run, sources: Sequence[Source] = ()) -> ScoredTexts | None:
    """Return the texts that a run has scored; None where it has no scores, and nothing is known of its corpus.

    ``sources`` are the files of the corpus that was scored, where slices may be left out.
    """
    return ScoredTexts(run, sources) if run.stage("score") is not None else None
