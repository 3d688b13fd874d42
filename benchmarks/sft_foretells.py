"""Whether the order of ``curate rank-sft`` foretells which dataset helps: a base is tuned on each, gains are compared.

    pip install -e '.[lora]'
    python benchmarks/sft_foretells.py MODEL SET SET … --control SET --out foretells    # an hour or two on two cores
    python benchmarks/sft_foretells.py --small                                          # a toy, a minute: does it work?

Every dataset is split; of the first parts as many answer tokens are trained on, of the second parts an equal number is
kept as the mixed test. A control has the questions of SET with the answers of other rows. A cell is one dataset and one
seed: a file in ``OUT/cells``, so that a script that is started again goes on; cells of other settings are left alone.
The gain is the drop in bits per byte of the held-out answers. See benchmarks/README.md.
"""

import argparse
import hashlib
import itertools
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import score
import torch
import transformers
from numpy.typing import NDArray
from report import put_into
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from curate.reference.checkpoints.checkpoint import builtin_folder
from curate.reference.protocol import ScoringConfig
from curate.runtime.disk import files
from curate.sft.datasets import DrawnExample, draw_sample, open_sets
from curate.sft.measuring import responses
from curate.sft.measuring.reader import ModelVariant, RankingOptions, open_reader
from curate.sft.ranking.agreement import compute_tau
from curate.sft.ranking.measured_dataset import collect_sums
from curate.sft.ranking.measures import build_columns, evaluate_measures

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "recipes" / "sample-sft"
PREDICTORS = {
    "response perplexity": "perplexity",
    "RSR": "rsr",
    "IFD of perplexities": "ifd_ppl",
    "tokens of a response": "response_tokens",
}
"""What an order goes by, lowest first. IFD has no direction; a negative τ says that the highest came first."""
RANDOM = "at random"
SHUFFLED = "shuffled-"
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True, slots=True)
class TuningSettings:
    """What a cell depends on, in addition to its dataset and seed."""

    model: str
    examples: int
    """Examples drawn of each dataset, before it is split."""
    tokens: int
    """Answer tokens that are trained on."""
    held_out: int
    """Answer tokens of each dataset in the mixed test."""
    step_tokens: int
    """Answer tokens of a step."""
    passes: int
    rate: float
    rank: int
    """Of LoRA; 0 trains all weights."""
    longest: int
    """Tokens of an example; what is behind is cut off."""
    measured: int
    """Examples of each dataset that the measures of rank-sft are taken on."""


@dataclass(frozen=True, slots=True)
class TokenExample:
    """The tokens of an example (N), and which of them are scored."""

    ids: torch.Tensor
    scored: torch.Tensor
    num_bytes: int
    """Of the text of the scored tokens."""

    @property
    def tokens(self) -> int:
        return int(self.scored.sum())


def shuffle_answers(examples: Sequence[DrawnExample]) -> list[DrawnExample]:
    """Give each question the last answer of the next example in an order by hash."""
    order = sorted(range(len(examples)), key=lambda at: hashlib.sha256(repr(examples[at]).encode()).hexdigest())
    changed = []
    for at, other in zip(order, [*order[1:], *order[:1]], strict=True):
        turns = examples[at].example.turns
        answer = replace(turns[-1], text=examples[other].example.turns[-1].text)
        changed.append(replace(examples[at], example=replace(examples[at].example, turns=(*turns[:-1], answer))))
    return changed


def encode(reader: responses.ResponseReader, examples: Sequence[DrawnExample], longest: int) -> list[TokenExample]:
    """The examples as the model reads them, cut to ``longest`` tokens; those without a scored token are left out."""
    found = []
    for rendered in responses.render_examples(reader, examples):
        if rendered.tokens is None or rendered.rendered is None:
            continue
        ids, scored = rendered.tokens.ids[:longest], rendered.tokens.owner[:longest] >= 0
        scored[0] = False  # nothing stands before it
        spans = rendered.tokens.spans[: len(ids)][scored]
        text = "".join(rendered.rendered.text[begin:end] for begin, end in spans.tolist())
        if scored.any():
            found.append(
                TokenExample(torch.tensor(ids, dtype=torch.long), torch.tensor(scored), len(text.encode("utf-8")))
            )
    return found


def take(examples: Sequence[TokenExample], tokens: int, seed: int) -> list[TokenExample]:
    """Examples in a random order up to so many scored tokens; the last one is left out where it does not fit."""
    taken, left = [], tokens
    for at in np.random.default_rng(seed).permutation(len(examples)).tolist():
        if examples[at].tokens <= left:
            taken.append(examples[at])
            left -= examples[at].tokens
    return taken


