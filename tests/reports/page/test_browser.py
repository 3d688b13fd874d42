"""The report in a real browser: what strangers wrote is text, runs nothing and loads nothing."""

import itertools
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from helpers.browser import assert_harmless, hostile, needs_browser, open_page
from helpers.runs import decisions_of, make_run, write_buckets, write_hits, write_lines, write_order

from curate.verbs.filter import filter as choose
from curate.verbs.report import report

NAMES = ("text", "id", "domain", "set", "item", "matched", "eval", "bucket", "where")


@pytest.fixture
def beacon():
    """A server on localhost that remembers what it was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.asked = asked
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def make_page(folder, port):
    """A run that is hostile wherever text can come from: texts, ids, domains, files, eval items, SQL, run folder."""
    rows = [
        {
            "id": f"{n}{hostile(port, 'id')}",
            "text": f"document {n} " + hostile(port, "text"),
            "domain": f"{n % 3}{hostile(port, 'domain')}",
        }
        for n in range(12)
    ]
    name = "<img src=x onerror=document.title='owned'>{{ 7*7 }}.jsonl"
    write_lines(folder / "c" / name, rows)
    numbers = [{"perplexity": 10.0 * (n + 1), "tokens": n + 3} for n in range(12)]
    run = make_run(
        folder / "<b>run{{ 8*8 }}",
        [folder / "c"],
        lambda text: numbers[int(text.split()[1])],
        text_field="text",
        id_field="id",
    )
    evil = {"eval_set": hostile(port, "set"), "eval_id": hostile(port, "item"), "file": name}
    texts = {
        "matched_text": hostile(port, "matched"),
        "eval_text": hostile(port, "eval"),
        "before": "<script>",
        "after": "</script>",
    }
    write_hits(run, [{**evil, **texts, "row": 3}])
    said = hostile(port, "where").replace("'", "''").replace("\x00", "")
    where = f"perplexity < 100 and '{said}' <> ''"
    choose(str(run.path), where=where)
    kept = decisions_of(run)
    write_buckets(run, [None if why else f"{row % 2}{hostile(port, 'bucket')}" for (_, row), why in kept.items()])
    write_order(run, count_kept(kept.values()), by="<img src=x>", stratify=hostile(port, "stratify"))
    return report(str(run.path), domain="domain", percentiles="0,25,50,75,100")


def count_kept(reasons):
    """Positions in the order of the corpus; None for what is not kept."""
    places = itertools.count()
    return [next(places) if why is None else None for why in reasons]


def test_the_page_has_nothing_that_runs_listens_or_points_outside(tmp_path):
    found = make_page(tmp_path, 1)
    with open(found.page, encoding="utf-8") as handle:
        page = handle.read()
    text = "".join(assert_harmless(page).texts)
    for name in NAMES:
        assert f"{name}-end" in text, name
    assert "{{ 7*7 }}" in text and "\x00" not in page and "\x1b" not in page and "\u202e" not in page
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert page.index(policy) < page.index("<style>")


@needs_browser
def test_a_hostile_corpus_runs_and_loads_nothing_in_a_browser(tmp_path, beacon):
    found = make_page(tmp_path, beacon.server_port)
    dom = open_page(Path(found.page), tmp_path / "profile")
    assert beacon.asked == []
    assert re.search(r"<title>([^<]*)</title>", dom)[1].startswith("curate report: ")
    text = "".join(assert_harmless(dom).texts)
    for name in NAMES:
        assert f"{name}-end" in text, name
    assert "<script>document.title='owned'" in text and "onerror=" in text and "javascript:" in text


@needs_browser
def test_the_beacon_hears_a_page_that_does_load_something(tmp_path, beacon):
    """The premise of the test above: this browser runs scripts and reaches this server."""
    page = tmp_path / "bad.html"
    page.write_text(f"<body><script>document.title='owned'</script><img src='http://127.0.0.1:{beacon.server_port}/x'>")
    dom = open_page(page, tmp_path / "profile")
    assert "/x" in beacon.asked and "<title>owned</title>" in dom
