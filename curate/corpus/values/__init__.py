"""Values of rows: JSON records, Arrow types and values, and one schema over many pieces."""
