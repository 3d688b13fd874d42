"""The values of carried columns: one Arrow type for all parts, and the words in which people read them.

kinds   the type in which a column is carried   spelling   values as text: names of groups
"""
