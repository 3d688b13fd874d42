"""``curate rank-sft``: known orders, the loop of the literature, and everything that a person can get wrong."""

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import sft_datasets as sft
from typer.testing import CliRunner

import curate
from curate import contest, rankbook, responses, standings
from curate.cli import app
from curate.errors import CorpusError, ModelError, UsageError
from curate.instructionsets import draw, open_set
from curate.reference import Reading

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """Gives the folder of a tiny model without a chat template."""
    return sft.tiny(tmp_path_factory.mktemp("model") / "llama")


@pytest.fixture
def maths(tmp_path):
    return sft.write(tmp_path / "maths.jsonl", sft.MATHS[:12])


def rank(*data, **options):
    return curate.rank_sft(list(data), **{"draws": 100, "exact": True, **options})


def names(ranking):
    return [one.name for one in ranking.table.places]


def read_responses(ranking, name):
    """The measured examples of a dataset by the hash of their answers."""
    table = pq.read_table(next((Path(ranking.out) / "responses").rglob(f"{name}.parquet")))
    return {row["answered"]: row for row in table.to_pylist()}


# ---- known orders, under the builtin -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def orders(tmp_path_factory):
    """One ranking of a dataset, its copy in another schema, two spoilt copies, and one that says one thing only."""
    folder = tmp_path_factory.mktemp("orders")
    rows = sft.MATHS[:60]
    data = [
        sft.write(folder / "shuffled_words.jsonl", sft.with_shuffled_words(rows)),
        sft.write(folder / "one_answer.jsonl", [{"question": row["question"], "answer": "Yes."} for row in rows]),
        sft.write(folder / "others_answers.jsonl", sft.with_others_answers(rows)),
        sft.write(folder / "maths.jsonl", rows),
        sft.write(folder / "as_messages.jsonl", sft.as_messages(list(reversed(rows)))),
    ]
    return curate.rank_sft(data, out=str(folder / "ranked"), examples=str(folder / "runs"))


def test_a_dataset_ranks_above_its_answers_given_to_other_prompts_and_above_its_words_shuffled(orders):
    found = names(orders)
    assert max(found.index("maths"), found.index("as_messages")) < found.index("others_answers")
    ranks = {one.name: one for one in orders.table.places}
    assert ranks["others_answers"].rank_high < ranks["shuffled_words"].rank_low
    for one in ("rsr", "residual", "first_64", "ifd_ppl", "bits_per_byte"):
        own, others = (ranks[name].scores[one] for name in ("maths", "others_answers"))
        assert own.value < others.value, one


def test_the_same_answers_are_likelier_after_their_own_prompts_and_as_likely_without_any(orders):
    """Premise: the same answers, so that each has its twin: the difference is taken answer by answer."""
    own, others = (read_responses(orders, name) for name in ("maths", "others_answers"))
    assert own.keys() == others.keys() and len(own) == 60
    gains = np.array([(others[at]["nats"] - own[at]["nats"]) / own[at]["tokens"] for at in own])
    assert gains.mean() > 4 * gains.std(ddof=1) / np.sqrt(len(gains))
    for at in own:
        assert own[at]["unconditional_nats"] == pytest.approx(others[at]["unconditional_nats"], rel=0.01)


def test_a_copy_in_another_schema_and_order_is_equal_and_not_told_apart(orders):
    own, copy = ({one.name: one for one in orders.table.places}[name] for name in ("maths", "as_messages"))
    assert copy.scores["perplexity"].value == pytest.approx(own.scores["perplexity"].value, rel=1e-4)
    assert set(own.group) & set(copy.group)
    pair = next(one for one in orders.table.pairs if {one.better, one.worse} == {"maths", "as_messages"})
    assert not pair.separated


def test_a_dataset_that_repeats_one_answer_is_set_aside_and_not_crowned(orders):
    last = orders.table.places[-1]
    assert last.name == "one_answer" and last.set_aside and last.rank is None
    assert last.scores["perplexity"].value < 1000 and orders.table.places[0].name in ("maths", "as_messages")
    assert "set aside   one_answer: repeats its answers: 1 different among 60" in orders.render()


def test_the_ranking_on_disk_is_the_ranking(orders):
    out = Path(orders.out)
    record = json.loads((out / "ranking.json").read_text())
    assert [one["name"] for one in record["datasets"]] == names(orders)
    assert record["datasets"][0]["perplexity"] == pytest.approx(orders.table.places[0].scores["perplexity"].value)
    low, high = record["datasets"][0]["intervals"]["perplexity"]
    assert low < record["datasets"][0]["perplexity"] < high
    assert record["datasets"][-1]["rank"] is None
    table = pq.read_table(out / "ranking.parquet").to_pylist()
    assert [one["name"] for one in table] == names(orders)
    assert table[0]["perplexity_low"] == pytest.approx(low)
    assert (out / "ranking.html").stat().st_size > 1000


