"""``curate rank-sft``: which instruction dataset fits a base model, and how sure that is."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from curate.errors import UsageError
from curate.runtime.calls import repeat_command
from curate.runtime.options import (
    COMMAS,
    DeviceOption,
    DtypeOption,
    ExactOption,
    OnErrorOption,
    PackTokensOption,
    PrefixOption,
    RedactOption,
    RestartOption,
    RevisionOption,
    SeedOption,
    TrustRemoteCodeOption,
    WindowOption,
    as_list,
    verb_function,
)
from curate.sft.measuring.show_mask import Masks
from curate.sft.ranking.summary import Ranking

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from curate.corpus.chat.named_columns import FieldNames
    from curate.sft.datasets import InstructionSet

Measure = Literal[
    "ppl", "bpb", "perplexity", "mean_perplexity", "bits_per_byte", "rsr", "token_rsr", "first_64", "residual",
    "full_perplexity",
]  # fmt: skip
"""Short and full names of the measures that rank: of each, lower is better."""
LEAST_DRAWS = 100
"""Bootstrap draws below which each end of a 95 % interval would rest on two or three of them."""


@verb_function(sample="sample_size")
def rank_sft(
    data: Annotated[list[str] | str, typer.Argument(help="Datasets: files, folders, Hub ids; NAME=DATA names one.")],
    model: Annotated[str, typer.Option(help="Base model to tune: a local folder, a Hub id, or builtin.")] = "builtin",
    models: Annotated[
        str | None, typer.Option(help="More base models, with commas: rank under each and compare the orders."), COMMAS
    ] = None,
    chat_model: Annotated[
        str | None, typer.Option(help="A chat model made from the base: read each dataset in three ways.")
    ] = None,
    by: Annotated[
        Measure, typer.Option(help="Measure to rank by, lowest first; ppl is perplexity, bpb bits_per_byte.")
    ] = "ppl",
    schema: Annotated[
        str | None, typer.Option(help="Schema of all datasets, such as alpaca or messages.  [default: detected]")
    ] = None,
    prompt_field: Annotated[
        str | None,
        typer.Option(help="Columns of the question, joined; NAME=COLUMN for one dataset.  [default: detected]"),
        COMMAS,
    ] = None,
    response_field: Annotated[
        str | None, typer.Option(help="Column of the answer, or NAME=COLUMN.  [default: detected]"), COMMAS
    ] = None,
    messages_field: Annotated[
        str | None, typer.Option(help="Column of the messages, or NAME=COLUMN.  [default: detected]"), COMMAS
    ] = None,
    role_field: Annotated[
        str | None,
        typer.Option(help="Key of a message that says who speaks, or NAME=KEY.  [default: role, from]"),
        COMMAS,
    ] = None,
    content_field: Annotated[
        str | None,
        typer.Option(help="Key of a message with what is said, or NAME=KEY.  [default: content, value, text]"),
        COMMAS,
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(help="Roles of the messages as user, assistant, system, tool: customer=user,agent=assistant."),
        COMMAS,
    ] = None,
    template: Annotated[
        str,
        typer.Option(
            help="Chat template: auto (the model's, else plain), trl, plain, chatml, FILE.jinja; several with commas."
        ),
        COMMAS,
    ] = "auto",
    turns: Annotated[Literal["all", "last"], typer.Option(help="Which turns of the assistant are scored.")] = "all",
    end_of_turn: Annotated[
        bool, typer.Option("--end-of-turn/--no-end-of-turn", help="Score the token that ends an answer too.")
    ] = True,
    sample_size: Annotated[
        int, typer.Option(help="Examples drawn from each dataset, stratified by length; 0 takes all.")
    ] = 1000,
    seed: SeedOption = 0,
    draws: Annotated[int, typer.Option(help="Bootstrap draws.")] = 1000,
    until_separated: Annotated[
        bool, typer.Option("--until-separated", help="Draw more examples of neighbours that are not separated.")
    ] = False,
    apart: Annotated[
        bool, typer.Option("--apart/--no-apart", help="Rank datasets in a language that the base does not read apart.")
    ] = True,
    set_aside: Annotated[
        bool, typer.Option("--set-aside/--no-set-aside", help="Give no rank to a dataset that repeats its answers.")
    ] = True,
    show_mask: Annotated[
        int | None,
        typer.Option(help="Print this many examples of each dataset with the scored part marked, and stop."),
    ] = None,
    out: Annotated[str, typer.Option(help="Folder for the ranking, its page, and what was measured.")] = "ranked",
    examples: Annotated[
        str | None, typer.Option(help="Folder for a run of each dataset with its examples' numbers, for select-sft.")
    ] = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    exact: ExactOption = False,
    prefix: PrefixOption = "auto",
    window: WindowOption = None,
    overlap: Annotated[
        int | None, typer.Option(help="Tokens that a later window reads again.  [default: half the window]")
    ] = None,
    pack_tokens: PackTokensOption = None,
    revision: RevisionOption = None,
    trust_remote_code: TrustRemoteCodeOption = False,
    on_error: OnErrorOption = "quarantine",
    restart: RestartOption = False,
    redact: RedactOption = None,
) -> Ranking | Masks:
    """Rank instruction datasets by how near their answers lie to a base model, and return the ranking with error bars.

    Each dataset's examples are rendered as a trainer would, and the assistant's tokens are scored given the prompt. The
    order is by ``by``, lowest first, with 95 % bootstrap intervals over examples of every number and of every rank.
    What was measured is kept in ``out`` and not measured again. A row that cannot be read or rendered is counted with
    its reason. With ``show_mask`` nothing is measured, and the marked examples are returned. With ``redact`` labels
    stand for personal data and secrets in the examples of the page, of ``ranking.json`` and of ``show_mask``.

    Raises UsageError for options out of range and datasets named twice; CorpusError where a dataset has no example, or,
    with ``examples``, files of different schemas; and ModelError for a model that cannot be loaded or a template that
    leaves nothing to score.
    """
    from pathlib import Path

    from curate.reference import protocol
    from curate.rundir.guards.claims import claim_folder
    from curate.rundir.guards.ownership import check_outside
    from curate.runtime.disk.filenames import expand_home
    from curate.runtime.disk.files import check_output_directory
    from curate.runtime.redaction import make_redactor
    from curate.sft.datasets import name_fields, name_sets, open_sets
    from curate.sft.measuring.reader import RankingOptions, list_variants
    from curate.sft.measuring.response_cache import open_response_cache
    from curate.sft.ranking.rank import rank_datasets
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
    redactor = make_redactor(redact)
    measure = check_ranking_options(by, sample_size, draws, show_mask)
    options = RankingOptions(turns, end_of_turn, sample_size or None, seed, draws, measure, overlap, apart, set_aside)
    variants = list_variants(model, models, template)
    datasets = as_list(data)
    fields = name_fields(
        list(name_sets(datasets)),
        prompt_field=prompt_field,
        response_field=response_field,
        messages_field=messages_field,
        role_field=role_field,
        content_field=content_field,
        role=role,
    )
    check_schema(schema, fields.values())
    sets = open_sets(datasets, schema, on_error, fields)
    if show_mask is not None:
        from curate.sft.measuring.show_mask import show_masks

        return show_masks(sets, variants[0], reading, options, show_mask, redactor)
    if examples:
        examples = str(expand_home(examples))
        check_output_directory(Path(examples))
    for option, folder in (("--out", out), ("--examples", examples)):
        if folder:
            check_outside(list_paths(sets), expand_home(folder), f"{option} ")
    cache = open_response_cache(out)
    claim_folder(cache.path, "rank-sft", ("", "responses/*"))
    session = RankingSession(sets, cache, options, restart)
    session.draw_all()
    return rank_datasets(session, variants, reading, chat_model, until_separated, examples, redactor)


def list_paths(sets: "Sequence[InstructionSet]") -> list[str]:
    """Return the paths of all datasets."""
    return [path for one in sets for path in one.corpus.paths]


def check_schema(schema: str | None, fields: "Iterable[FieldNames]") -> None:
    """Raise UsageError for a schema of all datasets where columns of one are named, which have their own."""
    from curate.sft.datasets.fields import OPTIONS

    for one in fields:
        if schema is not None and one.schema is not None:
            option = next(OPTIONS[key] for key in ("messages", "prompt", "response") if getattr(one, key))
            message = f"--schema and {option} are both given; named columns have their own"
            raise UsageError(message, repeat_command("rank_sft", schema=None))


def check_ranking_options(by: str, sample_size: int, draws: int, show_mask: int | None) -> str:
    """Return the measure to rank by, by its full name. Raises UsageError for a count out of range."""
    from curate.sft.ranking.measures import SHORT_NAMES

    if sample_size < 0:
        message = f"--sample-size must be 0 (all examples) or more, not {sample_size}"
        raise UsageError(message, repeat_command("rank_sft", sample_size=None))
    if draws < LEAST_DRAWS:
        message = f"--draws must be at least {LEAST_DRAWS} to give intervals, not {draws}"
        raise UsageError(message, repeat_command("rank_sft", draws=LEAST_DRAWS))
    if show_mask is not None and show_mask < 1:
        raise UsageError(f"--show-mask must be at least 1, not {show_mask}", repeat_command("rank_sft", show_mask=2))
    return SHORT_NAMES.get(by, by)
