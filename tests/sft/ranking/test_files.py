"""The files of a ranking: JSON without NaN, a row for each dataset and variant, and a page."""

import json

import pyarrow.parquet as pq
from helpers.rankings import NAMES, make_ranking

from curate.sft.ranking.files import write_ranking


def test_a_ranking_is_written_as_json_parquet_and_a_page(tmp_path):
    """Premise: the dataset before the last has a single example, so that it has no interval; the last has no rank."""
    ranking = make_ranking()
    write_ranking(tmp_path / "ranked", ranking)
    assert sorted(path.name for path in (tmp_path / "ranked").iterdir()) == [
        "ranking.html", "ranking.json", "ranking.parquet",
    ]  # fmt: skip
    record = json.loads((tmp_path / "ranked" / "ranking.json").read_text(), parse_constant=lambda name: 1 / 0)
    assert record["datasets"][-2]["intervals"]["perplexity"] == [None, None]
    rows = pq.read_table(tmp_path / "ranked" / "ranking.parquet").to_pylist()
    assert [row["variant"] for row in rows] == [None] * len(NAMES) + ["other/base-1B"] * len(NAMES)
    assert [row["name"] for row in rows[: len(NAMES)]] == list(NAMES)
    first = ranking.table.datasets[0]
    shown = {name: rows[0][name] for name in ("rank", "rank_low", "rank_high", "p_best", "perplexity", "rsr_high")}
    assert shown == {
        "rank": 1, "rank_low": 1, "rank_high": 2, "p_best": 0.5, "perplexity": first.scores["perplexity"].value,
        "rsr_high": first.scores["rsr"].high,
    }  # fmt: skip
    assert rows[len(NAMES) - 1]["rank"] is None and rows[len(NAMES) - 1]["set_aside"]
