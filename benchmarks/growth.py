"""Cost as work grows: each verb at 10 k, 100 k and 1 M documents, and at 10 M rows where it reads no text.

    python benchmarks/growth.py --made FOLDER                        # everything: some 80 minutes, 7 GB of disk
    python benchmarks/growth.py --made FOLDER --sizes 10000,100000 --row-sizes 10000,100000
    python benchmarks/growth.py --made FOLDER --verbs filter,order   # these alone, and what they need
    python benchmarks/growth.py --render --readme                    # the tables of what was measured so far

Every command is a process of its own, as a user runs it. What is measured goes into `results/growth.json` at once and
replaces what stood there for the same step and size, so that the whole can be put together in parts. Corpora, runs and
exports stay in the folder of ``--made``; a step that another one needs is run (and measured) unless it was.

Start-up, at 100 documents, is the cheapest of three turns; it is taken away before exponents are fitted (least squares
on logarithms): 1 is cost in proportion to the documents. A point counts where it is well above the start-up.
"""

import argparse
import json
import math
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import growth_inputs
import numpy as np
from process_tree import TreeCost, measure_command, measure_written
from report import put_into

HERE = Path(__file__).parent
TINY = 100  # documents of the start-up
SIZES, ROW_SIZES = (10_000, 100_000, 1_000_000), (10_000, 100_000, 1_000_000, 10_000_000)
LEAST_CPU, LEAST_BYTES, LEAST_SHARE = 0.2, 30e6, 0.1  # above the start-up, from which on a point tells of growth
STEEP, GROWING = 1.15, 0.5  # exponents from which on a verb is named: of the processor's time, of memory
MARKS = ("<!-- growth -->", "<!-- /growth -->")


# ---- what is measured -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """A command at one size; ``{…}`` in its words are paths of that size's folder."""

    name: str
    words: str
    needs: tuple[str, ...] = ()  # steps whose results it reads
    clears: tuple[str, ...] = ()  # removed before: what the command would find done, or refuse to replace
    allowed: tuple[int, ...] = (0,)  # exit codes
    copies: tuple[str, str] | None = None  # a folder that the command changes, and the fresh copy that it is given

    @property
    def verb(self) -> str:
        return self.words.split()[0]


TEXT = (
    Step("score --model none", "score {corpus} --model none --run {none}", clears=("none",)),
    Step("score, tiny model", "score {corpus} --model {model} --truncate 32 --run {run}", clears=("run",)),
    Step("score again", "score {corpus} --model {model} --truncate 32 --run {run}", ("score, tiny model",)),
    Step("score of a half", "score {first} --model none --run {half0}", clears=("half0",)),
    Step("score of the other half", "score {second} --model none --run {half1}", clears=("half1",)),
    Step("merge", "merge {half0} {half1} --into {merged}", ("score of a half", "score of the other half"), ("merged",)),
    Step("decontaminate", "decontaminate {evals} --run {run} --restart", ("score, tiny model",)),
    Step("dedup", "dedup --run {run} --restart", ("score, tiny model",)),
    Step("filter --keep --within", "filter --keep middle --rate 0.8 --within domain --run {run}",
         ("decontaminate", "dedup")),
    Step("filter --where, a column of the documents", "filter --where number>10 --run {asked}",
         ("score --model none",), ("asked",), copies=("none", "asked")),
    Step("bucket", "bucket --run {run}", ("filter --keep --within",)),
    Step("order", "order --run {run}", ("filter --keep --within",)),
    Step("status", "status --run {run}", ("bucket", "order")),
    Step("explain", "explain {id} --run {run}", ("bucket", "order")),
    Step("report", "report --run {run}", ("bucket", "order")),
    Step("export --format jsonl", "export {jsonl} --format jsonl --run {run} --overwrite", ("bucket", "order")),
    Step("export --format parquet", "export {parquet} --format parquet --run {run} --overwrite", ("bucket", "order")),
    Step("export --format hf", "export {hf} --run {run} --overwrite", ("bucket", "order")),
    Step("export --no-order", "export {plain} --format jsonl --no-order --run {run} --overwrite", ("bucket", "order")),
    Step("export --format tokens", "export {tokens} --format tokens --tokenizer {model} --run {run} --overwrite",
         ("bucket", "order")),
    Step("verify --loader none", "verify {jsonl} --loader none", ("export --format jsonl",), allowed=(0, 4)),
    Step("verify --loader dataloader", "verify {jsonl} --loader dataloader", ("export --format jsonl",),
         allowed=(0, 4)),
    Step("rank-sft, a sample", "rank-sft {sft} --model {model} --out {sampled}", clears=("sampled",)),
    Step("rank-sft --sample-size 0",
         "rank-sft {sft} --model {model} --sample-size 0 --out {ranked} --examples {examples}",
         clears=("ranked", "examples")),
    Step("select-sft", "select-sft --run {examples}/sft", ("rank-sft --sample-size 0",)),
    Step("train-reference", "train-reference {corpus} --out {trained} --tokens 20000 --vocabulary 512 --width 64 "
         "--layers 1 --heads 1 --context 128", clears=("trained",)),
)  # fmt: skip
ROWS = (
    Step("filter --keep --within", "filter --keep middle --rate 0.5 --within domain --min-zlib 0.2 --run {run}"),
    Step("filter --max-ppl", "filter --max-ppl 60 --run {run}"),
    Step("filter --where", "filter --where perplexity<60&zlib_ratio>0.2 --run {run}"),
    Step("bucket", "bucket --within domain --run {run}"),
    Step("order", "order --run {run}", ("bucket",)),
    Step("order --schedule stair --stratify", "order --schedule stair --stratify domain --run {run}", ("bucket",)),
    Step("status", "status --run {run}", ("order",)),
    Step("explain", "explain {id} --run {run}", ("order",)),
    Step("report", "report --run {run}", ("order",)),
)
KINDS: dict[str, tuple[Step, ...]] = {"text": TEXT, "rows": ROWS}
HIDDEN = ("score of a half", "score of the other half")


