"""Examples measured under one model: nats of each answer given its context, and without it.

reader       a model with its template    responses        sums of nats by answer
show_mask    ``--show-mask``              response_cache   what was measured is not measured again
"""
