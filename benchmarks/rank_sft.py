"""How fast and how exact ``curate rank-sft`` measures, beside the loops of the literature, in one run.

    python benchmarks/rank_sft.py            # the whole comparison, under ten minutes on two idle cores
    python benchmarks/rank_sft.py --small    # the same on a toy, in a minute: does it work?

The same examples, weights and dtype for every side; the sides take turns in one process; medians of the repeats. In
float32 every side measures every example once more, and the sums are held against each other. See benchmarks/README.md.
"""

import argparse
import gc
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rank_sides
import score
import torch
import transformers
from numpy.typing import NDArray
from rank_sides import NAMES, SUMS, Side
from report import put_into

from curate.reference.loading import choose_dtype
from curate.reference.protocol import ScoringConfig
from curate.sft.datasets import DrawnExample, draw_sample, open_sets
from curate.sft.measuring import responses
from curate.sft.measuring.reader import ModelVariant, RankingOptions, open_reader

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "recipes" / "sample-sft"
OURS, LOOP = "curate", "one by one"
KINDS = ("one answer", "several answers")
TOGETHER = "together"
FLOAT32 = "one by one, fp32"
TOLERANCE = 1e-5  # nats a token, in exact mode
FLOOR = 3.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One pass of one side over the examples of one kind."""

    seconds: float
    cpu_seconds: float
    places: int
    sums: NDArray[np.float64]


def read_examples(paths: Sequence[Path], count: int) -> list[DrawnExample]:
    """A sample of each dataset, as ``rank-sft`` draws it."""
    datasets = open_sets([str(path) for path in paths], None, "quarantine")
    return [one for dataset in datasets for one in draw_sample(dataset, count, 0, "all").examples]


def sort_out(folder: Path, examples: Sequence[DrawnExample]) -> dict[str, list[DrawnExample]]:
    """The examples by kind, without those that cannot be read in one window: every side reads every token once."""
    reading = ScoringConfig(dtype="fp32", device="cpu")
    reader = open_reader(
        ModelVariant(str(folder), "auto"), reading, RankingOptions("all", True, None, 0, 1000, "perplexity", None)
    )
    kinds: dict[str, list[DrawnExample]] = {kind: [] for kind in KINDS}
    for one, prompted in zip(examples, responses.render_examples(reader, examples), strict=True):
        if prompted.tokens is not None and len(prompted.tokens.ids) < reader.reference.policy.window:
            kinds[KINDS[int(prompted.tokens.owner.max() > 0)]].append(one)
    return {kind: found for kind, found in kinds.items() if found}


def take_turn(side: Side, examples: Sequence[DrawnExample]) -> Turn:
    """Let one side measure the examples, and time it."""
    gc.collect()
    places, cpu, start = side.places(), time.process_time(), time.perf_counter()
    sums = side.measure(examples)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    return Turn(seconds, cpu_seconds, side.places() - places, sums)


def take_turns(
    sides: Sequence[Side], kinds: dict[str, list[DrawnExample]], repeats: int
) -> dict[tuple[str, str], list[Turn]]:
    """Warm up, then let the sides take turns, another first each time.  → turns by side and kind"""
    turns: dict[tuple[str, str], list[Turn]] = {(side.name, kind): [] for side in sides for kind in kinds}
    for side in sides:
        side.measure([examples[0] for examples in kinds.values()])
    for repeat in range(repeats):
        first = repeat % len(sides)
        for side in [*sides[first:], *sides[:first]]:
            for kind, examples in kinds.items():
                turn = take_turn(side, examples)
                turns[side.name, kind].append(turn)
                speed = len(examples) / turn.seconds
                score.say(
                    f"  {repeat + 1}/{repeats} {side.name:18} {kind:16} {speed:7.2f} examples/s {turn.seconds:6.1f} s"
                )
    return turns


def compare(shape: str, dtype: str, options: argparse.Namespace, root: Path) -> dict[str, Any]:
    """All sides on one shape.  → what the tables of that shape are made of"""
    drawn = read_examples(options.corpus, options.sample)
    texts = [turn.text for one in drawn for turn in one.example.turns]
    folder = Path(shape) if Path(shape).is_dir() else score.make_folder(shape, dtype, texts, root / shape)
    kinds = sort_out(folder, drawn)
    score.say(f"{shape}: {', '.join(f'{len(found)} with {kind}' for kind, found in kinds.items())}; {dtype}")
    sides = [rank_sides.open_side(name, folder, dtype) for name in options.sides]
    turns = take_turns(sides, kinds, options.repeats)
    ways = {side.name: side.how for side in sides}
    exact, slow = hold_together(folder, kinds, options.sides)
    if dtype != "fp32" and LOOP in options.sides:
        turns |= {(FLOAT32, kind): [found] for kind, found in slow.items()}
        ways[FLOAT32] = "the same in the dtype that Superfiltering runs in; one pass, not what ours is held against"
    return {
        "examples": {kind: len(found) for kind, found in kinds.items()},
        "tables": {kind: describe(turns, ways, (kind,)) for kind in kinds}
        | ({TOGETHER: describe(turns, ways, tuple(kinds))} if len(kinds) > 1 else {}),
        "sides": ways,
        "exact": exact,
    }


def hold_together(
    folder: Path, kinds: dict[str, list[DrawnExample]], names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Turn]]:
    """Every side in float32, ours in exact mode: how far each lies from the loop; and the turns of the loop.

    Nats are held against each other a token: of each example, the difference of its sum by its number of tokens.
    """
    score.say(f"  {FLOAT32}, the truth")
    loop = rank_sides.open_side(LOOP, folder, "fp32")
    truth = {kind: take_turn(loop, found) for kind, found in kinds.items()}
    expected = np.concatenate([truth[kind].sums for kind in kinds])
    gaps = {}
    for name in names:
        if name != LOOP:
            score.say(f"  {name}, exact")
            side = rank_sides.open_side(name, folder, "fp32", exact=True)
            gaps[name] = find_gaps(np.concatenate([side.measure(found) for found in kinds.values()]), expected)
    return gaps, truth


def find_gaps(found: NDArray[np.float64], expected: NDArray[np.float64]) -> dict[str, float]:
    """The largest differences of an example: nats a token, tokens counted, and clipped ranks a token."""
    gaps = np.abs(found - expected)
    tokens, whole = expected[:, SUMS.index("tokens")], expected[:, SUMS.index("full_tokens")]
    per_token = {"nats": tokens, "unconditional_nats": tokens, "full_nats": whole, "ranks": tokens}
    largest = {name: float((gaps[:, SUMS.index(name)] / by).max()) for name, by in per_token.items()}
    return largest | {name: float(gaps[:, SUMS.index(name)].max()) for name in ("tokens", "full_tokens")}


def describe(
    turns: dict[tuple[str, str], list[Turn]], ways: dict[str, str], kinds: Sequence[str]
) -> list[dict[str, Any]]:
    """One row for each side: seconds of the kinds, added up turn by turn."""
    rows = []
    for name in ways:
        passes = list(zip(*(turns[name, kind] for kind in kinds), strict=True))
        sums = np.concatenate([turn.sums for turn in passes[0]])
        seconds = [sum(turn.seconds for turn in one) for one in passes]
        rows.append(
            {
                "name": name,
                "examples": len(sums),
                "tokens": int(sums[:, SUMS.index("tokens")].sum()),
                "places": sum(turn.places for turn in passes[0]),
                "seconds": statistics.median(seconds),
                "fastest": min(seconds),
                "slowest": max(seconds),
                "cpu_seconds": statistics.median(sum(turn.cpu_seconds for turn in one) for one in passes),
            }
        )
    return rows


# ---- what is said -------------------------------------------------------------------------------------------------


def render(results: dict[str, Any]) -> str:
    """The whole of the results in Markdown."""
    where = results["machine"]
    versions = ", ".join(f"{name} {where['versions'][name]}" for name in ("torch", "transformers"))
    head = f"{where['cpu']}, {where['cores']} cores, {where['threads']} threads; {versions}; {where['date']}; "
    head += (
        f"{results['dtype']}, medians of {results['repeats']} turns; load {where['load_at_start']:.1f} before it began."
    )
    return "\n\n".join([head, *(render_shape(*pair) for pair in results["shapes"].items())]) + "\n"


def render_shape(name: str, found: dict[str, Any]) -> str:
    """One shape: a table of all kinds, how far the sides lie apart, and what the sides are."""
    lines = [
        f"### {Path(name).name}",
        "",
        "| examples with | side | examples/s | scored tokens/s | tokens read | curate is | by CPU |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for kind, rows in found["tables"].items():
        ours = next((row for row in rows if row["name"] == OURS), None)
        lines += [render_row(f"{kind} ({row['examples']})", row, ours) for row in rows]
    lines += ["", judge(found), "", *(f"- {name}: {how}" for name, how in found["sides"].items())]
    return "\n".join([*lines, *(render_gaps(*pair) for pair in found["exact"].items())])


def render_row(kind: str, row: dict[str, Any], ours: dict[str, Any] | None) -> str:
    ratio = by_cpu = ""
    if ours is not None and row["name"] != OURS:
        ratio = f"{row['seconds'] / ours['seconds']:.2f} ×"
        by_cpu = f"{row['cpu_seconds'] / ours['cpu_seconds']:.2f} ×"
    rates = f"{row['examples'] / row['seconds']:,.2f} | {row['tokens'] / row['seconds']:,.0f}"
    return f"| {kind} | {row['name']} | {rates} | {row['places']:,} | {ratio} | {by_cpu} |"


def judge(found: dict[str, Any]) -> str:
    """Where ours is three times as fast as the loop in the same dtype, and where not."""
    said = []
    for kind, rows in found["tables"].items():
        speeds = {row["name"]: row["seconds"] for row in rows}
        if OURS in speeds and LOOP in speeds:
            ratio = speeds[LOOP] / speeds[OURS]
            said.append(f"{kind} {ratio:.2f} ×{'' if ratio >= FLOOR else ' (**missed**)'}")
    return f"The floor, {FLOOR:.0f} × the loop in the same dtype: {'; '.join(said) or 'not measured'}."


def render_gaps(name: str, gaps: dict[str, float]) -> str:
    """How far a side in float32 lies from the loop in float32, over all examples."""
    largest = max(gaps[key] for key in ("nats", "unconditional_nats", "full_nats"))
    same = "the same tokens" if gaps["tokens"] == gaps["full_tokens"] == 0 else "**other tokens**"
    verdict = "" if largest <= TOLERANCE else f" (**more than {TOLERANCE:.0e}**)"
    parts = f"given the prompt {gaps['nats']:.1e}, alone {gaps['unconditional_nats']:.1e}, full {gaps['full_nats']:.1e}"
    return (
        f"- {name} in float32 beside the loop: {same}; nats a token {parts}{verdict}; ranks a token {gaps['ranks']:.1e}"
    )


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--sample", type=int, help="examples of each dataset (10; 4 with --small)")
    add("--repeats", type=int, help="turns of each side (3; 2 with --small)")
    known = f"of {', '.join(score.SHAPES)}, builtin, folders of models"
    add("--shapes", help=f"comma-separated, {known} (smollm2-135m,builtin; small: tiny)")
    add("--sides", help=f"semicolon-separated, of {'; '.join(NAMES)} (all)")
    add("--dtype", choices=("auto", "bf16", "fp32"), default="auto", help="auto: what curate takes on this CPU")
    add("--small", action="store_true", help="a toy, in a minute: shows that everything works, proves nothing")
    add("--corpus", type=Path, nargs="+", help="instruction datasets (the repository's sample)")
    add("--threads", type=int, help="of torch, for every side (torch's own choice)")
    add("--out", type=Path, help="folder for rank_sft.json and rank_sft.md (benchmarks/results; none with --small)")
    add("--readme", action="store_true", help="put the tables into benchmarks/README.md too")
    options = parser.parse_args()
    options.sample = options.sample or (4 if options.small else 10)
    options.repeats = options.repeats or (2 if options.small else 3)
    options.shapes = (options.shapes or ("tiny" if options.small else "smollm2-135m,builtin")).split(",")
    options.sides = [name.strip() for name in options.sides.split(";")] if options.sides else list(NAMES)
    options.corpus = options.corpus or sorted(SAMPLE.glob("*.json*"))
    shapes = [shape for shape in options.shapes if not Path(shape).is_dir()]
    unknown = [*{*shapes} - {*score.SHAPES, "builtin"}, *{*options.sides} - {*NAMES}]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    if options.out is None and not options.small:
        options.out = HERE / "results"
    return options


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Every shape.  → the results"""
    where, dtype = score.machine(), options.dtype
    if where["load_at_start"] > 0.5:
        score.say(f"warning: the machine is busy (load {where['load_at_start']:.1f}); trust no wall-clock number here")
    if dtype == "auto":
        dtype = "bf16" if choose_dtype(ScoringConfig(), torch.device("cpu")) == torch.bfloat16 else "fp32"
    with tempfile.TemporaryDirectory() as root:
        shapes = {shape: compare(shape, dtype, options, Path(root)) for shape in options.shapes}
    return {"machine": where, "dtype": dtype, "repeats": options.repeats, "shapes": shapes}


def main() -> None:
    options = read_options()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if options.threads:
        torch.set_num_threads(options.threads)
    results = run(options)
    print(render(results))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "rank_sft.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (options.out / "rank_sft.md").write_text(render(results), encoding="utf-8")
    if options.readme:
        put_into(HERE / "README.md", "<!-- rank-sft -->", "<!-- /rank-sft -->", render(results))


if __name__ == "__main__":
    main()
