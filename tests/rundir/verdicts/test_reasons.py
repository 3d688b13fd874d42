"""One reason for each document: the hits and the duplicates reject before the criteria, nothing is lost."""

import ast
import re

import duckdb
import pytest
from helpers.paths import ROOT
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

from curate.errors import TableError
from curate.rundir.verdicts import reasons
from curate.verbs.filter import filter as choose

SPELLINGS = re.compile(r"unscored|contaminated:|\b(exact|near) duplicate|^ duplicate|' duplicate")
"""What only ``verdicts/reasons.py`` may spell: ``^ duplicate`` is what f"{kind} duplicate" has after the kind."""
WORDS = {reasons.UNREADABLE, reasons.CONTAMINATED}
COUNTERS = {
    "corpus/types.py": "declares the statuses",
    "stages/decontaminate/evalsets/items.py": "rows of an eval set, of which nothing is rejected",
    "stages/decontaminate/hits_table.py": "the names of the counts in its record",
    "stages/decontaminate/matches.py": "declares the verdicts",
    "stages/decontaminate/report/wording.py": "its lines count verdicts; with --action mark nothing is rejected",
    "stages/decontaminate/scan.py": "the names of the counts in its record",
    "sft/ranking/summary.py": "rows of a dataset that is ranked, of which nothing is rejected",
    "stages/dedup/sketches.py": "the names of the counts in its parts",
}
"""Files in which a word that is also a reason is data (a status, a verdict, the name of a count), and which data."""


def list_texts(path):
    """The literals of a module, docstrings left out, each with the nodes that it lies in, the innermost last."""
    texts = []

    def visit(node, above):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append((node, above))
        for child in ast.iter_child_nodes(node):
            visit(child, [*above, node])

    visit(ast.parse(path.read_text()), [])
    return texts


def is_data(node, above):
    """Whether a word is a key, or stands where a status or a verdict does: not the reason of a document."""
    parent = above[-1]
    if isinstance(parent, ast.Dict):
        return node in parent.keys
    if isinstance(parent, ast.Subscript) or (isinstance(parent, ast.Compare) and parent.left is node):
        return True
    if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute) and parent.func.attr == "get":
        return True
    named = [ast.unparse(one) for one in above if isinstance(one, (ast.Compare, ast.Call))]
    return any("status" in text or "verdict" in text for text in named)


SOURCES = [
    path for path in sorted((ROOT / "curate").rglob("*.py")) if path != ROOT / "curate/rundir/verdicts/reasons.py"
]


def test_no_other_file_spells_a_reason():
    """So that another spelling changes one file. What looks like one elsewhere is data, and stays."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value!r}"
        for path in SOURCES
        for node, above in list_texts(path)
        if SPELLINGS.search(node.value)
        or (
            node.value.strip(" :-") in WORDS
            and str(path.relative_to(ROOT / "curate")) not in COUNTERS
            and not is_data(node, above)
        )
    ]
    assert found == []


def test_no_template_spells_a_reason():
    for path in (ROOT / "curate").rglob("*.j2"):
        assert re.findall(r"unscored|contaminated: |(?:exact|near) duplicate", path.read_text()) == [], path


@pytest.mark.parametrize("path", COUNTERS)
def test_the_files_where_the_words_are_data_have_them(path):
    assert {node.value.strip() for node, _ in list_texts(ROOT / "curate" / path)} & WORDS


STATUS_TO_REASON = {
    "ok": None,
    "unreadable": "unreadable",
    "empty": "unscored: empty",
    "too_long": "unscored: too_long",
    "": "unscored: ",
    None: "unscored: no status",
}


@pytest.mark.parametrize(("status", "reason"), STATUS_TO_REASON.items())
def test_sql_and_python_give_a_status_one_reason_whatever_the_tables_say(status, reason):
    assert reasons.status_reason(status) == reason
    query = f"SELECT {reasons.status_reason_sql()} FROM (SELECT ?::VARCHAR AS status, ?::VARCHAR AS rejection)"
    assert duckdb.execute(query, [status, None]).fetchall()[0][0] == reason
    assert duckdb.execute(query, [status, "near duplicate"]).fetchall()[0][0] == (reason or "near duplicate")


@pytest.mark.parametrize(
    ("eval_set", "variant", "kind", "reason"),
    [
        (None, None, None, None),
        ("gsm8k", None, None, "contaminated: gsm8k"),
        (None, "svamp", None, "variant: svamp"),
        (None, None, "near", "near duplicate"),
        ("gsm8k", "svamp", "exact", "contaminated: gsm8k"),
        (None, "svamp", "exact", "variant: svamp"),
    ],
)
def test_a_document_that_both_tables_reject_is_contaminated(eval_set, variant, kind, reason):
    columns = "(SELECT ?::VARCHAR AS eval_set, ?::VARCHAR AS variant, ?::VARCHAR AS kind)"
    query = f"SELECT {reasons.rejection_sql('eval_set', 'variant', 'kind')} FROM {columns}"
    assert duckdb.execute(query, [eval_set, variant, kind]).fetchall()[0][0] == reason
    if [eval_set, variant, kind].count(None) == 2:
        made = (
            reasons.duplicate_reason(kind)
            if kind
            else reasons.variant_reason(variant)
            if variant
            else reasons.contaminated_reason(eval_set)
        )
        assert reasons.precedes_criteria(made)
        assert made == reason


def test_reasons_are_grouped_contaminated_first_then_the_duplicates_then_the_others_as_they_come():
    rejected = {
        "where is false": 7, "near duplicate": 5, "contaminated: a": 1, "unscored: empty": 2, "contaminated: c": 3,
        "exact duplicate": 4, "contaminated: b": 3,
    }  # fmt: skip
    lines = reasons.group_reasons(rejected)
    assert [(line.label, line.documents) for line in lines] == [
        ("contaminated", 7), ("exact duplicates", 4), ("near duplicates", 5), ("where is false", 7),
        ("unscored: empty", 2),
    ]  # fmt: skip
    assert list(lines[0].sets.items()) == [("b", 3), ("c", 3), ("a", 1)] and not any(line.sets for line in lines[1:])
    assert [line.is_of_duplicates for line in lines] == [False, True, True, False, False]
    assert sorted(reason for line in lines for reason in line.reasons) == sorted(rejected)
    assert all(reasons.label_reason(reason) == line.label for line in lines for reason in line.reasons)
    assert reasons.group_reasons({}) == []


def test_the_reasons_before_the_criteria_are_told_from_those_of_criteria():
    before = ["unreadable", "unscored: empty", "contaminated: a", "exact duplicate", "near duplicate"]
    criteria = ["perplexity > 60", "unreadable > 1", "contaminated is null", "where is false", "duplicate < 1"]
    assert [reasons.precedes_criteria(reason) for reason in before + criteria] == [True] * 5 + [False] * 5
    assert [reasons.is_unscored(reason) for reason in before] == [False, True, False, False, False]


def test_a_lost_document_is_an_error_with_the_stage_and_the_counts():
    reasons.check_documents_add_up("filter", 6, 3, 2, 1)
    for read in (5, 7):
        with pytest.raises(TableError, match=rf"filter: {read} documents read, but 3 kept \+ 2 rejected \+ 1 unread"):
            reasons.check_documents_add_up("filter", read, 3, 2, 1)


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