def split_held_out(examples: Sequence[DrawnExample]) -> tuple[list[DrawnExample], list[DrawnExample]]:
    """To train on, and to test on: a fifth by the hash of the question, so that equal questions stay together."""
    parts: tuple[list[DrawnExample], list[DrawnExample]] = ([], [])
    for drawn in examples:
        asked = json.dumps([turn.text for turn in drawn.example.turns[:-1]], ensure_ascii=False)
        parts[hashlib.sha256(asked.encode()).digest()[0] < 51].append(drawn)
    return parts


def find_nats(model: torch.nn.Module, example: TokenExample) -> torch.Tensor:
    """Nats of each scored token; the logits are made for these alone."""
    places = example.scored.nonzero()[:, 0] - 1
    logits = model(input_ids=example.ids[None], logits_to_keep=places).logits[0]
    return cross_entropy(logits.float(), example.ids[places + 1], reduction="none")


def measure(model: torch.nn.Module, examples: Sequence[TokenExample]) -> list[float]:
    """Nats of each example's scored tokens."""
    model.eval()
    with torch.inference_mode():
        return [float(find_nats(model, example).sum()) for example in examples]


def cut_batches(examples: Sequence[TokenExample], step_tokens: int, seed: int) -> Iterator[list[TokenExample]]:
    """Examples in a random order, in steps of about so many scored tokens."""
    batch: list[TokenExample] = []
    for at in np.random.default_rng(seed).permutation(len(examples)).tolist():
        batch.append(examples[at])
        if sum(example.tokens for example in batch) >= step_tokens:
            yield batch
            batch = []
    if batch:
        yield batch


def open_model(settings: TuningSettings, seed: int) -> torch.nn.Module:
    """The base, with adapters where ``rank`` asks for them."""
    torch.manual_seed(seed)
    folder = str(builtin_folder()) if settings.model == "builtin" else settings.model
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if settings.rank:
        from peft import LoraConfig, get_peft_model

        lora = LoraConfig(r=settings.rank, lora_alpha=2 * settings.rank, target_modules=TARGETS, task_type="CAUSAL_LM")
        model = get_peft_model(model, lora)
    return model


def tune(
    examples: Sequence[TokenExample], settings: TuningSettings, seed: int
) -> tuple[torch.nn.Module, dict[str, Any]]:
    """The base after its steps on the examples, and what they took. The rate rises over a tenth and falls to 0."""
    model = open_model(settings, seed)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=settings.rate, betas=(0.9, 0.95), weight_decay=0.0)
    numbers = range(settings.passes)
    batches = [
        batch for number in numbers for batch in cut_batches(examples, settings.step_tokens, seed + 1000 * number)
    ]
    warm, start = max(len(batches) // 10, 1), time.perf_counter()
    for number, batch in enumerate(batches):
        model.train()
        share = min((number + 1) / warm, (len(batches) - number) / max(len(batches) - warm, 1))
        optimizer.param_groups[0]["lr"] = settings.rate * share
        tokens = sum(example.tokens for example in batch)
        for example in batch:
            (find_nats(model, example).sum() / tokens).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    seconds = time.perf_counter() - start
    read = sum(len(example.ids) for batch in batches for example in batch)
    learnt = sum(example.tokens for batch in batches for example in batch)
    return model, {"steps": len(batches), "seconds": seconds, "tokens_read": read, "tokens_learnt": learnt}


def identify(settings: TuningSettings, test: Mapping[str, Sequence[TokenExample]]) -> str:
    """What cells must agree in to be compared: the settings and the held-out examples."""
    made = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    for name in sorted(test):
        for example in test[name]:
            made.update(example.ids.numpy().tobytes() + example.scored.numpy().tobytes())
    return made.hexdigest()[:16]


def make_cell(path: Path, made_from: str, make: Any) -> dict[str, Any]:
    """Read a cell, or make and write it. One of other settings is made again."""
    if path.exists():
        cell = json.loads(path.read_text(encoding="utf-8"))
        if cell["made_from"] == made_from:
            return dict(cell)
    cell = {"made_from": made_from} | make()
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, cell)
    return cell


def spread(examples: Sequence[DrawnExample], count: int) -> list[DrawnExample]:
    """So many of the examples, at equal distances."""
    places = np.linspace(0, len(examples) - 1, min(count, len(examples))).round().astype(int)
    return [examples[at] for at in places.tolist()]


def predict(reader: responses.ResponseReader, examples: Sequence[DrawnExample], name: str) -> dict[str, float]:
    """The measures of rank-sft over the examples that may be trained on."""
    import pyarrow as pa

    table = pa.concat_tables(list(responses.measure_examples(reader, examples)))
    values = evaluate_measures(build_columns(collect_sums(name, table).sums).sum(axis=0))
    return {predictor: float(values[measure]) for predictor, measure in PREDICTORS.items()}


