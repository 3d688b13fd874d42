"""The version of the package, for provenance records."""

__version__ = "0.1.0"
