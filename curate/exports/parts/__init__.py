"""An export that the tasks of a job array do in parts, and the plain command completes: ``curate export --part``.

folder     the folder .OUT.parts beside OUT, in which all of them spill, and what it belongs to
share      what one task does of it
summary    what that returns
"""
