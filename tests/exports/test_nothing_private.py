"""Nothing private leaves: no export, page, card, lock or cut-off has the home, the working folder or the user in it."""

import gzip
import json
import tempfile
from random import Random

import pyarrow.parquet as pq
import pytest
from helpers import sft_datasets as sft

import curate
from curate.runtime.published import hide_folder, hide_folders, hide_in_text

HOME, CLIENT, USER = "kasimirhome", "acmeclient", "qxkasimir"


def write_text(seed):
    """A text of its own words."""
    return " ".join("".join(Random(seed * 100 + word).choices("abcdefgilmnorstu", k=6)) for word in range(30))


def list_strings(path):
    """All that a file says: its bytes, unpacked, and every cell and all metadata of a table."""
    raw = path.read_bytes()
    yield raw.decode("utf-8", "replace")
    if path.suffix == ".gz":
        yield gzip.decompress(raw).decode("utf-8", "replace")
    if path.suffix == ".parquet":
        table = pq.read_table(path, partitioning=None)
        yield str(table.schema.metadata) + str(pq.read_metadata(path).metadata)
        yield str(table.to_pydict())


def find_leaks(folder, secrets):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder.is_dir() else [folder]
    assert files, f"premise: {folder} has files"
    return [
        (path.name, secret) for path in files for text in list_strings(path) for secret in secrets if secret in text
    ]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A working folder in a home, named by its user and its client, with a run of absolute paths of every kind."""
    with pytest.MonkeyPatch.context() as patch:
        top = tmp_path_factory.mktemp("private")
        work = top / HOME / CLIENT
        (work / "corpus").mkdir(parents=True)
        (top / HOME / "tmp").mkdir()
        for name, value in {"HOME": top / HOME, "USER": USER, "LOGNAME": USER, "TMPDIR": top / HOME / "tmp"}.items():
            patch.setenv(name, str(value))
        patch.setattr(tempfile, "tempdir", None)
        patch.chdir(work)
        rows = [{"text": write_text(i), "id": f"d{i}"} for i in range(40)]
        (work / "corpus" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (work / "link").symlink_to(work / "corpus")
        (work / "other").mkdir()
        (work / "other" / "b.jsonl").write_text(json.dumps(rows[3]) + "\n")
        (work / "evals").mkdir()
        item = {"question": rows[5]["text"], "answer": "of course it does"}
        (work / "evals" / "items.jsonl").write_text(json.dumps(item) + "\n")
        yield work, sft.tiny(work / "models" / "tiny"), (str(top), HOME, CLIENT, USER)


@pytest.fixture(scope="module")
def run(client):
    work, model, _ = client
    run = str(work / "run")
    curate.score([str(work / "link")], model=model, run=run, device="cpu")
    curate.decontaminate([str(work / "evals" / "items.jsonl")], run=run, report=str(work / "hits.html"))
    curate.dedup(run=run, against=[str(work / "other")])
    curate.filter(run=run, keep="0:90", by="bpb")
    curate.bucket(run=run, save_cutoffs=str(work / "cuts.json"))
    curate.order(run=run)
    curate.report(run=run, out=str(work / "page.html"), tokens_of=1)
    return run


def test_the_files_of_a_run_that_are_shown_or_shared_have_base_names(client, run):
    work, _, secrets = client
    for name in ("hits.html", "cuts.json", "page.html", "page.json", "run/evals.lock", "run/cutoffs.json"):
        assert find_leaks(work / name, secrets) == [], name
    assert json.loads((work / "page.json").read_text())["model"] == "tiny"
    assert json.loads((work / "cuts.json").read_text())["reference"]["model"] == "tiny"
    assert "items.jsonl" in (work / "run/evals.lock").read_text()


@pytest.mark.parametrize(
    "options",
    [
        {"format": "hf"}, {"format": "parquet"}, {"format": "jsonl"}, {"format": "hf", "rejected": True},
        {"format": "hf", "by_bucket": True}, {"format": "parquet", "no_order": True, "no_buckets": True},
        {"format": "tokens"},
    ],
    ids=str,
)  # fmt: skip
def test_no_file_of_an_export_says_who_made_it_where(client, run, options, tmp_path):
    _, model, secrets = client
    out = tmp_path / "export"
    if options["format"] == "tokens":
        options = {**options, "tokenizer": model}
    curate.export(str(out), run=run, **options)
    assert find_leaks(out, secrets) == []
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["made_from"]["scores"]["model"]["model"] == "tiny"
    assert manifest["made_from"]["scores"]["model"]["weights"], "the model is known by its fingerprint"


def test_the_three_exports_of_a_probe_and_their_description_have_base_names(client, run, tmp_path):
    curate.filter(run=run, probe=str(tmp_path / "probe"), by="bpb")
    assert find_leaks(tmp_path / "probe", client[2]) == []


def test_cut_offs_apply_to_the_scores_of_a_model_that_lies_elsewhere(client, run, tmp_path):
    """Models are compared by their fingerprints, also with cut-offs of earlier versions, which have the path."""
    work, model, _ = client
    cuts = json.loads((work / "cuts.json").read_text())
    cuts["reference"]["model"] = "/another/machine/models/tiny"
    (tmp_path / "cuts.json").write_text(json.dumps(cuts))
    curate.score([str(work / "corpus")], model=model, run=str(tmp_path / "run"), device="cpu")
    found = curate.bucket(run=str(tmp_path / "run"), cutoffs=str(tmp_path / "cuts.json"))
    assert not [note for note in found.warnings if "another model" in note]


def test_a_ranking_and_a_trained_model_have_base_names(client):
    work, model, secrets = client
    data = [sft.write(work / "maths.jsonl", sft.MATHS[:12]), sft.write(work / "more.jsonl", sft.MATHS[12:24])]
    curate.rank_sft([str(path) for path in data], model=model, out=str(work / "ranked"), draws=100, device="cpu")
    assert find_leaks(work / "ranked", secrets) == []
    curate.train_reference(
        [str(work / "corpus")], str(work / "trained"), tokens=500, vocabulary=300, context=64, width=32, layers=1,
        heads=2, batch_tokens=256, compute="float32", held_out=str(work / "other"),
    )  # fmt: skip
    assert find_leaks(work / "trained", secrets) == []


def test_paths_become_base_names_and_names_of_the_hub_stay(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "model").mkdir()
    known = {
        "/srv/acme/model/": "model", "~/acme/data.jsonl": "data.jsonl", "./acme/x.csv": "x.csv", "acme/model": "model",
        "org/name": "org/name", "org/name:train": "org/name:train", "builtin": "builtin", "a.jsonl": "a.jsonl",
        "https://me:secret@host/a/b.jsonl?sig=1": "https://host/a/b.jsonl", "s3://bucket/key": "s3://bucket/key",
        "~": "~",
    }  # fmt: skip
    assert {path: hide_folder(path) for path in known} == known
    assert hide_in_text(f"{tmp_path}/acme/run: stale ({tmp_path}/acme)") == "run: stale (acme)"
    assert hide_folders({"a": [f"{tmp_path}/b c", 1, None], "where": "x / y > 1"}) == {
        "a": ["b c", 1, None],
        "where": "x / y > 1",
    }
