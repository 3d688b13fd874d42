"""A run of a small corpus, and all that a folder holds."""

import json

import curate

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda"]


def write_corpus(folder, count=6, name="a.jsonl"):
    """Documents of different words."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [" ".join(f"{word}{i}" for word in WORDS) for i in range(count)]
    (folder / name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return folder


def list_files(folder):
    """Every file of a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def start(tmp_path):
    """A run of a scored corpus, and the path of an eval set."""
    corpus = write_corpus(tmp_path / "corpus")
    curate.score([str(corpus)], model="none", run=str(tmp_path / "p"))
    return tmp_path / "p", corpus, str(write_evals(tmp_path / "e") / "evals.jsonl")


def write_evals(folder):
    """A folder with an eval set of one item that no document has."""
    folder.mkdir()
    item = {"question": " ".join(f"{word}{99}" for word in WORDS), "answer": "yes"}
    (folder / "evals.jsonl").write_text(json.dumps(item) + "\n")
    return folder
