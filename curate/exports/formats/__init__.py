"""Formats of an export: shards, their types and features, JSON lines."""
