"""``curate score``: one row of sums for every document.

slices    slices without a part are scored    rows      likelihoods and signals as rows of the table
signals   which signals a user names           table     begin, complete and sum the scores table
summary   what the verb returns
"""
