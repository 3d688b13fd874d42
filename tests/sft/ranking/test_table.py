"""Rankings by other models and templates are compared with the first, and an example alone has no interval."""

import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers import sft_datasets as sft
from helpers.sft_rankings import rank

import curate

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def test_models_and_templates_are_compared_with_the_first(tmp_path, llama):
    gpt = sft.tiny(tmp_path / "gpt", "llama", seed=1)
    data = [sft.write(tmp_path / f"d{at}.jsonl", sft.MATHS[8 * at : 8 * at + 8]) for at in range(4)]
    found = rank(*data, models=f"{llama},{gpt}", template="plain,chatml", out=str(tmp_path / "ranked"))
    assert found.model == llama and len(found.compared) == 3 == len(found.others)
    assert [one.second for one in found.compared] == [
        f"{llama}, template chatml", f"{gpt}, template plain", f"{gpt}, template chatml",
    ]  # fmt: skip
    for one in found.compared:
        assert -1 <= one.low <= one.high <= 1 and -1 <= one.tau <= 1
    same = curate.sft.ranking.table.compare_tables(found.table, found.table, ("a", "b"))
    assert same.tau == 1 and same.reversals == 0 and same.changes == ()
    rows = pq.read_table(tmp_path / "ranked" / "ranking.parquet").to_pylist()
    others = {name.replace(f"{tmp_path}/", "").replace(llama, Path(llama).name) for name in found.others}
    assert len(rows) == 16 and {row["variant"] for row in rows} == {None, *others}, "base names of models alone"
    assert {one.second for one in found.definitions} >= {"rsr", "bits_per_byte", "residual"}


def test_one_example_has_no_interval_and_says_so(tmp_path, llama, maths):
    one = sft.write(tmp_path / "one.jsonl", sft.MATHS[20:21])
    found = rank(maths, one, model=llama, out=str(tmp_path / "ranked"))
    place = next(each for each in found.table.datasets if each.name == "one")
    assert math.isnan(place.scores["perplexity"].low) and (place.rank_low, place.rank_high) == (1, 2)
    assert "one: one example: nothing is known of how sure its numbers are" in found.render()
    assert found.as_dict()["datasets"][0]["scored"] in (1, 12)
