"""The forward pass: batches of passages in, natural logarithms of the probabilities of their tokens out.

prefetch          tokenised ahead            batches      packs of documents        forward   packs in, nats out
packed_attention  documents side by side     lm_head      the output layer in chunks
device_transfer   pinned memory, streams     compilation  torch.compile             precision
"""
