"""Datasets that others load: shards, the card, the manifest, in the order of the corpus or in another.

write             one export from end to end        shards            one class a format
joined_slices     corpus, scores and decisions      dataset_folder    what ``datasets`` finds in the folder
leaked_passages   leaks marked or cut               dataset_card, training_md, probe_subsets
ordered/          out of core, in another order     tokens/           token files     verify/    is it what it says
"""
