"""Chat templates: a conversation as the text that a trainer makes of it, and the tokens that are trained on.

choose       which template            render      conversation → text with the place of every turn
delimiters   what surrounds a turn     loss_mask   which tokens are the assistant's
"""