def test_the_screen_says_what_the_ranking_means_and_fits_in_100_columns(orders):
    text = orders.render().replace(orders.out, "ranked").replace(str(Path(orders.out).parent), "out")
    assert max(map(len, text.splitlines())) <= 100
    assert "arXiv 2506.14681" in text and "not whether they are right" in text
    told = re.search(r"(maths|as_messages) and (maths|as_messages) cannot be told apart with 60 examples; (.*)", text)
    assert told and told[3] in ("they are the same", "the difference is next to nothing"), "bf16 rounds by the pack"


# ---- the loop of the literature ------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", ["all", "last"])
def test_exact_mode_gives_the_nats_of_the_loop_with_full_logits_and_masked_labels(tmp_path, llama, turns):
    rows = [json.loads(line) for line in (sft.SAMPLE / "oasst.jsonl").read_text().splitlines()]
    short = [row for row in rows if sum(len(one["content"]) for one in row["messages"]) < 500]
    data = sft.write(tmp_path / "talk.jsonl", short[:6])
    wanted = contest.Wanted(turns, True, None, 0, 100, "perplexity", None)
    reader = contest.open_reader(contest.Variant(llama, "auto"), Reading(exact=True), wanted)
    drawn = draw(open_set(data), None, 0, turns)
    (table,) = responses.measure_examples(reader, drawn.examples)
    assert set(table["status"].to_pylist()) == {"ok"} and max(table["answers"].to_pylist()) == (
        2 if turns == "all" else 1
    )
    for row, one in zip(table.to_pylist(), responses.prompt(reader, drawn.examples), strict=True):
        scored = one.tokens.owner >= 0
        assert row["tokens"] == scored.sum()
        assert row["nats"] == pytest.approx(sft.loop(llama, one.tokens.ids.tolist(), scored), abs=1e-5 * row["tokens"])
        alone = 0.0
        for span in range(row["answers"]):
            ids = one.tokens.ids[one.tokens.owner == span]
            alone += sft.loop(llama, ids.tolist(), np.ones(len(ids), bool))
        assert row["unconditional_nats"] == pytest.approx(alone, abs=1e-5 * row["tokens"])
        last = int(np.flatnonzero(scored)[-1]) + 1
        whole = sft.loop(llama, one.tokens.ids[:last].tolist(), np.ones(last, bool))
        assert row["full_nats"] == pytest.approx(whole, abs=1e-5 * last)
        assert row["full_tokens"] == last and row["prompt_tokens"] == last - scored.sum()


def test_the_sums_of_an_example_are_those_of_its_tokens(tmp_path, llama, maths):
    """First tokens, bytes and control tokens, counted by hand."""
    wanted = contest.Wanted("all", True, None, 0, 100, "perplexity", None)
    reader = contest.open_reader(contest.Variant(llama, "plain"), Reading(exact=True), wanted)
    drawn = draw(open_set(maths), None, 0)
    (table,) = responses.measure_examples(reader, drawn.examples)
    for row, one in zip(table.to_pylist(), drawn.examples, strict=True):
        answer = one.example.turns[-1].text
        assert row["bytes"] == len(answer.encode())
        assert row["first_tokens"] == min(row["tokens"], responses.FIRST)
        assert row["content_nats"] < row["nats"] and row["first_nats"] <= row["nats"]
        assert row["tokens"] <= row["ranks"] <= responses.RANK_CLIP * row["tokens"]


def test_without_the_end_of_turn_one_token_less_is_scored(tmp_path, llama, maths):
    one = rank(maths, model=llama, out=str(tmp_path / "a"))
    other = rank(maths, model=llama, out=str(tmp_path / "b"), end_of_turn=False)
    tokens = [each.table.places[0].scores["response_tokens"].value for each in (one, other)]
    assert tokens[0] - tokens[1] == pytest.approx(1)


# ---- what was measured is kept -------------------------------------------------------------------------------------


