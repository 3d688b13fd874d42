"""Functions that numba compiles, each a loop over arrays: to be imported only where numba is installed.

They stand at the top of their files and call one another by name. A function that gets another one from the function
around it is compiled anew in every process: numba finds none of its kind in its cache. What calls them, and says what
they take and return, are the modules ``numba_*`` of ``curate.matching`` and of the stages.

Numba compiles a function anew where its file has changed, not where one that it calls, or a constant, has in another
file: who changes ``mix`` or ``find_key`` changes the files that import it too.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Return a function as numba compiles it when it is first called, kept on disk, without Python's lock."""
    found: Loop = numba.njit(cache=True, nogil=True)(loop)
    return found
