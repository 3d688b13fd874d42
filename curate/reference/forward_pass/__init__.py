"""The forward pass: batches of passages in, negative natural logarithms of the probabilities of their tokens out.

prefetch          tokenise ahead             batches      packs of documents           forward   packs in, nats out
packed_attention  documents end to end       lm_head      the output layer in chunks
document_attention  the same in Triton       fused_head   the same in Triton
device_transfer   pinned memory, streams     compilation  torch.compile                precision
"""
