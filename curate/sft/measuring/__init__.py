"""Examples measured under one model: nats of each answer given its context, and without it.

    reader = open_reader(ModelVariant("builtin", "auto"), ScoringConfig(), RankingOptions())
    for responses in measure_examples(reader, drawn.examples):     # a pyarrow.Table of sums, one row an example
        responses["nats"], responses["tokens"]

reader       a model with its template    responses        sums of nats over the answers of an example
show_mask    ``--show-mask``              response_cache   measured examples on disk, so that none is measured twice
mask_audit   our mask and the template's
"""
