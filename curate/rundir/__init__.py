"""The run directory: tables, their schemas and provenance, and the views that all verbs read.

run             run.json, fingerprints, stages      schemas          columns of every table
parquet         parts, complete or absent           sql              DuckDB connections
scores_view     scores with hits and duplicates     decision_table   what ``filter`` decided
aligned_parts   parts of several tables, row by row document_columns columns of the documents next to their scores
quantiles       exact quantiles, bounded memory     document_blocks  documents as NumPy columns, held where they fit
quantile_samples  the same by a sample and one pass
packed_notes    the metadata of parts, in a manifest
manifests       what each file of a table holds  mending         the command that makes a table again
placements      the tables of ``bucket``, ``order`` signals          columns computed from a text
claims          which verb has which tables at present
columns/        types, spellings, names of documents' columns
verdicts/       hits and duplicates that reject, how reasons are spelled and grouped, documents and tokens by reason

On disk: ``scores/`` and ``hits/`` have a part for each slice, ``carried/COLUMN/`` one for each part of the scores.
``aside/`` has parts, and their carried columns, of files that the corpus no longer has: they come back with the files.
``.claims/`` has a file for each verb that works on the run, while it does.
``streams/`` has what was read from standard input or a pipe, as files of the corpus. ``duplicates.parquet``,
``filter.parquet``, ``buckets.parquet`` and ``order.parquet`` are one file each; ``unreadable.jsonl`` lists the rows
that could not be read, ``run.json`` records what everything was made from, ``manifests/`` what each file of a complete
table holds, ``recipe.yaml`` and ``recipe.json`` the steps of ``curate run``.
"""
