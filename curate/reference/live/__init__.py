"""A model that somebody else is training, as a reference: its own weights, without a second copy of them.

    unwrap the model ──► a twin that shares its weights ──► self-check ──► CausalReference

The trained model is never touched: all that scoring sets (evaluation mode, attention, configuration) is set on the
twin.
"""
