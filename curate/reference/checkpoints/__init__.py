"""Model folders: their files, tokenizer and weights; and the model that reads nothing."""
