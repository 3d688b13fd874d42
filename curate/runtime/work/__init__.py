"""Threads, processes, signals that stop them, and where their time goes."""
