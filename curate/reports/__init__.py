"""What a run looks like to its owner: the funnel, one document, one page.

funnel     read = kept + rejected by reason + unreadable       document   one document in full
evidence   its hits and its copies                             page/      the HTML page and its numbers as JSON
"""
