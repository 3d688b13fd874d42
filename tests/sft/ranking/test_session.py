"""Samples grow where neighbours may yet be told apart, and nowhere else."""

import math
from types import SimpleNamespace

import pyarrow as pa
import pytest
from helpers import sft_datasets as sft
from helpers.sft_rankings import rank

import curate
from curate.sft.datasets import open_set
from curate.sft.measuring import reader, response_cache, responses
from curate.sft.ranking import session, table

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def test_until_separated_draws_more_where_it_may_help(tmp_path):
    """Premise: under the builtin, answers with shuffled words are told apart from others with thirty examples."""
    one = sft.write(tmp_path / "a.jsonl", sft.MATHS[:40])
    apart = sft.write(tmp_path / "c.jsonl", sft.with_shuffled_words(sft.MATHS[:40]))
    found = curate.rank_sft([one, apart], sample_size=30, until_separated=True, out=str(tmp_path / "apart"))
    assert [one.drawn for one in found.datasets] == [30, 30] and found.table.pairs[0].separated


@pytest.mark.parametrize(
    ("separated", "needed", "drawn"),
    [(False, 60, 10), (False, 300, 10), (False, 801, 5), (False, math.inf, 5), (False, math.nan, 10), (True, 9, 5)],
)
def test_samples_double_for_neighbours_that_may_yet_be_told_apart(tmp_path, separated, needed, drawn):
    """Premise: five examples of each were drawn, there are forty."""
    sets = [open_set(sft.write(tmp_path / f"{name}.jsonl", sft.MATHS[:40])) for name in ("a", "b")]
    found = session.RankingSession(
        sets, response_cache.open_response_cache(str(tmp_path / "r")), reader.RankingOptions(sample=5)
    )
    found.draw_all()
    pair = table.NeighbourPair("a", "b", separated, 0.3, (5, 5), (needed, needed))
    assert found.grow(SimpleNamespace(pairs=[pair])) == (drawn > 5)
    assert [len(found.samples[name].examples) for name in ("a", "b")] == [drawn, drawn]
    if drawn > 5:
        assert all(found.grow(SimpleNamespace(pairs=[pair])) for _ in range(2))
        assert not found.grow(SimpleNamespace(pairs=[pair]))
        assert len(found.samples["a"].examples) == 40


def test_copies_are_not_drawn_from_in_vain(tmp_path, llama):
    data = [sft.write(tmp_path / f"{name}.jsonl", sft.MATHS[:40]) for name in ("a", "b")]
    found = rank(*data, model=llama, sample_size=10, until_separated=True, out=str(tmp_path / "ranked"))
    assert [one.drawn for one in found.datasets] == [10, 10]


@pytest.mark.parametrize("stopped_at", [None, 7])
def test_batches_that_are_gathered_are_all_kept_in_order_also_where_the_measuring_stops(
    tmp_path, monkeypatch, stopped_at
):
    """Eleven batches of one example, three gathered at a time: two are left over, one where the seventh is the last."""
    dataset = open_set(sft.write(tmp_path / "a.jsonl", sft.MATHS[:11]))
    cache = response_cache.open_response_cache(str(tmp_path / "r"))
    found = session.RankingSession([dataset], cache, reader.RankingOptions(sample=None))
    found.draw_all()
    monkeypatch.setattr(session, "GATHERED", 3)
    monkeypatch.setattr(found.__class__, "_describe_origin", lambda *_: ({"model": "made-up"}, "print"))

    def measure(_reader, examples, _advance):
        for number, drawn in enumerate(examples):
            if number == stopped_at:
                raise KeyboardInterrupt
            row = {"file": drawn.file, "row": drawn.row, "part": drawn.part, "status": "ok", "tokens": 100 + drawn.row}
            yield pa.Table.from_pylist([row], responses.RESPONSES)

    monkeypatch.setattr(responses, "measure_examples", measure)
    examples, empty = found.samples["a"].examples, responses.RESPONSES.empty_table()
    if stopped_at is None:
        table = found._measure_missing(None, dataset, empty, examples, None)
        assert table["tokens"].to_pylist() == [100 + drawn.row for drawn in examples]
    else:
        with pytest.raises(KeyboardInterrupt):
            found._measure_missing(None, dataset, empty, examples, None)
    kept = cache.load({"model": "made-up"}, "a", "print")
    assert kept["tokens"].to_pylist() == [100 + drawn.row for drawn in examples[:stopped_at]]
