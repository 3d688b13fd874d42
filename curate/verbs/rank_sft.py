"""``curate rank-sft``: which instruction dataset fits a base model, and how sure that is."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from curate.errors import UsageError
from curate.sft.measuring.show_mask import Masks
from curate.sft.ranking.summary import Ranking

if TYPE_CHECKING:
    from curate.sft.datasets import InstructionSet
    from curate.sft.measuring.reader import ModelVariant


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
    from curate.reference import protocol
    from curate.sft.measuring import response_cache
    from curate.sft.measuring.reader import RankingOptions
    from curate.sft.ranking.rank import compete
    from curate.sft.ranking.session import RankingSession

    reading = protocol.ScoringConfig(
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
    wanted = RankingOptions(turns, end_of_turn, sample or None, seed, draws, measure, overlap)
    variants = list_variants(model, models, template)
    sets = open_sets(data, schema, on_error)
    if show_mask is not None:
        from curate.sft.measuring.show_mask import show

        return show(sets, variants[0], reading, wanted, show_mask)
    contest = RankingSession(sets, response_cache.open_book(out), wanted, restart)
    contest.draw_all()
    return compete(contest, variants, reading, chat_model, until_separated, examples)


def check(by: str, sample: int, draws: int, show_mask: int | None) -> str:
    """The measure to rank by; UsageError for an option that means nothing."""
    from curate.sft.ranking.measures import RANKABLE, SHORT_NAMES

    measure = SHORT_NAMES.get(by, by)
    if measure not in RANKABLE:
        raise UsageError(f"--by {by}: no dataset is better by that", f"one of ppl, bpb, {', '.join(RANKABLE)}")
    if sample < 0:
        raise UsageError(f"--sample {sample}: at least one example must be drawn", "--sample 0 takes all of them")
    if draws < 100:
        raise UsageError(f"--draws {draws} give no interval", "100 or more; 1000 is usual")
    if show_mask is not None and show_mask < 1:
        raise UsageError(f"--show-mask {show_mask} shows nothing", "for example --show-mask 2")
    return measure


def list_variants(model: str, models: str | None, template: str) -> "list[ModelVariant]":
    """The base models and templates to rank under, the first of each first; each pair once."""
    from curate.sft.measuring.reader import ModelVariant

    named = [name.strip() for name in (models or "").split(",") if name.strip()]
    if model != "builtin" or not named:
        named = [model, *named]
    if "none" in named:
        raise UsageError("--model none measures nothing, and a ranking needs a base model", "name the model to tune")
    templates = [name.strip() for name in template.split(",") if name.strip()] or ["auto"]
    return [ModelVariant(name, kind) for name in dict.fromkeys(named) for kind in dict.fromkeys(templates)]


def open_sets(data: list[str], schema: str | None, on_error: str) -> "list[InstructionSet]":
    """The datasets, each under a name of its own."""
    from curate.sft.datasets import name_sets, open_set

    return [open_set(path, schema, name=name, on_error=on_error) for name, path in name_sets(data).items()]
