"""``curate dedup``: near and exact copies in three passes.

sketches, sketch_table     pass 1: a hash of the words and LSH band keys for each document; ``sketches`` is the seam
                           for another method that finds near duplicates
numba_sketches             the same words, sets and keys, compiled, for large corpora
exact_copies               pass 2: documents of the same words
pairs/                     pass 3: pairs that share a key compared exactly, connected pairs joined, in units of work
clusters                   exact and near copies together, and the one of each cluster that stays
duplicates_table           the table       pipeline   the passes in order      summary   what the verb returns
"""
