"""``evals.lock`` tells every difference from the eval sets of last time, and nothing where there is none."""

from dataclasses import asdict

import pytest
from helpers.evalsets import COMMIT, GSM8K, OTHER, read_rows

from curate.errors import CorpusError
from curate.stages.decontaminate.evalsets import check_lock, hash_item, open_evals, read_lock, write_lock


def test_a_lock_says_nothing_of_sets_that_are_the_same(tmp_path):
    rows = [{"id": f"n{row}", "question": f"Q{row} é"} for row in range(3)]
    found = read_rows(tmp_path, rows)
    write_lock(tmp_path / "evals.lock", [found])
    first = (tmp_path / "evals.lock").read_bytes()
    lock = read_lock(tmp_path / "evals.lock")
    assert check_lock(lock, [found]) == []
    assert asdict(lock["set"]) == {
        "name": "set",
        "source": "set.jsonl",  # and not the folder, which may have the name of a client
        "revision": None,
        "fields": {"question": ("question",), "id": ("id",)},
        "hashes": {item.id: hash_item(item) for item in found.items},
    }
    write_lock(tmp_path / "evals.lock", [found])
    assert (tmp_path / "evals.lock").read_bytes() == first
    assert sum(b'"n1"' in line for line in first.splitlines()) == 1  # one line for each item


def test_a_lock_tells_every_kind_of_difference_in_words(tmp_path):
    rows = [{"id": f"n{row}", "question": f"Q{row}", "answer": "yes"} for row in range(4)]
    old = [read_rows(tmp_path, rows), read_rows(tmp_path, rows, name="gone.jsonl")]
    write_lock(tmp_path / "evals.lock", old)
    lock = read_lock(tmp_path / "evals.lock")
    changed = [{**rows[0], "question": "new"}, rows[1], rows[3], {"id": "n9", "question": "Q9"}]
    changed = [{**row, "solution": row.get("answer")} for row in changed]
    new = [read_rows(tmp_path, changed, "answer=solution"), read_rows(tmp_path, rows, name="more.jsonl")]
    assert check_lock(lock, new) == [
        "more: not in the lock",
        "gone: in the lock, and not among these eval sets",
        'set: answer is taken from "solution" instead of "answer"',
        "set: 1 item added (n9)",
        "set: 1 item removed (n2)",
        "set: 1 item changed (n0)",
    ]
    assert check_lock({"set": lock["set"]}, [read_rows(tmp_path, rows[::-1])]) == [
        "set: the same items in another order"
    ]
    many = [{"id": f"n{row}", "question": "other", "context": str(row), "answer": "yes"} for row in range(7)]
    assert check_lock({"set": lock["set"]}, [read_rows(tmp_path, many)]) == [
        'set: context is taken from "context" instead of nothing',
        "set: 3 items added (n4, n5, n6)",
        "set: 4 items changed (n0, n1, n2, n3)",
    ]


def test_a_lock_tells_another_commit(hub, tmp_path):
    hub.rows["openai/gsm8k@main:test"] = GSM8K
    write_lock(tmp_path / "evals.lock", open_evals(["gsm8k"]))
    hub.sha = OTHER
    assert check_lock(read_lock(tmp_path / "evals.lock"), open_evals(["gsm8k"])) == [
        f"gsm8k: revision {COMMIT} became {OTHER}"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist"),
        ("not json", "is not a lock"),
        ("[]", "is not a lock"),
        ('{"version": 1, "sets": {"a": {"hashes": {}}}}', "is not a lock"),
        ('{"version": 2, "sets": {}}', "version 2"),
        (
            '{"version": 1, "sets": {"a": {"source": "s", "revision": null, "fields": {}, "items": 2, "hashes": {}}}}',
            "0 hashes for 2 items",
        ),
    ],
)
def test_a_lock_that_cannot_be_read_is_an_error(tmp_path, text, message):
    path = tmp_path / "evals.lock"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CorpusError, match=message):
        read_lock(path)
