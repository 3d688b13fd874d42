"""``curate train-reference``: a reference model of one's own, trained on text that one trusts.

CCNet, Marion et al. and Ankner et al. all score with a model trained on text of the kind that they want more of; a
small model of the right text tells more than a large one of the wrong text.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from curate.errors import UsageError


@dataclass(frozen=True, slots=True)
class TrainedReference:
    """What ``train_reference`` leaves behind: where the model is, and what it came to."""

    out: str
    training: dict[str, Any]

    def render(self) -> str:
        """The summary that ends the command."""
        found = self.training
        return (
            f"{self.out}   {found['parameters'] / 1e6:.2f} M parameters, {found['steps']:,} steps, "
            f"{found['tokens'] / 1e6:.1f} M tokens ({found['epochs']:.2f} passes), "
            f"{found['seconds'] / 60:.1f} minutes\n"
            f"held out      {found['held_out_bits_per_byte']:.3f} bits per byte "
            f"on {found['held_out_documents']:,} documents\n\n"
            f"next: curate score CORPUS --model {self.out}"
        )

    def as_dict(self) -> dict[str, Any]:
        return {"out": self.out, **self.training}


def train_reference(
    corpus: Annotated[list[str], typer.Argument(help="Files, folders, globs or URLs of text that you trust.")],
    out: Annotated[
        str, typer.Option("--out", help="Folder for the finished model; also where a stopped training goes on.")
    ],
    minutes: Annotated[
        float | None, typer.Option(help="Budget in minutes of training (60 when none is named).")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(help="Budget in tokens read; the sooner of two budgets ends it.")
    ] = None,
    vocabulary: Annotated[int, typer.Option(help="Tokens in the vocabulary.")] = 8192,
    context: Annotated[int, typer.Option(help="Tokens that the model can look at.")] = 1024,
    width: Annotated[int, typer.Option(help="Width of the model.")] = 256,
    layers: Annotated[int, typer.Option(help="Layers of the model.")] = 4,
    heads: Annotated[int, typer.Option(help="Attention heads of a layer.")] = 4,
    document_tokens: Annotated[int | None, typer.Option(help="Read no more than this of one document.")] = None,
    balance: Annotated[
        str | None, typer.Option(help="Hear the values of this column more evenly: by the root of their share.")
    ] = None,
    batch_tokens: Annotated[int, typer.Option(help="Tokens of one step.")] = 4096,
    packs: Annotated[int, typer.Option(help="Parts of a step that are computed side by side.")] = 2,
    matrix_rate: Annotated[float, typer.Option(help="Peak rate of learning of the layers' matrices (Muon).")] = 0.02,
    vector_rate: Annotated[float, typer.Option(help="Peak rate of embeddings and gains (AdamW).")] = 0.006,
    held_out: Annotated[
        str | None, typer.Option(help="Measure on this set; else one document of 200 is kept out.")
    ] = None,
    weights: Annotated[str, typer.Option(help="Write the weights as bfloat16 or float32.")] = "bfloat16",
    compute: Annotated[str, typer.Option(help="Multiply in bfloat16, float32, or auto: what is faster here.")] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the first weights and of the order of the documents.")] = 0,
    text_field: Annotated[str | None, typer.Option(help="Column of the text, when it is not obvious.")] = None,
    limit: Annotated[int | None, typer.Option(help="Read no more than so many documents.")] = None,
    sample: Annotated[float | None, typer.Option(help="Read this share of the documents, chosen by the seed.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what --out holds and begin again.")] = False,
) -> TrainedReference:
    """Train a tokenizer and a small language model on your own trusted text, to score with.

    The rate of learning falls to zero over the budget, so that it is worth naming the time that you have. Stopped or
    killed, the same command goes on from the last checkpoint; with another corpus or other parameters it refuses.
    ``--out`` becomes a folder that ``transformers`` loads, with a model card and ``training.json``.
    """
    from dataclasses import asdict
    from pathlib import Path

    import torch

    from curate.reference.training import TrainingConfig, train

    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"{device} is no device to train on", "--device auto, cpu or cuda")
    recipe = TrainingConfig(
        vocabulary=vocabulary,
        context=context,
        width=width,
        layers=layers,
        heads=heads,
        minutes=60.0 if minutes is None and tokens is None else minutes,
        tokens=tokens,
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
    texts, groups, read = open_texts(corpus, text_field, limit, sample, seed, balance)
    measured, _, measured_read = (
        open_texts([held_out], text_field, None, None, seed, None) if held_out else (None, None, None)
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


def open_texts(
    paths: list[str], text_field: str | None, limit: int | None, sample: float | None, seed: int, column: str | None
) -> tuple[Any, Any, dict[str, str]]:
    """Functions that read the texts, and each one's value of ``column``, from the beginning; and what the texts are."""
    from curate.corpus import open_corpus
    from curate.rundir import document_columns
    from curate.runtime.console import say, warn

    opened = open_corpus(paths, text_field=text_field, limit=limit, sample=sample, seed=seed)
    say("reading", opened.describe())
    if column is not None:
        document_columns.check(opened, column)

    def texts() -> Any:
        unreadable = 0
        for documents in opened.slices():
            for text, status in zip(documents.texts, documents.statuses, strict=True):
                if status == "ok":
                    yield text
                unreadable += status == "unreadable"
        if unreadable:
            warn(f"{unreadable:,} unreadable rows were passed over")

    def groups() -> Any:
        for documents in opened.slices(columns=(str(column),)):
            values = documents.table[str(column)].to_pylist() if documents.table is not None else []
            for value, status in zip(values, documents.statuses, strict=True):
                if status == "ok":
                    yield str(value)

    return texts, groups, {"description": opened.describe(), "fingerprint": opened.fingerprint()}
