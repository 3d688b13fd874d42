"""The files of a ranking: one JSON object, one Parquet row for each dataset and variant, and a page."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.rundir import parquet
from curate.runtime.disk import files
from curate.runtime.numbers import make_jsonable
from curate.runtime.published import hide_folder, hide_folders
from curate.sft.ranking.page.html import draw_page
from curate.sft.ranking.summary import Ranking
from curate.sft.ranking.table import RankedDataset


def write_ranking(folder: Path, ranking: Ranking) -> None:
    """Write ``ranking.json``, ``ranking.parquet`` and ``ranking.html`` into a folder, each atomically.

    Datasets, models and folders are in them by their base names.
    """
    ranking = publish_ranking(ranking)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / "ranking.json", make_jsonable(ranking.as_dict()))
    parquet.write_part(folder / "ranking.parquet", tabulate_ranking(ranking), {"by": ranking.by, "seed": ranking.seed})
    with files.replace_atomically(folder / "ranking.html") as temporary:
        temporary.write_text(draw_page(ranking), encoding="utf-8")


def publish_ranking(ranking: Ranking) -> Ranking:
    """Return a ranking as others may see it: base names in place of paths."""
    datasets = tuple(replace(one, data=hide_folder(one.data)) for one in ranking.datasets)
    chat = None if ranking.chat_model is None else hide_folder(ranking.chat_model)
    others = {hide_folders(name): table for name, table in ranking.others.items()}
    return replace(
        ranking,
        model=hide_folder(ranking.model),
        template=hide_folders(ranking.template),
        out=hide_folder(ranking.out),
        datasets=datasets,
        compared=tuple(
            replace(one, first=hide_folders(one.first), second=hide_folders(one.second)) for one in ranking.compared
        ),
        others=others,
        chat_model=chat,
        identity=hide_folders(ranking.identity),
        runs=tuple(map(hide_folder, ranking.runs)),
    )


def tabulate_ranking(ranking: Ranking) -> pa.Table:
    """Return one row for each dataset under each model or template; ``variant`` is null for the ranking itself."""
    rows = [flatten_dataset(ranked, None) for ranked in ranking.table.datasets]
    rows += [flatten_dataset(ranked, name) for name, table in ranking.others.items() for ranked in table.datasets]
    return pa.Table.from_pylist(rows)


def flatten_dataset(ranked: RankedDataset, variant: str | None) -> dict[str, Any]:
    """Return a dataset as columns: each measure, and the ends of its interval as ``NAME_low`` and ``NAME_high``."""
    row: dict[str, Any] = {
        "variant": variant,
        "name": ranked.name,
        "rank": None if ranked.apart else ranked.rank,
        "rank_low": None if ranked.apart else ranked.rank_low,
        "rank_high": None if ranked.apart else ranked.rank_high,
        "rank_apart": ranked.rank if ranked.apart else None,
        "rank_apart_low": ranked.rank_low if ranked.apart else None,
        "rank_apart_high": ranked.rank_high if ranked.apart else None,
        "p_best": math.nan if ranked.apart else ranked.best,
        "group": ranked.group,
        "examples": ranked.examples,
        "set_aside": ranked.set_aside,
        "language": ranked.language or None,
        "flags": "; ".join(ranked.flags),
    }
    for name, score in ranked.scores.items():
        row |= {name: score.value, f"{name}_low": score.low, f"{name}_high": score.high}
    return row
