"""The machinery of the verbs that read a corpus or decide about its documents, one folder each.

No stage imports another. What two of them share is in ``rundir``, ``matching`` or ``runtime``.
"""