def test_a_larger_sample_measures_only_what_is_new_and_gives_what_a_whole_run_gives(
    tmp_path, llama, maths, monkeypatch
):
    measured = []
    true = responses.measure_examples

    def counting(reader, drawn, advance=None):
        measured.append(len(drawn))
        return true(reader, drawn, advance)

    monkeypatch.setattr(responses, "measure_examples", counting)
    rank(maths, model=llama, out=str(tmp_path / "a"), sample=5)
    grown = rank(maths, model=llama, out=str(tmp_path / "a"), sample=9)
    rank(maths, model=llama, out=str(tmp_path / "a"), sample=9, by="rsr")
    assert measured == [5, 4, 0]
    whole = rank(maths, model=llama, out=str(tmp_path / "b"), sample=9)
    for name, score in whole.table.places[0].scores.items():
        other = grown.table.places[0].scores[name]
        assert (other.value, other.low, other.high) == pytest.approx((score.value, score.low, score.high), rel=1e-5), (
            name
        )


def test_another_reading_measures_anew(tmp_path, llama, maths):
    out = str(tmp_path / "ranked")
    one = rank(maths, model=llama, out=out)
    other = rank(maths, model=llama, out=out, template="chatml")
    again = rank(maths, model=llama, out=out)
    values = [each.table.places[0].scores["perplexity"].value for each in (one, other, again)]
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


# ---- models, templates, measures beside each other -----------------------------------------------------------------


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
    same = curate.standings.compare_tables(found.table, found.table, ("a", "b"))
    assert same.tau == 1 and same.reversals == 0 and same.changes == ()
    rows = pq.read_table(tmp_path / "ranked" / "ranking.parquet").to_pylist()
    assert len(rows) == 16 and {row["variant"] for row in rows} == {None, *found.others}
    assert {one.second for one in found.definitions} >= {"rsr", "bits_per_byte", "residual"}


def test_a_chat_model_gives_three_readings(tmp_path, llama):
    chat = sft.tiny(tmp_path / "chat", "llama", seed=3, chat_template=CHATML)
    data = [sft.write(tmp_path / f"d{at}.jsonl", sft.MATHS[8 * at : 8 * at + 8]) for at in range(3)]
    found = rank(*data, model=llama, chat_model=chat, out=str(tmp_path / "ranked"))
    assert len(found.readings) == 3
    one = found.readings[0].as_dict()
    assert one["base_raw"]["bits_per_byte"] != one["chat_raw"]["bits_per_byte"] != one["chat_template"]["bits_per_byte"]
    text = f"{sft.MATHS[0]['question']}\n\n{sft.MATHS[0]['answer']}"
    alone = sft.write(tmp_path / "one.jsonl", [{"text": text}])
    scored = curate.score([alone], model=llama, run=str(tmp_path / "run"), exact=True)
    single = rank(
        sft.write(tmp_path / "single.jsonl", sft.MATHS[:1]), model=llama, chat_model=chat, out=str(tmp_path / "r2")
    )
    assert single.readings[0].base_raw.value == pytest.approx(scored.bits_per_byte, rel=1e-5)
    assert "fewer than three" in single.readings[0].advice and math.isnan(single.readings[0].base_raw.low)


def test_until_separated_draws_more_where_it_may_help(tmp_path):
    """Premise: under the builtin, answers with shuffled words are told apart from others with twenty examples."""
    one = sft.write(tmp_path / "a.jsonl", sft.MATHS[:40])
    apart = sft.write(tmp_path / "c.jsonl", sft.with_shuffled_words(sft.MATHS[:40]))
    found = curate.rank_sft([one, apart], sample=20, until_separated=True, out=str(tmp_path / "apart"))
    assert [one.drawn for one in found.datasets] == [20, 20] and found.table.pairs[0].separated


@pytest.mark.parametrize(
    ("separated", "needed", "drawn"),
    [(False, 60, 10), (False, 300, 10), (False, 801, 5), (False, math.inf, 5), (False, math.nan, 10), (True, 9, 5)],
)
def test_samples_double_for_neighbours_that_may_yet_be_told_apart(tmp_path, separated, needed, drawn):
    """Premise: five examples of each were drawn, there are forty."""
    sets = [open_set(sft.write(tmp_path / f"{name}.jsonl", sft.MATHS[:40])) for name in ("a", "b")]
    found = contest.Contest(sets, rankbook.open_book(str(tmp_path / "r")), contest.Wanted(sample=5))
    found.draw_all()
    pair = standings.Pair("a", "b", separated, 0.3, (5, 5), (needed, needed))
    assert found.grow(SimpleNamespace(pairs=[pair])) == (drawn > 5)
    assert [len(found.drawn[name].examples) for name in ("a", "b")] == [drawn, drawn]
    if drawn > 5:
        assert all(found.grow(SimpleNamespace(pairs=[pair])) for _ in range(2))
        assert not found.grow(SimpleNamespace(pairs=[pair]))
        assert len(found.drawn["a"].examples) == 40


