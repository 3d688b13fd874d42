"""Names of temporary files as processes that have ended, or that run, have left them."""

import os

from curate.runtime.disk.writers import read_process, this_writer

NO_PID = 2**22 + 1
"""A number that no process of Linux has."""


def name_leftover(stem, pid=NO_PID):
    """The name of a temporary of a process of this host on its way to a stem."""
    return f".{stem}.{this_writer().host}-{pid}-{read_process(pid)[1] or 1}-0123abcd.tmp"


def name_living(stem):
    """The same of a process that runs and is not this one."""
    return name_leftover(stem, os.getppid())
