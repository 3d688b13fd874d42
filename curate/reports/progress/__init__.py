"""How far the work on a run is, told by the parts that are there and by the claims of those that write them.

    from curate.reports.progress.tables import read_progress
    print("\\n".join(read_progress(Path("curated")).lines()))

Nothing is claimed, and nothing is written: whoever works is not disturbed.
"""
