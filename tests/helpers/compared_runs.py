"""Runs with made-up numbers for comparisons: the same texts under two models, or two samples of a stream."""

import json
import math

import xxhash
from helpers.runs import make_run, write_lines

DOMAINS = ("code", "law", "news")


def write_corpus(path, count=90, first=0, domains=DOMAINS, **columns):
    """Documents ``text N …`` with their domain; ``columns`` are functions of the number."""
    rows = [
        {
            "id": f"d{number}",
            "text": f"text {number} " + "word " * (3 + number % 7),
            "domain": domains[number % len(domains)],
            **{name: column(number) for name, column in columns.items()},
        }
        for number in range(first, first + count)
    ]
    write_lines(path, rows)
    return path


def number_of(text):
    return int(text.split()[1])


def level_of(text):
    """The logarithm of the perplexity of a text, from 3 to 4, by its hash."""
    return 3 + xxhash.xxh3_64_intdigest(text.encode()) % 1000 / 1000


def make_numbers(shift=lambda number: 0.0, tokens=lambda text: len(text.split())):
    """Numbers of a model that needs ``shift(number of the document)`` nats a token more than the first."""

    def numbers(text):
        return {"perplexity": math.exp(level_of(text) + shift(number_of(text))), "tokens": tokens(text)}

    return numbers


def make_side(folder, name, corpus, shift=lambda number: 0.0, **options):
    """A run of a corpus; returns its path as text."""
    make_run(folder / name, [corpus], make_numbers(shift), **options)
    return str(folder / name)


def read_json(path):
    return json.loads(path.read_text())
