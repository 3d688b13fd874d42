"""Documents that several reasons reject: each is counted under the first alone, and here is what else they are.

So a verb that counts its own finds, such as ``dedup``, and ``status``, which counts every document once, may both be
right with different numbers; a line for each difference explains it.
"""

from collections.abc import Mapping

from curate.rundir import parquet, scores_view, sql
from curate.rundir.run import Run
from curate.rundir.verdicts.reasons import (
    CONTAMINATED,
    DUPLICATES,
    EXACT_DUPLICATE,
    NEAR_DUPLICATE,
    label_reason,
    status_reason_sql,
)
from curate.rundir.verdicts.rejections import Rejections, hits_source

Overlaps = Mapping[tuple[str, str], int]
"""Documents by two labels of reasons: one that applies, and the first, under which they are counted."""


def count_overlaps(run: Run, rejections: Rejections, memory_limit: str | None = None) -> dict[tuple[str, str], int]:
    """Return the documents for which the hits or the duplicates give a reason that is not their first.

    Only documents with a row in the scores that exist now are counted. Raises what ``open_scores`` raises.
    """
    if not rejections:
        return {}
    first = f"SELECT file, row, {status_reason_sql()} AS first FROM documents"
    other = "SELECT file, row, unnest([leak_reason, copy_reason]) AS other FROM rejections"
    query = (
        f"SELECT other, first, count(*) FROM ({other}) JOIN ({first}) USING (file, row) "
        "WHERE other IS NOT NULL AND other <> first GROUP BY other, first ORDER BY other, first"
    )
    counted: dict[tuple[str, str], int] = {}
    with scores_view.open_scores(run, memory_limit, rejections) as connection:
        for reason, before, documents in connection.execute(query).fetchall():
            labels = label_reason(reason), label_reason(before)
            counted[labels] = counted.get(labels, 0) + int(documents)
    return counted


def describe_overlaps(overlaps: Overlaps) -> list[str]:
    """Return a line for each pair of labels: ``near duplicates: 8 more, counted as contaminated, …``."""
    return [
        f"{label}: {documents:,} more, counted as {first}, which comes first"
        for (label, first), documents in overlaps.items()
    ]


def explain_several_reasons(run: Run, rejections: Rejections, memory_limit: str | None = None) -> list[str]:
    """Return a line for each kind of document that more than one reason rejects, and for those of several eval sets."""
    lines = describe_overlaps(count_overlaps(run, rejections, memory_limit))
    documents = count_of_several_sets(run, rejections)
    if documents:
        lines.append(
            f"{CONTAMINATED}: {documents:,} by items of several eval sets, counted under that of the most bits"
        )
    return lines


def count_of_several_sets(run: Run, rejections: Rejections) -> int:
    """Return how many documents the hits drop for items of more than one eval set."""
    if rejections.hits is None or not parquet.list_parts(run.hits):
        return 0
    dropped = f"SELECT file, row FROM {hits_source(run)} WHERE action = 'drop' GROUP BY file, row"
    query = f"SELECT count(*) FROM ({dropped} HAVING count(DISTINCT eval_set) > 1)"
    return int(sql.ask(query)[0][0])


def count_lost_copies(run: Run, rejections: Rejections) -> int:
    """Return how many documents are rejected as copies of one that ``filter`` rejects: nothing of the two is kept.

    The decision table must be there.
    """
    if rejections.duplicates is None:
        return 0
    decided = sql.parquet_source(run.filter)
    copied = ", ".join(sql.quote(reason) for reason in (EXACT_DUPLICATE, NEAR_DUPLICATE))
    query = (
        f"SELECT count(*) FROM (SELECT file, row, keeper_file, keeper_row FROM {sql.parquet_source(run.duplicates)} "
        "WHERE NOT keeper AND keeper_source IS NULL) AS copies "
        f"JOIN (SELECT file, row FROM {decided} WHERE reason IN ({copied})) AS dropped USING (file, row) "
        f"JOIN (SELECT file, row FROM {decided} WHERE NOT keep) AS keepers "
        "ON copies.keeper_file = keepers.file AND copies.keeper_row = keepers.row"
    )
    return int(sql.ask(query)[0][0])


def describe_lost_copies(documents: int) -> list[str]:
    """Return a line on the copies of documents that are rejected themselves; none where there are none."""
    if not documents:
        return []
    verb, keepers = ("is a copy", "a document that is") if documents == 1 else ("are copies", "documents that are")
    return [f"{documents:,} of the {DUPLICATES} {verb} of {keepers} rejected too: curate explain ID says why"]