# ---- what is compared ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GainTable:
    """Bits per byte that each model gains: datasets × seeds × held-out examples, with what they are of."""

    names: Sequence[str]
    bits: NDArray[np.float64]
    """Datasets × seeds × examples: bits that an example lost."""
    num_bytes: NDArray[np.float64]
    tests: NDArray[np.str_]
    """The set of each held-out example."""

    def average(self, seeds: NDArray[np.int64], examples: NDArray[np.int64], others: bool) -> NDArray[np.float64]:
        """The gain of each dataset over some seeds and examples, each test weighing the same.

        With ``others`` without a dataset's own test, less what the other datasets gain there.
        """
        bits = self.bits[:, seeds].mean(axis=1)[:, examples]
        tests = list(dict.fromkeys(self.tests.tolist()))
        gains = np.stack(
            [
                (bits[:, self.tests[examples] == test]).sum(axis=1)
                / max(self.num_bytes[examples][self.tests[examples] == test].sum(), 1)
                for test in tests
            ],
            axis=1,
        )
        if others:
            own = np.array([[name.removeprefix(SHUFFLED) == test for test in tests] for name in self.names])
            gains = np.where(own, np.nan, gains)
            return np.asarray(np.nanmean(gains - np.nanmean(gains, axis=0, keepdims=True), axis=1))
        return np.asarray(gains.mean(axis=1))


def bound_tau(
    table: GainTable, values: NDArray[np.float64], others: bool, draws: int = 1000
) -> tuple[float, float, float]:
    """Kendall's τ of an order, lowest first, with the gains, and its 95 % interval over seeds and held-out examples."""
    seeds, examples = np.arange(table.bits.shape[1]), np.arange(table.bits.shape[2])
    generator, taus = np.random.default_rng(0), []
    for _ in range(draws):
        drawn = [generator.choice(part, len(part)) for part in (seeds, examples)]
        taus.append(compute_tau(values, -table.average(drawn[0], drawn[1], others)))
    low, high = np.nanquantile(taus, (0.025, 0.975))
    return compute_tau(values, -table.average(seeds, examples, others)), float(low), float(high)


def bound_random(count: int) -> tuple[float, float]:
    """The 95 % range of τ of an order at random: of all permutations, or of 10,000."""
    base = np.arange(float(count))
    if count <= 7:
        orders = (np.array(order, np.float64) for order in itertools.permutations(range(count)))
    else:
        generator = np.random.default_rng(0)
        orders = (generator.permutation(count).astype(np.float64) for _ in range(10_000))
    low, high = np.quantile([compute_tau(base, order) for order in orders], (0.025, 0.975))
    return float(low), float(high)


