"""What an export spills on its way: tasks and shards in a folder, which one process fills, or many on several hosts.

places     the folder: what is complete there, each task and shard put in its place at once
records    what a task spilled and counted, as JSON beside its rows
passes     all tasks, then all shards: those that are not there yet, by any workers
sequence   an export in the order of the corpus: rows spilled as they come, and the shards that they fill
"""
