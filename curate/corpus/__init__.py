"""Reading a corpus: files of documents as a stream of slices, in bounded memory, the same slices in every run.

    corpus = open_corpus(["corpus/"])
    for documents in corpus.slices():
        documents.texts, documents.statuses, documents.mark

A document is a row with a column of text, or a conversation: ``text_field="@messages"`` reads turns, and
``documents.turns`` has them one by one.

Rows with any columns, without a text: ``open_records(paths).records()``.

JSON Lines, JSON arrays, Parquet, Arrow, CSV, TSV and plain text, compressed or not, in folders, globs, behind URLs
and on the Hub. The key of a document is ``(file, row)``. A row that cannot be read has a status and a reason; no row
is dropped silently.
"""

from curate.corpus.corpus import Corpus, open_corpus, open_records
from curate.corpus.dialect import check_dialect_used
from curate.corpus.files.spooling import spool_streams
from curate.corpus.holdings import check_holds_text
from curate.corpus.readers.raw_rows import RawRow
from curate.corpus.types import Documents, SliceMark, Source

__all__ = [
    "Corpus", "Documents", "RawRow", "SliceMark", "Source", "check_dialect_used", "check_holds_text", "open_corpus",
    "open_records", "spool_streams",
]  # fmt: skip
