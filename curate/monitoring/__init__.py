"""Comparing what runs measured: models, corpora and weeks, with intervals and gates."""
