"""Files of a corpus: which they are, their bytes, and how they are known again."""
