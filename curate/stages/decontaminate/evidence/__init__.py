"""What a match lacks: the item's own words, and its numbers, that the document has otherwise.

contrast     words of the item that the document has, lacks, or has others for
numbers      the values of digits and of spelled numbers
quotations   what the item itself only quotes
"""
