"""``curate filter --show``: the nearest documents on both sides of each boundary."""

import json

from helpers.domain_runs import run_of
from helpers.runs import make_run, widest, write_lines

from curate.verbs.filter import filter as choose


def test_show_gives_the_nearest_documents_on_both_sides_of_a_bound(tmp_path):
    run = run_of(tmp_path, [(float(n), "web", 1) for n in range(40)])
    (bound,) = choose(str(run.path), max_ppl=19.5, show=True).boundaries
    assert [near.row for near in bound.kept] == list(range(19, 9, -1))
    assert [near.row for near in bound.rejected] == list(range(20, 30))
    assert bound.kept[0].text == "document 19 word" and bound.kept[0].id == "d19"


def test_show_gives_the_ends_of_a_band_in_each_group(tmp_path):
    run = run_of(tmp_path, [(float(n), "web" if n % 2 else "code", 1) for n in range(40)])
    found = choose(str(run.path), keep="middle", rate=0.5, within="domain", show=True)
    assert [(one.group, one.column) for one in found.boundaries].count(("web", "perplexity")) == 2
    for one in found.boundaries:
        web = one.group == "web"
        assert {near.row % 2 for near in (*one.kept, *one.rejected)} == {int(web)}
        assert all("percentile" in one.reason for one in found.boundaries)
    shown = found.render()
    assert "in web: perplexity below percentile 25 of its domain" in shown
    assert widest(shown) <= 100


def test_a_draw_has_no_boundary_and_says_so(tmp_path):
    run = run_of(tmp_path, [(float(n), "web", 1) for n in range(1, 9)])
    found = choose(str(run.path), keep="low", rate=0.5, temperature=1.0, show=True)
    assert found.boundaries == () and "no boundary to show" in found.render()
    assert "no boundary to show" not in choose(str(run.path), max_ppl=5).render()


def test_a_text_beside_a_boundary_cannot_command_the_terminal(tmp_path):
    write_lines(tmp_path / "corpus" / "a.jsonl", [{"text": f"\x1b[2J evil {n}\n\n" + "x" * 500} for n in range(2)])
    run = make_run(tmp_path / "run", [tmp_path / "corpus"], lambda text: {"perplexity": 1.0 + ("1\n" in text)})
    shown = choose(str(run.path), max_ppl=1.5, show=True).render()
    assert "\x1b" not in shown and "evil" in shown and widest(shown) <= 100


def test_the_selection_is_json(tmp_path):
    run = run_of(tmp_path, [(1.0, "web", 1), (9.0, "code", 2)])
    found = json.loads(json.dumps(choose(str(run.path), max_ppl=5, show=True).as_dict()))
    assert found["ledger"][0]["name"] == "code" and found["boundaries"][0]["kept"][0]["file"] == "a.jsonl"
    assert found["parameters"] == {"max_ppl": 5}
