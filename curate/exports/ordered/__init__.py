"""An export in another order than that of the corpus, out of core: partition, spill, merge.

write   the export from end to end    tasks       the slices of the corpus with their decisions, dealt to workers
spill   rows on disk, by range        partition   a task read once, its rows spilled by range of position
                                      merge       each range sorted in memory and written into shards
"""