def test_copies_are_not_drawn_from_in_vain(tmp_path, llama):
    data = [sft.write(tmp_path / f"{name}.jsonl", sft.MATHS[:40]) for name in ("a", "b")]
    found = rank(*data, model=llama, sample=10, until_separated=True, out=str(tmp_path / "ranked"))
    assert [one.drawn for one in found.datasets] == [10, 10]


# ---- masks ---------------------------------------------------------------------------------------------------------


def test_show_mask_marks_what_is_scored_and_measures_nothing(tmp_path, llama, maths):
    found = curate.rank_sft([maths], model=llama, show_mask=2, template="chatml", out=str(tmp_path / "ranked"))
    assert not (tmp_path / "ranked").exists() and len(found.examples) == 2
    for one in found.examples:
        answer = next(row["answer"] for row in sft.MATHS if row["question"] in one.text)
        assert f"⟦{answer}<|im_end|>⟧" in one.text and one.text.count("⟦") == 1
    assert "tokens are scored" in found.render()


def test_a_template_with_generation_marks_is_audited(tmp_path, maths):
    marked = (
        "{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ m.content }}{{ eos_token }}"
        "{% endgeneration %}{% else %}Q:{{ m.content }}\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}A:{% endif %}"
    )
    place = sft.tiny(tmp_path / "model", chat_template=marked)
    found = curate.rank_sft([maths], model=place, show_mask=1)
    assert "own {% generation %} mask agrees on" in found.examples[0].audit and "only" not in found.examples[0].audit
    other = curate.rank_sft([maths], model=place, show_mask=1, end_of_turn=False)
    assert "1 are only its ('<|endoftext|>')" in other.examples[0].audit


# ---- what a person can get wrong -----------------------------------------------------------------------------------


def invoke(*arguments):
    found = CliRunner().invoke(app, ["rank-sft", *arguments])
    return found.exit_code, found.output


def test_an_empty_dataset_is_an_error_that_names_it(tmp_path, llama):
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(CorpusError, match="empty is empty"):
        rank(str(tmp_path / "empty.jsonl"), model=llama, out=str(tmp_path / "ranked"))


def test_one_example_has_no_interval_and_says_so(tmp_path, llama, maths):
    one = sft.write(tmp_path / "one.jsonl", sft.MATHS[20:21])
    found = rank(maths, one, model=llama, out=str(tmp_path / "ranked"))
    place = next(each for each in found.table.places if each.name == "one")
    assert math.isnan(place.scores["perplexity"].low) and (place.rank_low, place.rank_high) == (1, 2)
    assert "one: one example: nothing is known of how sure its numbers are" in found.render()
    assert found.as_dict()["datasets"][0]["scored"] in (1, 12)


def test_rows_without_anything_to_learn_are_counted_by_reason(tmp_path, llama):
    say = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello there, friend."}]
    rows = [{"messages": say}, {"messages": say[:1]}, {"messages": say[1:]}, {"messages": []}, {"messages": 3}]
    rows += [{"messages": [say[1], *say]}, {"messages": [say[0], {"role": "assistant", "content": " "}]}]
    found = rank(sft.write(tmp_path / "odd.jsonl", rows), model=llama, out=str(tmp_path / "ranked"))
    one = found.datasets[0]
    assert one.rows == 7 == one.available + sum(one.refused.values()) + sum(one.unreadable.values())
    assert one.available == 2 and sum(one.unreadable.values()) == 1 and found.exit_code == 3
    assert any("speaks first" in reason for reason in one.refused)
    assert "no example  odd" in found.render() and "unreadable  odd" in found.render()


def test_a_row_that_a_template_refuses_is_counted_with_the_templates_words(tmp_path, maths):
    strict = (
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Roles must alternate') }}{% endif %}"
        "[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}"
    )
    place = sft.tiny(tmp_path / "model", chat_template=strict)
    twice = [{"role": "user", "content": "Hi"}] * 2 + [{"role": "assistant", "content": "Hello there."}]
    good = sft.as_messages(sft.MATHS[:3])
    found = rank(sft.write(tmp_path / "d.jsonl", [*good, {"messages": twice}]), model=place, out=str(tmp_path / "r"))
    assert list(found.datasets[0].not_scored.values()) == [1]
    assert "Roles must alternate" in next(iter(found.datasets[0].not_scored))
    only = sft.write(tmp_path / "only.jsonl", [{"messages": twice}] * 2)
    with pytest.raises(ModelError, match="none of 2 examples can be scored"):
        rank(only, model=place, out=str(tmp_path / "r2"))


