"""How often the tables of a run are read as blocks."""

from curate.rundir import aligned_parts


def count_readings(monkeypatch):
    """Count readings of all parts from now on.  → a function that gives their number since it was asked last"""
    read_parts, readings = aligned_parts.read_parts, []

    def read(*arguments, **options):
        readings.append(arguments)
        return read_parts(*arguments, **options)

    def count():
        found = len(readings)
        readings.clear()
        return found

    monkeypatch.setattr(aligned_parts, "read_parts", read)
    return count
