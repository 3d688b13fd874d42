"""What is checked before a model scores anything, and what of it is remembered."""
