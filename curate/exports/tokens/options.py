"""``--format tokens``: documents written as the ids of a tokenizer, and not as text."""

from pathlib import Path
from typing import Any

from curate.corpus import Corpus
from curate.corpus.schema_widening import SchemaShape
from curate.errors import UsageError
from curate.exports.joined_slices import ExportJob, TokenSpelling
from curate.exports.shards import ShardWriter


def check(format: str, tokenizer: str | None, layout: str, append: str, push_to_hub: str | None) -> None:
    """UsageError where the options of token files are asked of another format, or are missing."""
    if format != "tokens":
        if tokenizer is not None or layout != "megatron" or append != "eos":
            raise UsageError("--tokenizer, --layout and --append are about token files", "--format tokens")
        return
    if tokenizer is None:
        raise UsageError("--format tokens needs a tokenizer", "--tokenizer FOLDER, a Hub id, or builtin")
    if push_to_hub is not None:
        raise UsageError("token files are no data set of the Hub", "leave out --push-to-hub, or use --format parquet")


def open_spelling(corpus: Corpus, tokenizer: str | None, layout: str, append: str) -> TokenSpelling | None:
    """The tokenizer and how its ids are written; None where text is."""
    if tokenizer is None:
        return None
    if corpus.conversation is not None:
        message = f"the corpus holds conversations ({corpus.conversation}); token files are made of one column of text"
        raise UsageError(message, "--format parquet, and the chat template of your trainer")
    from curate.reference.tokenizer_only import open_vocabulary

    return TokenSpelling(open_vocabulary(tokenizer), layout, append)


def open_writer(job: ExportJob, folder: Path) -> Any:
    """What writes the tables of a job: shards of text, or of ids."""
    shape = SchemaShape(last=tuple(job.names.values()))
    if job.spelling is None:
        return ShardWriter(folder, job.format, job.shard_bytes, shape)
    from curate.exports.tokens.writer import TokenWriter

    key, how = (job.names["file"], job.names["row"]), job.spelling
    return TokenWriter(
        folder, how.vocabulary, how.layout, how.append, job.corpus.text_field, key, job.shard_bytes, shape
    )
