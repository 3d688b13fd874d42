"""Stores to export to: a real S3 server, and a folder in memory."""

from helpers.s3 import bucket, memory_store, s3_environment, s3_server

__all__ = ["bucket", "memory_store", "s3_environment", "s3_server"]
