"""Token files: documents as ids, in the layouts of Megatron and NumPy.

options   what is tokenised, and how    tokenizer   without its model    formats   the two layouts
writer    shards of tokens              ordered     in an order
"""
