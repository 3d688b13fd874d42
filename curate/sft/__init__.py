"""Instruction datasets for one base model: read, rendered as a trainer would, measured, ranked.

datasets/        named, opened, sampled            examples     rows as examples: context, answer, refusals
chat_template/   rendered, and which tokens count  measuring/   nats of the answers, kept in a cache
ranking/         measures, bootstrap, the table, its page
"""
