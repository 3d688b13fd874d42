"""``curate order``: a position for each kept document.

ranks       documents by rank, out of core     permutations   schedules as permutations
schedules   the table of schedules             positions      the table written and checked
profile     an order in ten steps              summary        what the verb returns
"""
