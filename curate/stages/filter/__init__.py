"""``curate filter``: criteria, applied to all documents; one reason for each that is rejected.

criteria   what can be asked, in which order    apply    criteria as a function from rows to reasons
counts     documents and tokens by reason       decide   the table written, dry runs compared
boundary_examples   ``--show``                  summary  what the verb returns
"""
