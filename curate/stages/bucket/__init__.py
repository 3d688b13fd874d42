"""``curate bucket``: cut-offs by quantiles within groups, and a bucket for each kept document.

cutoffs   where buckets begin, as a file    assign   the table written    summary   what the verb returns
"""
