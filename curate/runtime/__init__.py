"""Helpers for every folder: the console, text, numbers, files, threads, processes, the profiler, HTML.

Nothing here knows of documents, models or tables.
"""
