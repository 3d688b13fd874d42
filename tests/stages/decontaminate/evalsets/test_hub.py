"""Eval sets of the Hub: loaded at one commit, pinned by a lock, and refusals told with what mends them."""

import pytest
from helpers.evalsets import COMMIT, GSM8K, OTHER

from curate.errors import CorpusError, StorageError
from curate.stages.decontaminate.evalsets import open_evals, parse_fields, write_lock
from curate.stages.decontaminate.evalsets.hub import pin_url, unpin_url
from curate.stages.decontaminate.evalsets.known import read_known


@pytest.mark.parametrize("name", ["gsm8k", "GSM8K"])
def test_a_known_set_is_loaded_at_the_commit_that_the_hub_has(hub, name):
    hub.rows["openai/gsm8k@main:test"] = GSM8K
    (found,) = open_evals([name])
    assert hub.asked == [("openai/gsm8k", "main", "test", COMMIT)]
    assert (found.name, found.source, found.revision) == ("gsm8k", "openai/gsm8k@main:test", COMMIT)
    assert [item.answer for item in found.items] == ["#### 4", "#### 2"]
    assert found.items[1].file == "openai/gsm8k@main:test" and found.items[1].row == 1


def test_a_known_set_of_several_parts_has_the_rows_of_all(hub):
    known = read_known()["math"]
    for number, part in enumerate(known.parts):
        hub.rows[part] = [{"problem": f"P{number}", "solution": "S", "level": "1", "type": "t"}]
    (found,) = open_evals(["math"])
    assert len(found.items) == len(hub.asked) == 7 and found.items[0].id == "algebra/0"
    assert found.revision == COMMIT and found.clashing_ids == 0


def test_a_known_set_of_several_datasets_keeps_a_commit_for_each(hub, tmp_path):
    for number, part in enumerate(read_known()["agieval"].parts):
        hub.rows[part] = [{"query": f"Q{number}", "choices": ["(A)w", "(B)x"], "gold": [1]}]
    (found,) = open_evals(["agieval"])
    assert found.items[0].id == "agieval-aqua-rat/0" and found.items[0].answer == "x"
    assert found.revision == " ".join([COMMIT] * 10)
    write_lock(tmp_path / "evals.lock", [found])
    hub.asked.clear()
    hub.sha = OTHER
    (again,) = open_evals(["agieval"], lock=tmp_path / "evals.lock")
    assert {asked[3] for asked in hub.asked} == {COMMIT} and again == found


def test_a_split_of_the_hub_is_named_as_the_corpus_names_it(hub):
    hub.rows["me/sums:test"] = GSM8K
    (found,) = open_evals(["me/sums:test"], parse_fields("me/sums:test:answer="))
    assert found.name == found.source == "me/sums:test" and found.revision == COMMIT
    assert found.items[0].answer == ""


def test_the_packaged_columns_give_way_to_the_users(hub):
    hub.rows["openai/gsm8k@main:test"] = [{**row, "hint": "add"} for row in GSM8K]
    (found,) = open_evals(["gsm8k"], parse_fields("gsm8k:answer=hint"))
    assert found.items[0].answer == "add" and found.items[0].questions == ("2 + 2?",)


def test_a_packaged_column_that_is_gone_is_an_error(hub):
    hub.rows["openai/gsm8k@main:test"] = [{"problem": "Q", "answer": "A"}]
    with pytest.raises(CorpusError, match='has no column "question"'):
        open_evals(["gsm8k"])


def test_the_commit_that_was_loaded_is_told_where_the_hub_cannot_be_asked(hub):
    hub.rows["openai/gsm8k@main:test"] = GSM8K
    hub.sha = None
    (found,) = open_evals(["gsm8k"])
    assert hub.asked[-1][3] is None and found.revision is None
    hub.checksums = {f"hf://datasets/openai/gsm8k@{OTHER}/main/test-00000-of-00001.parquet": {"num_bytes": 1}}
    (found,) = open_evals(["gsm8k"])
    assert found.revision == OTHER


def test_a_pinned_commit_is_loaded_or_nothing(hub, tmp_path):
    hub.rows["openai/gsm8k@main:test"] = GSM8K
    write_lock(tmp_path / "evals.lock", open_evals(["gsm8k"]))
    hub.sha = OTHER
    (found,) = open_evals(["gsm8k"], lock=tmp_path / "evals.lock")
    assert hub.asked[-1][3] == found.revision == COMMIT
    assert open_evals(["gsm8k"], lock=tmp_path / "no.lock")[0].revision == OTHER
    hub.checksums = {f"hf://datasets/openai/gsm8k@{OTHER}/main/test-00000-of-00001.parquet": {"num_bytes": 1}}
    with pytest.raises(CorpusError, match=f"{OTHER} was loaded instead of {COMMIT}"):
        open_evals(["gsm8k"], lock=tmp_path / "evals.lock")


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        (FileNotFoundError("no dataset 'openai/gsm8k'"), CorpusError, "OWNER/NAME:SPLIT"),
        (FileNotFoundError("'x' is a gated dataset"), CorpusError, "HF_TOKEN"),
        (RuntimeError("Dataset scripts are no longer supported, but found x.py"), CorpusError, "name those"),
        (ConnectionError("out of reach"), StorageError, "can be reached"),
    ],
)
def test_what_the_hub_refuses_is_told_with_what_mends_it(hub, error, kind, hint):
    hub.error = error
    with pytest.raises(kind) as caught:
        open_evals(["gsm8k"])
    assert hint in caught.value.hint


def test_a_url_of_the_hub_is_pinned_to_a_commit(hub):
    url = "hf://datasets/openai/gsm8k/main/*.parquet"
    at = f"hf://datasets/openai/gsm8k@{COMMIT}/main/*.parquet"
    assert pin_url(url, None) == (at, COMMIT) and unpin_url(at) == url
    assert pin_url(url, OTHER) == (at.replace(COMMIT, OTHER), OTHER)
    assert pin_url(at, OTHER) == (at, COMMIT)  # the user's own commit wins
    hub.sha = None
    assert pin_url(url, None) == (url, None)
    assert pin_url("s3://bucket/file.jsonl", OTHER) == ("s3://bucket/file.jsonl", None)
