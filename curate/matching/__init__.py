"""Words, shingles and MinHash, shared by decontaminate and dedup, and tokens of code. No files, no tables.

words = split_words(["Which of the following …"])      word hashes of texts, folded for case, accents, punctuation
tokens = split_code(["def f(x): …"])                   tokens of code, blind to names, layout and comments
hashes, offsets = make_shingle_sets(words, 5)          sets of 5-grams, for Jaccard similarity
"""
