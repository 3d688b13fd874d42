"""Words, shingles and MinHash, shared by decontaminate and dedup. No files, no tables.

split = split_words(["Which of the following …"])      word hashes of texts, folded for case, accents, punctuation
shingle_sets(split, 5)                                 sets of 5-grams, for Jaccard similarity
"""
