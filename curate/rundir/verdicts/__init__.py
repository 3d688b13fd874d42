"""Why documents are rejected: reasons, the tables that reject, and the counts."""
