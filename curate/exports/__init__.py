"""Datasets that others load: shards, the card, the manifest, in the order of the corpus or in another.

write             one export from end to end        shards            the formats: one class each
job, counts       what is asked for, and counted    shard_writer      tables in, shards of one size and schema out
joined_slices     corpus, scores and decisions
leaked_passages   leaks marked or cut               dataset_folder    what ``datasets`` finds in the folder
manifest          what is in it, and made of what   json_types        what ``datasets`` reads back from JSON lines
lines             rows as JSON lines                features          what ``datasets`` knows of columns, kept
hub               pushed as a dataset               dataset_card, training_md, probe_subsets
ordered/          out of core, in another order     spilled/          tasks and shards in a folder, by any workers
parts/            done by the tasks of a job array  tokens/           token files
verify/           complete, and read in order
"""
