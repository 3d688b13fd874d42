"""What a ranking leaves behind: one JSON object, one row a dataset and variant in Parquet, and a page."""

from typing import Any

import pyarrow as pa

from curate.rundir import parquet
from curate.runtime import files
from curate.runtime.numbers import finite
from curate.sft.measuring.response_cache import ResponseCache
from curate.sft.ranking.html import draw_page
from curate.sft.ranking.summary import Ranking
from curate.sft.ranking.table import RankedDataset


def write(book: ResponseCache, ranking: Ranking) -> None:
    """Write ``ranking.json``, ``ranking.parquet`` and ``ranking.html``, each whole."""
    book.path.mkdir(parents=True, exist_ok=True)
    files.write_json(book.path / "ranking.json", finite(ranking.as_dict()))
    parquet.write_part(book.path / "ranking.parquet", tabulate(ranking), {"by": ranking.by, "seed": ranking.seed})
    with files.replacing(book.path / "ranking.html") as beside:
        beside.write_text(draw_page(ranking), encoding="utf-8")


def tabulate(ranking: Ranking) -> pa.Table:
    """One row for each dataset under each model or template; ``variant`` is null for the ranking itself."""
    rows = [flatten(one, None) for one in ranking.table.places]
    rows += [flatten(one, name) for name, table in ranking.others.items() for one in table.places]
    return pa.Table.from_pylist(rows)


def flatten(one: RankedDataset, variant: str | None) -> dict[str, Any]:
    """A place as columns: a measure, and its interval's ends as ``NAME_low`` and ``NAME_high``."""
    row: dict[str, Any] = {
        "variant": variant,
        "name": one.name,
        "rank": one.rank,
        "rank_low": one.rank_low,
        "rank_high": one.rank_high,
        "p_best": one.best,
        "group": one.group,
        "examples": one.examples,
        "set_aside": one.set_aside,
        "flags": "; ".join(one.flags),
    }
    for name, score in one.scores.items():
        row |= {name: score.value, f"{name}_low": score.low, f"{name}_high": score.high}
    return row
