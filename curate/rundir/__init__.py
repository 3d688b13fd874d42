"""The run directory: tables, their schemas and provenance, and the views that all verbs read.

run             run.json, fingerprints, stages      schemas          columns of every table
parquet         parts, complete or absent           sql              DuckDB connections
scores_view     scores with hits and duplicates     decision_table   what ``filter`` decided
rejections      hits and duplicates that reject     reasons          how reasons are spelled and grouped
aligned_parts   parts of several tables, row by row document_columns columns of the documents next to their scores
quantiles       exact quantiles, bounded memory     tally            documents and tokens by reason and domain
placements      the tables of ``bucket``, ``order`` document_blocks  documents as NumPy columns, held where they fit
signals         columns computed from a text        columns/         types, spellings, names of documents' columns
"""
