"""What a model measures of the tokens of a text beside their nats; sums for each text, nothing is kept by token.

text_kinds    the kind of each byte of a text       token_bytes   the bytes that each token spells
kind_sums     nats and bytes by kind of text        calibration   probabilities in bins, and the error of calibration
"""
