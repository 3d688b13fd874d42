"""Words, shingles and MinHash, shared by decontaminate and dedup. No files, no tables.

words = split_words(["Which of the following …"])      word hashes of texts, folded for case, accents, punctuation
hashes, offsets = make_shingle_sets(words, 5)          sets of 5-grams, for Jaccard similarity
"""
