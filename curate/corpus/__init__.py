"""A corpus is files of documents, read as slices: streaming, in bounded memory, the same slices every time.

    corpus = open_corpus(["corpus/"])
    for documents in corpus.slices():
        documents.texts, documents.statuses, documents.mark

A document is a row with a column of text, or a conversation: ``text_field="@messages"`` reads turns, and
``documents.turns`` has them one by one.

Rows without a text of their own, whatever their columns: ``open_records(paths).records()``.

JSON Lines, JSON arrays, Parquet, Arrow, CSV, TSV and plain text, compressed or not, in folders, globs, behind URLs
and on the Hub. The key of a document is its place, ``(file, row)``. A row that cannot be read is a row with a status,
a place and a reason; nothing is dropped unseen.
"""

from curate.corpus.corpus import Corpus, open_corpus, open_records
from curate.corpus.readers.raw_rows import RawRow
from curate.corpus.types import Documents, SliceMark, Source

__all__ = ["Corpus", "Documents", "RawRow", "SliceMark", "Source", "open_corpus", "open_records"]
