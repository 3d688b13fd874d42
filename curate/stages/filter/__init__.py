"""``curate filter``: criteria, applied to all documents; one reason for each that is rejected.

criteria   options, bounds, the order of criteria    apply    criteria compiled to a function from blocks to reasons
counts     documents and tokens by reason            decide   the table written, dry runs compared
boundary_examples   ``--show``                       summary  what the verb returns
mentions   columns in SQL                            condition    which column each name of ``--where`` means
"""
