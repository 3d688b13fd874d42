"""Words of programming languages that no programmer renames: keywords, and the built-in names of Python."""

import builtins
import keyword

OTHER_KEYWORDS = """
abstract bool boolean catch const constexpr cout defer do elseif elsif endl enum extends extern false float fn foreach
goto impl implements instanceof int interface mut namespace nullptr null operator println printf private protected pub
public readonly require rescue self sizeof static std struct super switch template this throw throws trait true typedef
typename typeof undefined union unless unsigned var virtual void volatile String Integer Math
SELECT FROM WHERE GROUP ORDER BY JOIN ON HAVING AND OR NOT DISTINCT COUNT SUM AVG MIN MAX LIMIT AS
"""
"""Keywords of C, C++, C#, Go, Java, JavaScript, Kotlin, PHP, Ruby, Rust and SQL, and a few common names.

Not among them are those that programmers of other languages call their variables: begin, char, default, end, new …
"""


def list_keywords() -> list[str]:
    """Return the words that keep their spelling wherever they stand, sorted."""
    return sorted({*keyword.kwlist, *OTHER_KEYWORDS.split()})


def list_functions() -> list[str]:
    """Return the built-in names of Python, sorted: they keep their spelling where they are called."""
    return sorted({name for name in dir(builtins) if not name.startswith("_")} - {*list_keywords()})
