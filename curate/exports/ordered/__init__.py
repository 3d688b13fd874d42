"""An export in another order than that of the corpus, out of core: partition, spill, merge.

write   the export from end to end    partition   the corpus read once, its rows spilled by range of position
spill   rows on disk, by range        merge       each range sorted in memory and written into shards
"""
