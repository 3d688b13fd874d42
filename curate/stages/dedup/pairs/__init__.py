"""Near copies by a rule that needs no order: from band keys to the components of verified pairs.

    band keys ──► lsh_buckets ──► candidates ──► verification ──► components
                  (a band)        (its pairs)    (a range)        (all, here)

Each stage but the last is made of units (``units``), which any worker may do. ``near_copies`` has them in order,
``shingle_store`` the sets that are compared, ``crowding`` the documents that were not compared with all, and
``numba_pairs`` the loops.
"""
