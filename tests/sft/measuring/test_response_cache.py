"""What was measured is kept: only what is new is measured, also after a stop."""

import pytest
from helpers import sft_datasets as sft
from helpers.sft_rankings import rank

import curate
from curate.sft.measuring import responses

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def test_a_larger_sample_measures_only_what_is_new_and_gives_what_a_whole_run_gives(
    tmp_path, llama, maths, monkeypatch
):
    measured = []
    true = responses.measure_examples

    def counting(reader, drawn, advance=None):
        measured.append(len(drawn))
        return true(reader, drawn, advance)

    monkeypatch.setattr(responses, "measure_examples", counting)
    rank(maths, model=llama, out=str(tmp_path / "a"), sample_size=5)
    grown = rank(maths, model=llama, out=str(tmp_path / "a"), sample_size=9)
    rank(maths, model=llama, out=str(tmp_path / "a"), sample_size=9, by="rsr")
    assert measured == [5, 4, 0]
    whole = rank(maths, model=llama, out=str(tmp_path / "b"), sample_size=9)
    for name, score in whole.table.datasets[0].scores.items():
        other = grown.table.datasets[0].scores[name]
        ends = (score.value, score.low, score.high)  # NaN where an interval is withheld
        assert (other.value, other.low, other.high) == pytest.approx(ends, rel=1e-5, nan_ok=True), name


def test_another_reading_measures_anew(tmp_path, llama, maths):
    out = str(tmp_path / "ranked")
    one = rank(maths, model=llama, out=out)
    other = rank(maths, model=llama, out=out, template="chatml")
    again = rank(maths, model=llama, out=out)
    values = [each.table.datasets[0].scores["perplexity"].value for each in (one, other, again)]
    assert values[0] == values[2] != values[1]


def test_stopped_it_keeps_what_was_measured_and_goes_on(tmp_path, llama, monkeypatch):
    data = [sft.write(tmp_path / f"{name}.jsonl", sft.MATHS[at : at + 6]) for at, name in ((0, "a"), (6, "b"))]
    true, calls = responses.measure_examples, []

    def stops(reader, drawn, advance=None):
        calls.append(len(drawn))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return true(reader, drawn, advance)

    monkeypatch.setattr(responses, "measure_examples", stops)
    with pytest.raises(curate.errors.Interrupted, match="6 examples"):
        rank(*data, model=llama, out=str(tmp_path / "ranked"))
    rank(*data, model=llama, out=str(tmp_path / "ranked"))
    assert calls == [6, 6, 0, 6]
