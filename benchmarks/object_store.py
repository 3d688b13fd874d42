"""What a run costs in an object store beside the same run in a folder: CPU and wall seconds, requests, bytes.

    python benchmarks/object_store.py CORPUS                 # some five minutes for 20,000 documents
    python benchmarks/object_store.py CORPUS --latency 0.03   # each request takes 30 ms longer, as to a region

The store is moto's S3 server in a process of its own on this machine. The same commands are run in turn on a folder and
on the store, then some of them from another host, which has nothing of the tables. In the end the files of both runs
are compared. Wall seconds of the store are those of a server in Python: requests and CPU of the command say more.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from process_tree import measure_command

EVALS = Path(__file__).parent.parent / "recipes" / "sample-evals"
SERVER = """
import json, logging, sys, threading, time
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

port, latency = int(sys.argv[1]), float(sys.argv[2])
app, counts = DomainDispatcherApplication(create_backend_app), {}

def serve(environ, answer):
    if environ["PATH_INFO"] == "/counted":
        body = json.dumps(counts).encode()
        counts.clear()
        answer("200 OK", [("Content-Type", "application/json")])
        return [body]
    name = environ["REQUEST_METHOD"]
    counts[name] = counts.get(name, 0) + 1
    counts["sent"] = counts.get("sent", 0) + int(environ.get("CONTENT_LENGTH") or 0)
    time.sleep(latency)
    return app(environ, answer)

class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_request(self, *_):
        pass

make_server("127.0.0.1", port, serve, threaded=True, request_handler=Quiet).serve_forever()
"""


def list_steps(corpus: str, run: str, out: str) -> dict[str, list[str]]:
    """Return the commands of a run, by what they are called in the table."""
    of_run = ["--run", run]
    return {
        "score --model none": ["score", corpus, "--model", "none", "--carry", "domain", *of_run],
        "decontaminate": ["decontaminate", str(EVALS), *of_run],
        "dedup": ["dedup", *of_run],
        "filter": ["filter", "--min-zlib", "0.3", *of_run],
        "order": ["order", "--by", "bytes", *of_run],
        "export": ["export", out, "--format", "parquet", *of_run],
        "status": ["status", *of_run],
    }


def count_requests(port: int) -> dict[str, int]:
    """Return the requests by method since the last question, and the bytes that were sent."""
    import json

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/counted") as answer:
        return dict(json.loads(answer.read()))


def measure(words: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Return the wall and CPU seconds of a command."""
    began = time.monotonic()
    cost = measure_command([sys.executable, "-m", "curate", *words], env, allowed=(0, 3))
    return time.monotonic() - began, cost.cpu_seconds


def main() -> None:
    """Run both sides and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("corpus")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that each request takes longer")
    parser.add_argument("--port", type=int, default=5705)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([sys.executable, "-c", SERVER, str(options.port), str(options.latency)])
        try:
            run_sides(options.corpus, Path(folder), options.port)
        finally:
            server.terminate()
            server.wait()


def run_sides(corpus: str, folder: Path, port: int) -> None:
    """Print a row for each command."""
    env = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1", "AWS_ACCESS_KEY_ID": "x"}
    env |= {"AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}
    env |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "CURATE_MIRRORS": str(folder / "mirrors")}
    env |= {"HF_HUB_OFFLINE": "1", "AWS_EC2_METADATA_DISABLED": "true"}
    os.environ |= env
    import fsspec

    store = fsspec.filesystem("s3")
    for _ in range(100):
        try:
            store.mkdir("bench")
            break
        except Exception:
            time.sleep(0.1)
    count_requests(port)
    local = list_steps(corpus, str(folder / "run"), str(folder / "out"))
    stored = list_steps(corpus, "s3://bench/run", "s3://bench/out")
    print(
        "| | folder: s | CPU s | store: s | CPU s | CPU ratio | requests | MB sent |\n|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    for name, words in local.items():
        show(name, measure(words, env), measure(stored[name], env), count_requests(port))
    compare(store, folder)
    env["CURATE_MIRRORS"] = str(folder / "elsewhere")
    for name in ("score --model none", "filter", "status"):
        show(f"{name}, from another host", measure(local[name], env), measure(stored[name], env), count_requests(port))


def show(name: str, one: tuple[float, float], other: tuple[float, float], counts: dict[str, int]) -> None:
    """Print a row."""
    sent = counts.pop("sent", 0) / 1e6
    methods = ", ".join(f"{count} {method}" for method, count in sorted(counts.items()))
    times = f"{one[0]:.1f} | {one[1]:.1f} | {other[0]:.1f} | {other[1]:.1f} | {other[1] / one[1]:.2f}"
    print(f"| {name} | {times} | {methods} | {sent:.1f} |", flush=True)


def compare(store: object, folder: Path) -> None:
    """Raise SystemExit where the store has other files than the folder."""
    for name in ("run", "out"):
        store.get(f"bench/{name}/", str(folder / f"{name}-down"), recursive=True)  # type: ignore[attr-defined]
        sides = [read_below(folder / each) for each in (name, f"{name}-down")]
        if sides[0] != sides[1]:
            differing = [key for key in {**sides[0], **sides[1]} if sides[0].get(key) != sides[1].get(key)]
            raise SystemExit(f"{name} differs: {sorted(differing)}")


def read_below(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder but for claims and the order of the mark."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".claims" not in path.parts and path.name != ".curate-run.jsonl"
    }


if __name__ == "__main__":
    main()
