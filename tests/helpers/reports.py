"""Reports of small runs: the page and its numbers."""

import json

from helpers.runs import make_run, write_lines

from curate.verbs.report import report

NUMBERS = [{"perplexity": 2.0 * (n + 1), "tokens": n + 1, "zlib_ratio": 0.1 + n / 100} for n in range(40)]


def digest_of(run, **options):
    found = report(str(run.path), **options)
    assert found.as_dict()["page"] == found.page and "open it in a browser" in found.render()
    with open(found.page, encoding="utf-8") as page, open(found.numbers, encoding="utf-8") as numbers:
        return page.read(), json.load(numbers)


def domains_of(folder, count=40, kinds=3):
    rows = [{"id": f"d{n}", "text": f"document {n} word", "domain": f"kind-{n % kinds}"} for n in range(count)]
    write_lines(folder / "corpus" / "a.jsonl", rows)
    return make_run(folder / "run", [folder / "corpus"], lambda text: NUMBERS[int(text.split()[1]) % 40])