class Place:
    """The folder of one kind at one size: its inputs, and which steps were run there."""

    def __init__(self, root: Path, kind: str, size: int) -> None:
        self.root, self.kind, self.size, self.folder = root, kind, size, root / f"{kind}-{size}"

    def make_inputs(self) -> None:
        """Write the corpus and what stands beside it, once."""
        model, done = self.root / "model", self.folder / "made"
        if self.kind == "text" and not (model / "made").exists():
            growth_inputs.make_model(model)
            (model / "made").touch()
        if done.exists():
            return
        say(f"making {self.folder.name}")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        if self.kind == "rows":
            growth_inputs.write_scored(self.folder, self.size)
        else:
            growth_inputs.write_corpus(self.folder / "corpus", growth_inputs.make_texts(self.size), self.size)
            growth_inputs.write_instructions(self.folder / "sft.jsonl", self.size)
            for number, path in enumerate(sorted((self.folder / "corpus").iterdir())):
                half = self.folder / ("first" if number < growth_inputs.FILES // 2 else "second")
                half.mkdir(exist_ok=True)
                os.link(path, half / path.name)
        (self.folder / "done").mkdir()
        done.touch()

    def spell(self, step: Step) -> list[str]:
        """Return the words of a step's command."""
        paths = {"model": self.root / "model", "evals": HERE.parent / "recipes" / "sample-evals"}
        named = {"id": f"d{self.size // 2}", **{name: str(path) for name, path in paths.items()}}
        named["sft"] = f"sft={self.folder / 'sft.jsonl'}"
        words = [word.replace("&", " AND ").format_map(_Paths(self.folder, named)) for word in step.words.split()]
        return [sys.executable, "-m", "curate", *words]

    def measure(self, step: Step) -> tuple[TreeCost, int]:
        """Run a step and return what it cost and the bytes on the disk that it wrote."""
        for name in step.clears:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        if step.copies:
            shutil.copytree(*(self.folder / name for name in step.copies))
        for later in find_dependents(KINDS[self.kind], step.name):
            self.mark(later).unlink(missing_ok=True)
        began = time.time() - 0.01  # the clock of file systems has steps
        cost = measure_command(self.spell(step), make_environment(self.root), step.allowed)
        written = measure_written(self.folder, began)
        self.mark(step.name).touch()
        return cost, written

    def mark(self, name: str) -> Path:
        return self.folder / "done" / name.replace("/", "-")


class _Paths(dict[str, str]):
    """Every name in braces that is not known is a path of the folder."""

    def __init__(self, folder: Path, named: Mapping[str, str]) -> None:
        super().__init__(named)
        self.folder = folder

    def __missing__(self, name: str) -> str:
        return str(self.folder / name)


def make_environment(root: Path) -> dict[str, str]:
    """Return the environment of the commands: caches of their own, so that none finds another's work."""
    caches = {"HF_HOME": str(root / "cache" / "hf"), "XDG_CACHE_HOME": str(root / "cache")}
    return {**os.environ, **caches, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}


def find_dependents(steps: Sequence[Step], name: str) -> set[str]:
    """Return the steps that read, directly or not, what the step of this name writes; itself too."""
    found = {name}
    for step in steps:  # in an order in which each stands behind what it needs
        if found & set(step.needs):
            found.add(step.name)
    return found


def choose_steps(kind: str, place: Place, wanted: Sequence[str]) -> list[Step]:
    """Return the steps to run, in order: those of the wanted verbs, and those that they need and that were not run."""
    steps = {step.name: step for step in KINDS[kind]}
    chosen = [step.name for step in KINDS[kind] if is_wanted(step, wanted)]
    needed, waiting = set(chosen), list(chosen)
    while waiting:
        for name in steps[waiting.pop()].needs:
            # What is run again makes what stood behind it out of date, so that the mark alone does not do.
            stale = any(name in find_dependents(KINDS[kind], other) for other in chosen if other != name)
            if name not in needed and (stale or not place.mark(name).exists()):
                needed.add(name)
                waiting.append(name)
    return [step for step in KINDS[kind] if step.name in needed]


def is_wanted(step: Step, wanted: Sequence[str]) -> bool:
    return step.name not in HIDDEN and (not wanted or step.verb in wanted or step.name in wanted)


def measure_all(options: argparse.Namespace, results: dict[str, Any]) -> None:
    """Measure what was chosen, and save after each step."""
    for kind, sizes in (("text", options.sizes), ("rows", options.row_sizes)):
        if not any(is_wanted(step, options.verbs) for step in KINDS[kind]):
            continue
        for size in [TINY, *sizes] if sizes else []:
            place = Place(options.made, kind, size)
            place.make_inputs()
            turns = options.turns if size == TINY else 1
            for step in choose_steps(kind, place, options.verbs):
                found = [place.measure(step) for _ in range(turns)]
                cost, written = min(found, key=lambda one: one[0].cpu_seconds)
                row = {**asdict(cost), "written_bytes": written}
                results["steps"].setdefault(kind, {}).setdefault(step.name, {})[str(size)] = row
                save(results, options.out)
                say(f"{kind} {size:>10,} {step.name:40} {describe(row)}")
            if options.discard:
                shutil.rmtree(place.folder)


def describe(row: Mapping[str, float]) -> str:
    memory = f"{row['peak_bytes'] / 1e6:6,.0f} MB ({row['anonymous_bytes'] / 1e6:,.0f} anonymous)"
    return f"{row['seconds']:7.1f} s {row['cpu_seconds']:7.1f} CPU {memory}, load {row['load']:.1f}"


def save(results: dict[str, Any], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "growth.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


# ---- what it comes to -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Growth:
    """How a cost grows: y − start ∝ nᵉ; None where too few points are well above the start-up."""

    exponent: float | None  # least squares over all points that count
    last: float | None  # of the last two sizes alone
    each: float | None  # more for each document, between the last two sizes


def fit_growth(size_to_cost: Mapping[int, float], least: float) -> Growth:
    """Fit the exponent of costs by size; the smallest size is the start-up, which is taken away.

    A size counts where it costs ``least`` more than the start-up, and a tenth of the start-up more.
    """
    (_, start), *rest = sorted(size_to_cost.items())
    points = [(size, cost - start) for size, cost in rest if cost - start > max(least, LEAST_SHARE * start)]
    each = None
    if len(rest) > 1:
        (before, cost_before), (size, cost) = rest[-2:]
        each = (cost - cost_before) / (size - before)
    if len(points) < 2:
        return Growth(None, None, each)
    sizes, costs = np.log(np.array(points)).T
    (first, low), (second, high) = points[-2:]
    last = math.log(high / low) / math.log(second / first)
    return Growth(float(np.polyfit(sizes, costs, 1)[0]), last, each)


def render(results: dict[str, Any]) -> str:
    """Return the tables in Markdown."""
    loads = [row["load"] for kind in results["steps"].values() for rows in kind.values() for row in rows.values()]
    parts = [f"{results['machine']}; load {min(loads):.1f} to {max(loads):.1f} before the steps."]
    titles = {"text": "Documents of about 600 bytes", "rows": "Rows of scores (texts of a dozen bytes)"}
    for kind, title in titles.items():
        if found := results["steps"].get(kind):
            parts += [f"### {title}", *render_kind(kind, found)]
    return "\n\n".join(parts) + "\n"


def render_kind(kind: str, found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterator[str]:
    """Yield the table of time, that of memory and disk, and what grows faster than it should."""
    names = [step.name for step in KINDS[kind] if step.name in found and step.name not in HIDDEN]
    sizes = sorted({int(size) for name in names for size in found[name]} - {TINY})
    time_rows, memory_rows, steep, growing = [], [], [], []
    for name in names:
        rows = {int(size): row for size, row in found[name].items()}
        cells = [f"{rows[size]['seconds']:,.1f} ({rows[size]['cpu_seconds']:,.1f})" if size in rows else ""
                 for size in [TINY, *sizes]]  # fmt: skip
        cpu = fit_growth({size: row["cpu_seconds"] for size, row in rows.items()}, LEAST_CPU)
        each = "" if cpu.each is None else f"{1e6 * cpu.each:,.1f}"
        time_rows.append([name, *cells, each, spell_exponent(cpu.exponent), spell_exponent(cpu.last)])
        peaks = {size: row["peak_bytes"] for size, row in rows.items()}
        memory = fit_growth(peaks, LEAST_BYTES)
        cells = [f"{peaks[size] / 1e6:,.0f}" if size in peaks else "" for size in [TINY, *sizes]]
        more = "" if memory.each is None else f"{memory.each:,.0f}"
        disk = f"{rows[max(rows)]['written_bytes'] / max(rows):,.0f}"
        memory_rows.append([name, *cells, more, spell_exponent(memory.exponent), spell_exponent(memory.last), disk])
        steep += [f"`{name}` ({cpu.last:.2f})"] if cpu.last and cpu.last > STEEP else []
        growing += [f"`{name}` ({more} bytes a document)"] if memory.last and memory.last > GROWING else []
    heads = [f"{size:,}" for size in [TINY, *sizes]]
    exponents = ["exponent", "of the last two"]
    yield "Seconds (CPU-seconds):"
    yield render_table(["step", *heads, "µs of CPU a document", *exponents], time_rows)
    yield "Peak memory in MB, summed over the processes, and what is left on the disk:"
    yield render_table(["step", *heads, "bytes a document", *exponents, "bytes a document on the disk"], memory_rows)
    yield f"More than in proportion by the processor, between the last two sizes: {', '.join(steep) or 'none'}."
    yield f"Memory that grows with the documents: {', '.join(growing) or 'none'}."


def spell_exponent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def render_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in [head, *rows]]
    return "\n".join([lines[0], "|---|" + (len(head) - 1) * "--:|", *lines[1:]])


# ---- from the command line ------------------------------------------------------------------------------------------


def describe_machine() -> str:
    names = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pyarrow", "duckdb", "torch"))
    numba = "with numba" if is_installed("numba") else "without numba"
    cores = len(os.sched_getaffinity(0))
    return f"{platform.machine()}, {cores} cores; {names}, {numba}; {time.strftime('%Y-%m-%d')}"


def is_installed(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def read_sizes(text: str) -> list[int]:
    return sorted({int(part.replace("_", "")) for part in text.split(",") if part})


def read_options() -> argparse.Namespace:
    verbs = sorted({step.verb for steps in KINDS.values() for step in steps})
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--sizes", type=read_sizes, default=SIZES, help="documents, with commas; '' for none (10000,100000,1000000)")
    add("--row-sizes", type=read_sizes, default=ROW_SIZES, help="rows where no text is read (…,10000000)")
    add("--verbs", default="", help=f"with commas, or steps with semicolons: {', '.join(verbs)} (all)")
    add("--turns", type=int, default=3, help="of each step at the size of the start-up (3)")
    add("--made", type=Path, help="folder for corpora, runs and exports, kept and found again (a temporary one)")
    add("--discard", action="store_true", help="remove what a size made once it was measured")
    add("--render", action="store_true", help="measure nothing: show what was measured so far")
    add("--out", type=Path, default=HERE / "results", help="folder for growth.json and growth.md (benchmarks/results)")
    add("--readme", action="store_true", help="put the tables into benchmarks/README.md too")
    options = parser.parse_args()
    options.verbs = [part.strip() for part in options.verbs.split(";" if ";" in options.verbs else ",") if part]
    names = {step.name for steps in KINDS.values() for step in steps} | set(verbs)
    if unknown := set(options.verbs) - names:
        parser.error(f"--verbs: {', '.join(sorted(unknown))} is none of {', '.join(sorted(names))}")
    return options


def main() -> None:
    options = read_options()
    results: dict[str, Any] = {"steps": {}}
    if (options.out / "growth.json").exists():
        results = json.loads((options.out / "growth.json").read_text(encoding="utf-8"))
    if not options.render:
        results["machine"] = describe_machine()
        with tempfile.TemporaryDirectory() as scratch:
            options.made = (options.made or Path(scratch)).resolve()
            measure_all(options, results)
    if not results["steps"]:
        raise SystemExit(f"error: nothing was measured yet in {options.out}\nhint:  leave out --render")
    print(render(results))
    save(results, options.out)
    (options.out / "growth.md").write_text(render(results), encoding="utf-8")
    if options.readme:
        put_into(HERE / "README.md", *MARKS, render(results))


if __name__ == "__main__":
    main()
