"""Perplexities of several models, corpora or moments side by side: comparing, publishing, watching a training."""