def test_a_template_that_drops_the_system_turn_says_so(tmp_path):
    dropping = (
        "{% for m in messages %}{% if m.role != 'system' %}"
        "[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
    )
    place = sft.tiny(tmp_path / "model", chat_template=dropping)
    rows = [
        {"messages": [{"role": "system", "content": "Be brief."}, *row["messages"]]}
        for row in sft.as_messages(sft.MATHS[:3])
    ]
    found = rank(sft.write(tmp_path / "d.jsonl", rows), model=place, out=str(tmp_path / "r"))
    assert found.datasets[0].notes == {"system turn dropped by the template": 3}
    assert "template    d 3: system turn dropped by the template" in found.render()


def test_an_example_longer_than_the_window_is_read_in_windows_and_counted(tmp_path, llama):
    long = {"question": "Say it. " * 10, "answer": "one two three four five six " * 100}
    data = sft.write(tmp_path / "long.jsonl", [*sft.MATHS[:3], long])
    found = rank(data, model=llama, out=str(tmp_path / "r"))
    assert found.datasets[0].long >= 1 and "longer than the window, read in several" in found.render()
    rows = pq.read_table(next((tmp_path / "r" / "responses").rglob("long.parquet"))).to_pylist()
    assert rows[3]["windows"] > 1 and rows[3]["tokens"] > 512  # nothing was cut off


def test_one_example_that_outweighs_its_dataset_is_named(tmp_path, llama):
    heavy = {"question": "Say it.", "answer": "one two three four five six " * 1500}
    found = rank(sft.write(tmp_path / "d.jsonl", [*sft.MATHS[:30], heavy]), model=llama, out=str(tmp_path / "r"))
    tokens = pq.read_table(next((tmp_path / "r" / "responses").rglob("d.parquet")))["tokens"].to_numpy()
    share = f"{tokens.max() / tokens.sum():.0%}".replace("%", " %")
    assert tokens.max() / tokens.sum() > 10 / 31 and f"careful     d: one example holds {share} of" in found.render()


def test_mixed_schemas_in_one_file_are_all_read(tmp_path, llama):
    rows = sft.MATHS[:4] + sft.as_messages(sft.MATHS[4:7])
    found = rank(sft.write(tmp_path / "mixed.jsonl", rows), model=llama, out=str(tmp_path / "r"))
    assert found.datasets[0].schemas == {"question": 4, "messages": 3} and found.datasets[0].schema == "question +"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--by", "ifd_ppl"], "no dataset is better by that"),
        (["--turns", "first"], "first"),
        (["--sample", "-1"], "at least one example"),
        (["--draws", "3"], "give no interval"),
        (["--show-mask", "0"], "shows nothing"),
        (["--schema", "nonsense"], "no schema has that name"),
        (["--model", "none"], "needs a base model"),
        (["--overlap", "99999"], "--overlap 99999 must be from 0"),
        (["--model", "./nowhere"], "there is no folder ./nowhere"),
        (["--template", "missing.jinja"], "missing.jinja"),
    ],
)
def test_a_mistake_is_one_line_and_a_hint(maths, tmp_path, options, said, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, text = invoke(maths, *options)
    assert code in (1, 2) and "error: " in text.lower() and said in text and "Traceback" not in text


def test_a_dataset_named_twice_and_a_folder_of_something_else_are_refused(maths, tmp_path, llama):
    with pytest.raises(UsageError, match="given twice"):
        rank(maths, maths, model=llama, out=str(tmp_path / "r"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match=r"holds something else than a ranking: thesis\.tex"):
        rank(maths, model=llama, out=str(tmp_path / "mine"))


def test_names_are_the_stems_or_what_the_user_says(maths, tmp_path, llama):
    found = rank(f"sums={maths}", model=llama, out=str(tmp_path / "r"))
    assert names(found) == ["sums"]


def test_json_is_one_object_with_the_datasets_best_first(maths, tmp_path, llama):
    other = sft.write(tmp_path / "other.jsonl", sft.MATHS[20:30])
    code, text = invoke(maths, other, "--model", llama, "--out", str(tmp_path / "r"), "--json", "--draws", "100")
    record = json.loads(text[text.index("{") :])
    assert code == 0 and [one["rank"] for one in record["datasets"]] == [1, 2]
    assert record["datasets"][0]["perplexity"] <= record["datasets"][1]["perplexity"]
    assert {"rsr", "ifd_ppl", "ifd_loss", "bits_per_byte", "first_64"} <= set(record["datasets"][0])
