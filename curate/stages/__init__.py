"""The machinery of the verbs that read a corpus or decide about its documents, one folder each.

slice_runner   the loop over the slices of a corpus; an ``Executor`` says where it runs
pool_executor  the executor of ``--engine ray``
share_summary  what a verb returns that worked on a share of a corpus alone (``--part``)

No stage imports another. What two of them share is in ``rundir``, ``matching`` or ``runtime``.
"""
