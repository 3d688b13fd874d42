"""Datasets in order, with intervals: draw, measure, compare, show.

rank        the whole of ``curate rank-sft``    session     datasets, sample and measures of one ranking
measures    ways to rank                        bootstrap   intervals over examples
table       one ranking                         agreement   ties, agreement of rankings
summary     on the terminal                     html, chart, files
chat_comparison   ``--chat-model``              example_runs   ``--examples``
"""
