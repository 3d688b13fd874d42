"""What a match lacks: the item's own words, and its numbers, that the document has otherwise.

contrast   which words of the item the document has, lacks, or has others for      numbers   values of digits and words
"""
