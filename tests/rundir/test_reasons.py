"""One reason for each document: the hits and the duplicates reject before the criteria, nothing is lost."""

from helpers.runs import (
    decisions_of,
    make_run,
    numbered_run,
    ppl,
    reasons_of,
    widest,
    write_duplicates,
    write_hits,
    write_lines,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.verbs.filter import filter as choose


def test_a_document_is_rejected_for_a_hit_to_be_dropped_and_for_a_copy_that_is_kept_elsewhere(tmp_path):
    run = numbered_run(tmp_path, ppl(*[10.0] * 6))
    write_hits(run, [{"row": 1}])
    write_duplicates(run, [{0: "keeper", 2: "near", 3: "exact"}])
    found = choose(str(run.path), max_ppl=50)
    assert reasons_of(run) == [None, "contaminated: gsm8k", "near duplicate", "exact duplicate", None, None]
    counted = {reason: share.documents for reason, share in found.rejected.items()}
    assert counted == {"contaminated: gsm8k": 1, "exact duplicate": 1, "near duplicate": 1}
    assert (found.read.documents, found.scored.documents, found.kept.documents) == (6, 3, 3)
    shown = found.render()
    assert all(reason in shown for reason in counted)
    assert widest(shown) <= 100


def test_the_first_that_rejects_is_the_reason(tmp_path):
    """Unscored, then contaminated, then a duplicate, then the criteria, whatever else is true of a document."""
    numbers = [{"status": "too_long"}, *ppl(90.0, 90.0, 90.0, 1.0)]
    run = numbered_run(tmp_path, numbers)
    write_hits(run, [{"row": row} for row in (0, 1)])
    write_duplicates(run, [{0: "near", 1: "exact", 2: "near", 3: "keeper"}])
    choose(str(run.path), max_ppl=50, where="id = 'd4'", keep="low")
    assert reasons_of(run) == ["unscored: too_long", "contaminated: gsm8k", "near duplicate", "perplexity > 50", None]


def test_an_unreadable_row_stays_unreadable_whatever_the_tables_say(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": "one"}, b"{broken"])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    write_hits(run, [{"row": 1}])
    found = choose(str(run.path), min_tokens=1)
    assert reasons_of(run) == [None, "unreadable"]
    assert (found.unreadable, dict(found.rejected)) == (1, {})


def test_the_reason_names_the_set_of_the_strongest_hit_and_of_equals_the_first_by_name(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0, 10.0, 10.0, 10.0))
    strong, weak = {"eval_set": "mbpp", "bits": 90.0}, {"eval_set": "gsm8k", "bits": 40.0}
    equals = [{"row": 1, "eval_set": name, "bits": 50.0} for name in ("zebra", "apple")]
    louder = {"row": 2, "eval_set": "loud", "bits": 99.0, "verdict": "review", "action": "none"}
    write_hits(run, [{"row": 0, **weak}, {"row": 0, **strong}, *equals, {"row": 2, **weak}, louder])
    choose(str(run.path), max_ppl=50)
    assert reasons_of(run) == ["contaminated: mbpp", "contaminated: apple", "contaminated: gsm8k", None]


def test_only_the_action_drop_rejects(tmp_path):
    run = numbered_run(tmp_path, ppl(*[10.0] * 4))
    actions = [("contaminated", "mark"), ("contaminated", "cut"), ("review", "none"), ("contaminated", "drop")]
    write_hits(run, [{"row": row, "verdict": v, "action": a} for row, (v, a) in enumerate(actions)])
    choose(str(run.path), max_ppl=50)
    assert reasons_of(run) == [None, None, None, "contaminated: gsm8k"]


STATUSES = st.sampled_from(["ok", "ok", "ok", "too_long"])
HITS = st.lists(
    st.fixed_dictionaries(
        {
            "eval_set": st.sampled_from(["a", "b, c", "d'e"]),
            "bits": st.sampled_from([30.0, 50.0, 80.0]),
            "action": st.sampled_from(["drop", "mark", "cut", "none"]),
        }
    ),
    max_size=3,
)
DOCUMENT = st.tuples(STATUSES, st.sampled_from([10.0, 60.0, None]), HITS, st.sampled_from(["", "near", "exact"]))


def expected_reason(status, perplexity, hits, kind):
    """The rules once more, on one document."""
    dropped = sorted((-hit["bits"], hit["eval_set"]) for hit in hits if hit["action"] == "drop")
    if status != "ok":
        return f"unscored: {status}"
    if dropped:
        return f"contaminated: {dropped[0][1]}"
    if kind:
        return f"{kind} duplicate"
    if perplexity is None:
        return "perplexity is null"
    return "perplexity > 50" if perplexity > 50 else None


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=st.lists(DOCUMENT, min_size=1, max_size=30))
def test_whatever_the_tables_say_nothing_is_lost_and_the_order_is_that_of_the_scores(tmp_path_factory, documents):
    folder = tmp_path_factory.mktemp("run")
    numbers = [{"status": status, "perplexity": perplexity} for status, perplexity, _, _ in documents]
    run = numbered_run(folder, [*numbers, {"perplexity": 1.0}], slice_bytes=200)
    for row, (_, _, hits, _) in enumerate(documents):
        for hit in hits:
            hit.update(row=row, verdict="review" if hit["action"] == "none" else "contaminated")
    write_hits(run, [hit for _, _, hits, _ in documents for hit in hits])
    copies = {row: kind for row, (_, _, _, kind) in enumerate(documents) if kind}
    write_duplicates(run, [{**copies, len(documents): "keeper"}])
    found = choose(str(run.path), max_ppl=50)
    expected = [*(expected_reason(*document) for document in documents), None]
    assert list(decisions_of(run)) == [("a.jsonl", row) for row in range(len(expected))]
    assert reasons_of(run) == expected
    assert found.read.documents == found.kept.documents + sum(one.documents for one in found.rejected.values())


def test_the_order_is_that_of_the_scores_though_a_join_has_none(tmp_path):
    """Several files, many slices, and enough documents for several threads."""
    paths = [tmp_path / "c" / name for name in ("a.jsonl", "m.jsonl", "z.jsonl")]
    for path in paths:
        write_lines(path, [{"text": f"{path.name} {row}"} for row in range(3000)])
    run = make_run(tmp_path / "run", paths, slice_bytes=20_000)
    write_hits(run, [{"file": path.name, "row": row} for path in paths for row in range(0, 3000, 3)])
    choose(str(run.path), min_tokens=1)
    expected = [(path.name, row) for path in paths for row in range(3000)]
    assert list(decisions_of(run)) == expected
    dropped = [key for key, reason in decisions_of(run).items() if reason]
    assert dropped == [(name, row) for name, row in expected if row % 3 == 0]
