"""Runs to export, drawn at random: lines and tables of all types, bad rows, leaks, orders, buckets."""

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
from helpers.exports import rich_table
from helpers.runs import make_run, write_buckets, write_hits, write_lines, write_order

from curate.exports.job import open_choice
from curate.rundir.run import open_run
from curate.rundir.verdicts import rejections
from curate.verbs.filter import filter as choose

VALUES = (
    lambda draw: draw.randrange(5),
    lambda draw: None,
    lambda draw: draw.random(),
    lambda draw: 2**53 + draw.randrange(9),
    lambda draw: -draw.randrange(9),
    lambda draw: draw.random() < 0.5,
    lambda draw: "ä" * draw.randrange(4),
    lambda draw: {"p": draw.randrange(9), "q": [draw.random()]},
    lambda draw: [draw.randrange(9)] * draw.randrange(3),
    lambda draw: float("nan"),
)


def draw_rows(draw, count, first):
    """Rows of which each column has values of one kind, mostly: some stretches have another one."""
    names = draw.sample(["a", "b", "c", "d"], draw.randrange(5))
    rows, kinds = [], {}
    for number in range(first, first + count):
        row = {
            "text": f"document {number} " + "wort\n" * draw.randrange(draw.choice([3, 3, 9, 9, 40, 40, 90, 90, 4000]))
        }
        for name in names:
            if name not in kinds or draw.random() < 0.02:
                kinds[name] = draw.choice(VALUES)
            if draw.random() < 0.9:
                row[name] = None if draw.random() < 0.1 else kinds[name](draw)
        rows.append(row)
    return rows


def draw_run(folder, seed, placed=False):
    """A run of some files, at random with hits and a filter; with ``placed`` with an order and buckets."""
    draw = random.Random(seed)
    write_corpus(folder / "corpus", draw)
    run = make_run(folder / "run", [folder / "corpus"], slice_bytes=draw.choice([300, 1500, 9000]))
    scored = [row for part in sorted(run.scores.iterdir()) for row in pq.read_table(part).to_pylist()]
    action = draw.choice([None, "mark", "cut-span", "drop"])
    if action is not None:
        hit = [row for row in scored if row["status"] == "ok" and draw.random() < 0.1]
        write_hits(run, [{"file": row["file"], "row": row["row"]} for row in hit], action=action)
    if draw.random() < 0.5:
        choose(str(run.path), max_ppl=draw.choice([60, 90]))
    run = open_run(run.path)
    if placed:
        with open_choice(run, rejections.open_rejections(run), folder) as choice:
            keep = pq.read_table(choice.path).column("keep").to_pylist()
        places = iter(draw.sample(range(sum(keep)), sum(keep)))
        write_order(run, [next(places) if each else None for each in keep])
        write_buckets(run, [draw.choice("ab") if each else None for each in keep])
    return open_run(run.path)


def write_corpus(folder, draw):
    folder.mkdir(parents=True)
    count = 0
    for number in range(draw.randrange(1, 5)):
        rows = draw_rows(draw, draw.randrange(1, 90), count)
        if draw.random() < 0.4:
            table = rich_table(len(rows)).set_column(0, "text", pa.array([row["text"] for row in rows]))
            pq.write_table(table, folder / f"{number}.parquet", row_group_size=draw.randrange(3, 40))
        else:
            bad = [b"", b"{broken", b'{"text": 5}']
            pairs = [(json.dumps(row).encode(), draw.choice(bad) if draw.random() < 0.05 else None) for row in rows]
            write_lines(folder / f"{number}.jsonl", [line for pair in pairs for line in pair if line is not None])
        count += len(rows)
