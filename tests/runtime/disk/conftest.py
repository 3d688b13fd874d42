"""Object stores for the tests of this folder."""

from helpers.s3 import bucket, memory_store, s3_environment, s3_server

__all__ = ["bucket", "memory_store", "s3_environment", "s3_server"]
