"""Log probabilities that a serving stack returned with a text, in place of a model: parsed, checked, and summed.

a value of the column ──► tokens, each with its number and its spelling ──► do they spell the text? ──► sums
  (formats.py)                                                              (spelling.py)            (model.py)

from curate.reference.served.formats import parse_logprobs

parse_logprobs({"content": [{"token": "Hi", "logprob": -0.7, "bytes": [72, 105]}]})
"""
