"""``curate rank-sft``: which instruction dataset fits a base model, and how sure that is."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from curate.errors import ModelError, UsageError
from curate.maskscreen import Masks
from curate.rankingscreen import Dataset, Ranking

if TYPE_CHECKING:
    import pyarrow as pa

    from curate.contest import Contest, Variant
    from curate.instructionsets import InstructionSet
    from curate.reference import Reading
    from curate.responses import Reader
    from curate.standings import Table

SHORT = {"ppl": "perplexity", "bpb": "bits_per_byte"}
AUDITED = 10  # examples of each dataset whose masks are compared with the template's own
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def rank_sft(
    data: Annotated[list[str], typer.Argument(help="Datasets: files, folders, Hub ids; NAME=DATA names one.")],
    model: Annotated[str, typer.Option(help="The base model: a local folder or Hub id.")] = "builtin",
    models: Annotated[
        str | None, typer.Option(help="Rank under these base models too, with commas, and compare the orders.")
    ] = None,
    chat_model: Annotated[
        str | None, typer.Option(help="A chat model made from the base: read each dataset in three ways.")
    ] = None,
    by: Annotated[
        str, typer.Option(help="The measure that ranks: ppl, bpb, rsr, first_64, residual, full_perplexity …")
    ] = "perplexity",
    schema: Annotated[
        str | None, typer.Option(help="The schema of all datasets (detected): alpaca, messages …")
    ] = None,
    template: Annotated[
        str, typer.Option(help="auto (the model's own, else plain), plain, chatml, FILE.jinja; several with commas.")
    ] = "auto",
    turns: Annotated[Literal["all", "last"], typer.Option(help="Which of the assistant's turns are scored.")] = "all",
    end_of_turn: Annotated[
        bool, typer.Option("--end-of-turn/--no-end-of-turn", help="Score the token that ends an answer too.")
    ] = True,
    sample: Annotated[int, typer.Option(help="Examples drawn of each dataset, stratified by length; 0: all.")] = 1000,
    seed: Annotated[int, typer.Option(help="The seed of the sample and of the bootstrap.")] = 0,
    draws: Annotated[int, typer.Option(help="Bootstrap draws.")] = 1000,
    until_separated: Annotated[
        bool, typer.Option("--until-separated", help="Draw more where neighbours cannot be told apart.")
    ] = False,
    show_mask: Annotated[
        int | None, typer.Option(help="Print so many examples of each dataset with the scored part marked, and stop.")
    ] = None,
    out: Annotated[str, typer.Option(help="Folder for the ranking, its page, and what was measured.")] = "ranked",
    examples: Annotated[
        str | None, typer.Option(help="Folder for a run of each dataset with its examples' numbers, for select-sft.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, fp32, bf16, fp16.")] = "auto",
    exact: Annotated[bool, typer.Option("--exact", help="fp32 throughout: 1e-5 nats a token, slower.")] = False,
    prefix: Annotated[str, typer.Option(help="The token read before each example: auto, bos, eos, none.")] = "auto",
    window: Annotated[int | None, typer.Option(help="Tokens read at a time (default: all the model can).")] = None,
    overlap: Annotated[
        int | None, typer.Option(help="Tokens that a later window re-reads (default: half the window).")
    ] = None,
    pack_tokens: Annotated[int | None, typer.Option(help="Tokens of a forward pass (default: chosen).")] = None,
    revision: Annotated[str | None, typer.Option(help="The revision of a Hub model.")] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let a Hub model run code of its own.")
    ] = False,
    on_error: Annotated[str, typer.Option(help="A bad row: count it and go on (quarantine), or stop.")] = "quarantine",
    restart: Annotated[bool, typer.Option("--restart", help="Measure again what was measured before.")] = False,
) -> Ranking | Masks:
    """Rank instruction datasets by how near their answers lie to a base model, with error bars.

    Each dataset's examples are rendered as a trainer would, and the assistant's tokens are scored given what was asked.
    The order is by ``by``, lowest first, with 95 % bootstrap intervals over examples of every number and of every rank.
    What was measured is kept in ``out`` and not measured again. A row that cannot be read or rendered is counted with
    its reason; a dataset that gives no example is a CorpusError, a template that leaves nothing to score a ModelError.
    """
    from curate import rankbook, reference
    from curate.contest import Contest, Wanted

    reading = reference.Reading(
        dtype=dtype,
        exact=exact,
        device=device,
        prefix=prefix,
        window=window,
        pack_tokens=pack_tokens,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    measure = check(by, sample, draws, show_mask)
    wanted = Wanted(turns, end_of_turn, sample or None, seed, draws, measure, overlap)
    variants = list_variants(model, models, template)
    sets = open_sets(data, schema, on_error)
    if show_mask is not None:
        from curate import maskscreen

        return maskscreen.show(sets, variants[0], reading, wanted, show_mask)
    contest = Contest(sets, rankbook.open_book(out), wanted, restart)
    contest.draw_all()
    return compete(contest, variants, reading, chat_model, until_separated, examples)


def check(by: str, sample: int, draws: int, show_mask: int | None) -> str:
    """The measure to rank by; UsageError for an option that means nothing."""
    from curate.standings import RANKABLE

    measure = SHORT.get(by, by)
    if measure not in RANKABLE:
        raise UsageError(f"--by {by}: no dataset is better by that", f"one of ppl, bpb, {', '.join(RANKABLE)}")
    if sample < 0:
        raise UsageError(f"--sample {sample}: at least one example must be drawn", "--sample 0 takes all of them")
    if draws < 100:
        raise UsageError(f"--draws {draws} give no interval", "100 or more; 1000 is usual")
    if show_mask is not None and show_mask < 1:
        raise UsageError(f"--show-mask {show_mask} shows nothing", "for example --show-mask 2")
    return measure


def list_variants(model: str, models: str | None, template: str) -> "list[Variant]":
    """The base models and templates to rank under, the first of each first; each pair once."""
    from curate.contest import Variant

    named = [name.strip() for name in (models or "").split(",") if name.strip()]
    if model != "builtin" or not named:
        named = [model, *named]
    if "none" in named:
        raise UsageError("--model none measures nothing, and a ranking needs a base model", "name the model to tune")
    templates = [name.strip() for name in template.split(",") if name.strip()] or ["auto"]
    return [Variant(name, kind) for name in dict.fromkeys(named) for kind in dict.fromkeys(templates)]


def open_sets(data: list[str], schema: str | None, on_error: str) -> "list[InstructionSet]":
    """The datasets, each under a name of its own."""
    from curate.instructionsets import name_sets, open_set

    return [open_set(path, schema, name=name, on_error=on_error) for name, path in name_sets(data).items()]


def compete(
    contest: "Contest",
    variants: "list[Variant]",
    reading: "Reading",
    chat_model: str | None,
    until_separated: bool,
    examples: str | None,
) -> Ranking:
    """Measure under the first variant, for the ranking; then under the others, to compare; and write all down."""
    from curate import contest as contests
    from curate import examplebook, rankingfiles, standings, threeway

    reader = contests.open_reader(variants[0], reading, contest.wanted)
    announce(reader)
    audit(contest, reader)
    tables, table = settle(contest, reader, until_separated)
    runs = examplebook.write_all(contest, reader, tables, examples) if examples else ()
    shown = {variants[0]: title(variants[0], variants)}
    others = {}
    for variant in variants[1:]:
        other = contests.open_reader(variant, reading, contest.wanted)
        announce(other)
        shown[variant] = title(variant, variants)
        others[shown[variant]] = contest.rank(contest.measure(other))
    names = shown[variants[0]]
    ranking = Ranking(
        model=variants[0].model,
        template=reader.template.name,
        by=contest.wanted.by,
        turns=contest.wanted.turns,
        end_of_turn=contest.wanted.end_of_turn,
        sample=contest.wanted.sample,
        seed=contest.wanted.seed,
        draws=contest.wanted.draws,
        out=str(contest.book.path),
        datasets=tuple(describe(contest, one, tables[one.name]) for one in contest.sets),
        table=table,
        compared=tuple(standings.compare_tables(table, other, (names, name)) for name, other in others.items()),
        definitions=tuple(standings.compare_measures(table)) if len(table.names) > 1 else (),
        others=others,
        chat_model=chat_model,
        readings=threeway.read(contest, reader, chat_model, reading) if chat_model else (),
        identity=reader.reference.identity,
        runs=runs,
    )
    rankingfiles.write(contest.book, ranking)
    return ranking


def settle(contest: "Contest", reader: "Reader", until_separated: bool) -> "tuple[dict[str, pa.Table], Table]":
    """Measure and rank; with ``until_separated`` again with more examples while that may help."""
    from curate import console

    tables = contest.measure(reader)
    table = contest.rank(tables)
    while until_separated and contest.grow(table):
        close = [f"{pair.better} and {pair.worse}" for pair in table.pairs if not pair.separated]
        console.say("not apart", f"{', '.join(close[:4])}{', …' if len(close) > 4 else ''}: drawing more")
        tables = contest.measure(reader)
        table = contest.rank(tables)
    return tables, table


def announce(reader: "Reader") -> None:
    """Say which model reads, in which template."""
    from curate import scoring
    from curate.console import say

    scoring.announce(reader.reference)
    ends = "" if reader.template.end_of_turn else "; the end of turn is not scored"
    say("template", f"{reader.template.name}{ends}")


def audit(contest: "Contest", reader: "Reader") -> None:
    """Where the template marks what the assistant generates, say how far our mask is its own; warn where not."""
    from curate import console, maskscreen

    drawn = [one for name in contest.drawn for one in contest.drawn[name].examples[:AUDITED]]
    try:
        found = maskscreen.audit_drawn(reader, drawn)
    except ModelError as error:
        console.warn(f"the template's own mask cannot be compared: {error.message}")
        return
    if found is None:
        return
    said = maskscreen.describe_audit(found)
    console.say("mask audit", said)
    if found.theirs or found.ours:
        console.warn(
            "the template's own mask is another than ours; a trainer with assistant_only_loss would use its own"
        )


def title(variant: "Variant", variants: "list[Variant]") -> str:
    """What tells a variant from the others: its model, its template, or both."""
    parts = []
    if len({one.model for one in variants}) > 1:
        parts.append(variant.model)
    if len({one.template for one in variants}) > 1:
        parts.append(f"template {variant.template}")
    return ", ".join(parts) or variant.model


def describe(contest: "Contest", one: "InstructionSet", table: "pa.Table") -> Dataset:
    """What was read and measured of a dataset, and a few of its examples."""
    import numpy as np
    import pyarrow.compute as pc

    from curate import contest as contests
    from curate.examplescreen import choose_examples

    found = contest.drawn[one.name]
    ok = table.filter(pc.equal(table["status"], "ok"))
    tokens = ok["tokens"].to_numpy()
    return Dataset(
        name=one.name,
        data=" ".join(one.corpus.paths),
        schemas=found.schemas,
        rows=found.rows,
        available=found.available,
        drawn=len(found.examples),
        refused={reason: tally.count for reason, tally in found.refused.items()},
        unreadable={reason: tally.count for reason, tally in found.unreadable.items()},
        not_scored=dict(contests.count_reasons(table).most_common()),
        notes=contests.count_notes(table),
        long=int((ok["windows"].to_numpy() > 1).sum()),
        prompt_tokens=float(ok["prompt_tokens"].to_numpy().mean()) if ok.num_rows else float("nan"),
        lengths={f"{share:.0%}": float(np.quantile(tokens, share)) for share in QUANTILES} if ok.num_rows else {},
        examples=choose_examples(found.examples, ok),
    )
