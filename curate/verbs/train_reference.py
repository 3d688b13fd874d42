"""``curate train-reference``: a reference model trained on text that you trust.

CCNet, Marion et al. and Ankner et al. all score with a model trained on text of the kind that they want more of; a
small model of the right text tells more than a large one of the wrong text.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from curate.runtime.choices import ComputeDtype, WeightsDtype
from curate.runtime.numbers import parse_tokens
from curate.runtime.options import (
    CorpusArgument,
    DelimiterOption,
    LimitOption,
    QuotingOption,
    RestartOption,
    SampleOption,
    SeedOption,
    TextFieldOption,
    as_list,
    verb_function,
)
from curate.runtime.text import quote_word

if TYPE_CHECKING:
    from curate.corpus import Corpus


@dataclass(frozen=True, slots=True)
class TrainedReference:
    """The model that ``train_reference`` wrote: its folder and the record of its training."""

    out: str
    training: dict[str, Any]

    def render(self) -> str:
        """The summary that ends the command."""
        record = self.training
        return (
            f"{self.out}   {record['parameters'] / 1e6:.2f} M parameters, {record['steps']:,} steps, "
            f"{record['tokens'] / 1e6:.1f} M tokens ({record['epochs']:.2f} passes), "
            f"{record['seconds'] / 60:.1f} minutes\n"
            f"held out      {record['held_out_bits_per_byte']:.3f} bits per byte "
            f"on {record['held_out_documents']:,} documents\n\n"
            f"next: curate score CORPUS --model {quote_word(self.out)}"
        )

    def as_dict(self) -> dict[str, Any]:
        return {"out": self.out, **self.training}


@verb_function()
def train_reference(
    corpus: CorpusArgument,
    out: Annotated[
        str, typer.Option("--out", help="Folder for the finished model; a stopped training resumes from it.")
    ],
    minutes: Annotated[
        float | None, typer.Option(help="Budget in minutes of training.  [default: 60 without --tokens]")
    ] = None,
    tokens: Annotated[
        str | int | None, typer.Option(help="Budget in tokens read, as in 2B; the sooner of two budgets ends it.")
    ] = None,
    vocabulary: Annotated[int, typer.Option(help="Tokens in the vocabulary.")] = 8192,
    context: Annotated[int, typer.Option(help="Tokens that the model can look at.")] = 1024,
    width: Annotated[int, typer.Option(help="Width of the model.")] = 256,
    layers: Annotated[int, typer.Option(help="Layers of the model.")] = 4,
    heads: Annotated[int, typer.Option(help="Attention heads of a layer.")] = 4,
    document_tokens: Annotated[int | None, typer.Option(help="Read only this many tokens of one document.")] = None,
    balance: Annotated[
        str | None, typer.Option(help="Read the values of this column more evenly: by the root of their share.")
    ] = None,
    batch_tokens: Annotated[int, typer.Option(help="Tokens of one step.")] = 4096,
    packs: Annotated[int, typer.Option(help="Parts of a step that are computed side by side.")] = 2,
    matrix_rate: Annotated[float, typer.Option(help="Peak learning rate of the layers' matrices (Muon).")] = 0.02,
    vector_rate: Annotated[float, typer.Option(help="Peak learning rate of embeddings and gains (AdamW).")] = 0.006,
    held_out: Annotated[
        str | None, typer.Option(help="Corpus to measure on.  [default: one document of 200, kept out]")
    ] = None,
    weights: Annotated[WeightsDtype, typer.Option(help="Number format of the weights that are written.")] = "bfloat16",
    compute: Annotated[
        ComputeDtype,
        typer.Option(help="Number format to multiply in; auto: the faster one on this machine."),
    ] = "auto",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Device to train on.")] = "auto",
    seed: SeedOption = 0,
    text_field: TextFieldOption = None,
    delimiter: DelimiterOption = None,
    quoting: QuotingOption = "auto",
    limit: LimitOption = None,
    sample: SampleOption = None,
    restart: RestartOption = False,
) -> TrainedReference:
    """Train a tokenizer and a small language model on text that you trust, to score with, and return what it came to.

    The learning rate falls to zero over the budget, so name the time that you have. Stopped or killed, the same command
    resumes from the last checkpoint. ``--out`` becomes a folder that ``transformers`` loads, with a model card and
    ``training.json``.

    Raises UsageError for sizes that do not fit together, CorpusError for a corpus that cannot be read, and TableError
    where ``--out`` holds a training on another corpus or with other parameters.
    """
    from dataclasses import asdict
    from pathlib import Path

    import torch

    from curate.reference.training import TrainingConfig, train
    from curate.rundir.guards.claims import claim_folder
    from curate.rundir.guards.ownership import check_outside
    from curate.runtime.disk.filenames import expand_home
    from curate.runtime.disk.files import check_output_directory

    recipe = TrainingConfig(
        vocabulary=vocabulary,
        context=context,
        width=width,
        layers=layers,
        heads=heads,
        minutes=60.0 if minutes is None and tokens is None else minutes,
        tokens=None if tokens is None else parse_tokens(tokens),
        document_tokens=document_tokens,
        balance=balance,
        batch_tokens=batch_tokens,
        packs=packs,
        matrix_rate=matrix_rate,
        vector_rate=vector_rate,
        held_out_every=0 if held_out else 200,
        seed=seed,
        compute=compute,
        weights=weights,
    )
    out = str(expand_home(out))
    check_output_directory(Path(out))
    check_outside([*as_list(corpus), *([held_out] if held_out else [])], Path(out), "--out ")
    claim_folder(Path(out), "train-reference", ("", ".training"))
    options = {"text_field": text_field, "delimiter": delimiter, "quoting": quoting}
    texts, groups, read = open_texts(as_list(corpus), options, limit, sample, seed, balance)
    measured, _, measured_read = (
        open_texts([held_out], options, None, None, seed, None) if held_out else (None, None, None)
    )
    training = train(
        texts,
        Path(out),
        recipe,
        provenance={"corpus": read, **({"held_out": measured_read} if measured_read else {})},
        held_out=measured,
        groups=groups if balance else None,
        device=("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device,
        restart=restart,
    )
    return TrainedReference(out, asdict(training))


def describe_published(corpus: "Corpus") -> str:
    """Return the line that describes a corpus, with base names in place of its paths."""
    from curate.runtime.published import hide_folder

    return replace(corpus, paths=tuple(map(hide_folder, corpus.paths))).describe()


def open_texts(
    paths: list[str], options: dict[str, Any], limit: int | None, sample: float | None, seed: int, column: str | None
) -> tuple[Any, Any, dict[str, str]]:
    """Return functions that read the texts, and the value of ``column`` of each, from the first; and the corpus record.

    ``options`` are those of ``open_corpus`` beside the others. Raises CorpusError where there is nothing to read, and
    UsageError where the corpus has no such column.
    """
    from curate.corpus import check_dialect_used, check_holds_text, open_corpus
    from curate.rundir.columns.names import check_document_column, find_path
    from curate.runtime.console import say, warn

    opened = open_corpus(paths, **options, limit=limit, sample=sample, seed=seed)
    check_dialect_used([opened], options["delimiter"], options["quoting"])
    say("reading", opened.describe())
    check_holds_text(opened)
    if column is not None:
        column = find_path(check_document_column(opened, column))

    def texts() -> Any:
        unreadable = 0
        for documents in opened.slices():
            for text, status in zip(documents.texts, documents.statuses, strict=True):
                if status == "ok":
                    yield text
                unreadable += status == "unreadable"
        if unreadable:
            warn(f"{unreadable:,} unreadable rows were skipped")

    def groups() -> Any:
        for documents in opened.slices(columns=(str(column),)):
            values = documents.table[str(column)].to_pylist() if documents.table is not None else []
            for value, status in zip(values, documents.statuses, strict=True):
                if status == "ok":
                    yield str(value)

    return texts, groups, {"description": describe_published(opened), "fingerprint": opened.fingerprint()}
