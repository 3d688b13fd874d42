"""``curate decontaminate``: eval items found in documents, with the evidence and the recall.

evalsets/       benchmarks read: items, columns, lock     queries         what an item is searched by
ngram_index     candidates by word triples                minhash_index   candidates by MinHash windows
wordlists/      tables of other languages, frames evidence/       what a match lacks: words, numbers
alignment       candidate and document word by word       surprisal       bits of surprise of common words
solutions/      solutions in code, whatever their names
matches         verdict and evidence                      thresholds      the bits that a verdict needs
canaries        planted items: the recall                 detector        the above in one
scan            all slices of a corpus                    hits_table      the table
summary         what the verb returns                     report/         terminal and page
"""
