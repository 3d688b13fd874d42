"""``curate dedup``: near and exact copies in three passes.

sketches, sketch_table     pass 1: a hash of the words and LSH band keys for each document; ``sketches`` is the seam
                           for another method that finds near duplicates
numba_sketches             the same words, sets and keys, compiled, for large corpora
lsh_buckets                pass 2: documents that share a key
clusters, shingle_store    pass 3: pairs compared exactly, connected pairs are a cluster
duplicates_table           the table       pipeline   the passes in order      summary   what the verb returns
"""
