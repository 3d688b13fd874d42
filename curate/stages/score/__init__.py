"""``curate score``: one row of sums for every document.

request   what was asked for, by name          resume    what a run has of it, before a model is loaded
arrange   parts follow a changed corpus        columns   signals, ids and columns that parts lack
slices    slices without a part are scored     rows      likelihoods and signals as rows of the table
signals   which signals a user names           table     begin, complete and sum the scores table
summary   what the verb returns                merge     the parts of several runs as those of one
"""
