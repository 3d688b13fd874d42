"""Chat templates: render a conversation as a trainer does, and find the tokens that are trained on.

    template = choose_template(tokenizer, "plain")
    rendered = template.render([Turn("user", "2 + 2?"), Turn("assistant", "4")], scored=[1])
    (tokens,) = ChatEncoder(tokenizer).encode([rendered])     # tokens.owner is 0 where turn 1 is scored, else -1

choose       which template            render      conversation → text with the span of every scored turn
delimiters   the text around a turn    loss_mask   which tokens are the assistant's
"""
