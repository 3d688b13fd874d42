"""``curate filter``: criteria, applied to all documents; one reason for each that is rejected.

criteria   options, bounds, the order of criteria    apply    criteria compiled to a function from blocks to reasons
counts     documents and tokens by reason            decide   the table written, dry runs compared
boundary_examples   ``--show``                       summary  what the verb returns
where      ``--where`` checked, and as a query       condition  which column each of its names means
mentions   columns in SQL
"""