def render(table: GainTable, predicted: Mapping[str, Mapping[str, float]], settings: TuningSettings, cells: Any) -> str:
    """The table of gains, and that of orders."""
    seeds, examples = np.arange(table.bits.shape[1]), np.arange(table.bits.shape[2])
    gains = table.average(seeds, examples, others=False)
    by_seed = np.stack([table.average(np.array([seed]), examples, others=False) for seed in seeds], axis=1)
    speed = np.median([cell["tokens_read"] / cell["seconds"] for cell in cells])
    how = f"LoRA of rank {settings.rank}" if settings.rank else "all weights"
    lines = [
        f"{Path(settings.model).name}, {how}, rate {settings.rate:g}; {settings.tokens:,} answer tokens of each "
        f"dataset, {settings.passes} passes, {len(seeds)} seeds; {len(examples):,} held-out examples; measures "
        f"on {settings.measured:,} examples of each; {speed:,.0f} tokens/s.",
        "",
        f"| trained on | gain, bits/byte | seeds | {' | '.join(PREDICTORS)} |",
        f"|---|--:|---|{'--:|' * len(PREDICTORS)}",
    ]
    for at in np.argsort(-gains, kind="stable").tolist():
        shown = " ".join(f"{gain:+.4f}" for gain in by_seed[at])
        values = " | ".join(f"{value:.2f}" for value in predicted[table.names[at]].values())
        lines.append(f"| {table.names[at]} | {gains[at]:+.4f} | {shown} | {values} |")
    lines += ["", "| order by | τ with the gain on the mixed test | on the others' tests |", "|---|--:|--:|"]
    for predictor in PREDICTORS:
        values = np.array([predicted[name][predictor] for name in table.names])
        taus = [bound_tau(table, values, others) for others in (False, True)]
        lines.append(
            f"| {predictor} | {' | '.join(f'{tau:+.2f} [{low:+.2f}, {high:+.2f}]' for tau, low, high in taus)} |"
        )
    low, high = bound_random(len(table.names))
    return "\n".join([*lines, f"| {RANDOM} | {' | '.join([f'+0.00 [{low:+.2f}, {high:+.2f}]'] * 2)} |"])


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("model", nargs="?", default="builtin", help="folder of the base model, or builtin")
    add("sets", nargs="*", help="instruction datasets: paths, or NAME=PATH")
    add("--control", action="append", default=[], help="the name of a dataset to train on with shuffled answers, too")
    add("--out", type=Path, default=Path("foretells"), help="folder of the cells")
    add("--examples", type=int, default=2000, help="examples drawn of each dataset")
    add("--tokens", type=int, default=20_000, help="answer tokens to train on")
    add("--held-out", type=int, default=3000, help="answer tokens of each dataset in the test")
    add("--step-tokens", type=int, default=1000, help="answer tokens of a step")
    add("--passes", type=int, default=1)
    add("--rate", type=float, help="learning rate (2e-4 with LoRA, 2e-5 without)")
    add("--rank", type=int, default=16, help="of LoRA; 0 trains all weights")
    add("--longest", type=int, default=1024, help="tokens of an example")
    add("--measured", type=int, default=200, help="examples of each dataset that rank-sft's measures are taken on")
    add("--seeds", type=int, default=3)
    add("--small", action="store_true", help="the model in the box and three small sets, a few steps: proves nothing")
    add("--readme", action="store_true", help="put the tables into benchmarks/README.md too")
    options = parser.parse_args()
    if options.small:
        options.sets = options.sets or [
            str(SAMPLE / name) for name in ("dolly.json", "school-math.jsonl", "oasst.jsonl")
        ]
        options.control = options.control or ["dolly"]
        options.tokens, options.held_out, options.step_tokens = 600, 300, 150
        options.examples, options.longest, options.seeds = 40, 256, 2
    if len(options.sets) < 3:
        parser.error("at least three datasets")
    if options.rate is None:
        options.rate = 2e-4 if options.rank else 2e-5
    return options


def run(options: argparse.Namespace) -> str:
    """Measure, tune, compare.  → what is said"""
    settings = TuningSettings(
        options.model, options.examples, options.tokens, options.held_out, options.step_tokens, options.passes,
        options.rate, options.rank, options.longest, options.measured,
    )  # fmt: skip
    reader = open_reader(ModelVariant(options.model, "auto"), ScoringConfig(device="cpu"), RankingOptions())
    train: dict[str, list[DrawnExample]] = {}
    test: dict[str, list[TokenExample]] = {}
    for dataset in open_sets(options.sets, None, "quarantine"):
        train[dataset.name], kept = split_held_out(draw_sample(dataset, options.examples, 0).examples)
        test[dataset.name] = take(encode(reader, kept, options.longest), options.held_out, 0)
    for name in options.control:
        train[SHUFFLED + name] = shuffle_answers(train[name])
    held_out = [example for examples in test.values() for example in examples]
    made_from, cells = identify(settings, test), options.out / "cells"
    predicted = {
        name: make_cell(
            cells / f"{name}-measures.json",
            made_from,
            lambda name=name: predict(reader, spread(train[name], options.measured), name),
        )
        for name in train
    }
    before = make_cell(
        cells / "base.json", made_from, lambda: {"nats": measure(open_model(replace(settings, rank=0), 0), held_out)}
    )
    found = {}
    for seed, name in itertools.product(range(options.seeds), train):

        def make(seed: int = seed, name: str = name) -> dict[str, Any]:
            examples = take(encode(reader, train[name], options.longest), options.tokens, seed)
            model, took = tune(examples, settings, seed)
            return took | {"nats": measure(model, held_out)}

        found[name, seed] = make_cell(cells / f"{name}-{seed}.json", made_from, make)
        cell = found[name, seed]
        score.say(
            f"{name}, seed {seed}: {cell['tokens_learnt']:,} tokens, {cell['tokens_read'] / cell['seconds']:,.0f}/s"
        )
    nats = np.array([[found[name, seed]["nats"] for seed in range(options.seeds)] for name in train])
    sizes = np.array([example.num_bytes for example in held_out], np.float64)
    tests = np.array([name for name, examples in test.items() for _ in examples])
    table = GainTable(list(train), (np.array(before["nats"]) - nats) / math.log(2), sizes, tests)
    measured = {name: {key: values[key] for key in PREDICTORS} for name, values in predicted.items()}
    return render(table, measured, settings, list(found.values()))


def main() -> None:
    options = read_options()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    text = run(options)
    print(text)
    if options.readme:
        put_into(HERE / "README.md", "<!-- foretells -->", "<!-- /foretells -->", text)


if __name__ == "__main__":
    main()
