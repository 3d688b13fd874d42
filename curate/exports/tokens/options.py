"""``--format tokens``: documents written as the ids of a tokenizer, and not as text."""

from pathlib import Path

from curate.corpus import Corpus
from curate.corpus.values.schema_widening import SchemaShape
from curate.errors import UsageError
from curate.exports.formats.depot import ShardDepot
from curate.exports.formats.shard_writer import ShardWriter
from curate.exports.formats.shards import FORMATS
from curate.exports.job import ExportJob, TokenSpelling
from curate.exports.tokens.writer import TokenWriter


def check_token_options(format: str, tokenizer: str | None, layout: str, append: str, push_to_hub: str | None) -> None:
    """Raise UsageError where options of token files are given for another format, or are missing.

    ``format`` is a name in ``shards.FORMATS``.
    """
    if FORMATS[format].holds_text:
        if tokenizer is not None or layout != "megatron" or append != "eos":
            raise UsageError(
                f"--tokenizer, --layout and --append are about token files, not --format {format}", "--format tokens"
            )
        return
    if tokenizer is None:
        raise UsageError(f"--format {format} needs a tokenizer", "--tokenizer FOLDER, a Hub id, or builtin")
    if push_to_hub is not None:
        message = f"--push-to-hub does not work with --format {format}: token files are no dataset of the Hub"
        raise UsageError(message, "leave out --push-to-hub, or use --format parquet")


def open_spelling(corpus: Corpus, tokenizer: str | None, layout: str, append: str) -> TokenSpelling | None:
    """Return the tokenizer and how its ids are written, or None without a tokenizer.

    Raises UsageError for a corpus of conversations, ModelError where the tokenizer cannot be loaded.
    """
    if tokenizer is None:
        return None
    if corpus.conversation is not None:
        message = f"the corpus holds conversations ({corpus.conversation}); token files are made of one column of text"
        raise UsageError(message, "--format parquet, and the chat template of your trainer")
    from curate.exports.tokens.tokenizer import load_tokenizer  # It imports torch.

    return TokenSpelling(load_tokenizer(tokenizer), layout, append)


def open_writer(job: ExportJob, folder: Path, depot: ShardDepot | None = None) -> ShardWriter | TokenWriter:
    """Return a writer for the tables of a job: of text, or with a tokenizer of ids."""
    shape = SchemaShape(last=tuple(job.names.values()))
    if job.spelling is None:
        return ShardWriter(folder, job.format, job.shard_bytes, shape, depot=depot)
    return open_token_writer(job, job.spelling, folder, shape, depot)


def open_token_writer(
    job: ExportJob, spelling: TokenSpelling, folder: Path, shape: SchemaShape, depot: ShardDepot | None = None
) -> TokenWriter:
    """Return a writer of ids for the tables of a job."""
    key = (job.names["file"], job.names["row"])
    return TokenWriter(
        folder,
        spelling.vocabulary,
        spelling.layout,
        spelling.append,
        job.corpus.text_field,
        key,
        job.shard_bytes,
        shape,
        depot=depot,
    )
