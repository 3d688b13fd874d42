"""Source code without what formatting and comments change, character for character of the same length.

Comments, docstrings, imports, annotations, defaults of parameters, prompts of an interpreter, marks of a diff and line
numbers become spaces. A string becomes one word of private characters, whatever its quotes. Code within strings (rows
of JSON, notebooks) is laid open. Since no character moves, a position in the result is one in the document.

The rules are those that languages share, not a grammar: documents are cut off, mixed with prose, and in languages that
are not named. ``tests/matching`` holds the tokens to those of ``tokenize`` and Pygments.
"""

import re
from collections.abc import Callable

STRING = 0xE000
"""The private code point of character 0 of a string; characters above PRIVATE share code points."""
PRIVATE = 0x1800
SLICE = "\x1f"
"""The colon of a slice."""
LOOK_BACK = 80
"""Characters before a string or a comment by which it is judged."""
DEEPEST = 2
"""Strings within strings that are read as code."""
ESCAPED = re.compile(r"\\n(?:[ ]{2}|\\t|[ ]?[^\\]*\\n)")
INDENTED = re.compile(r"\n(?:[ ]{2}|\t|[^\n]*\n)")
"""What makes a string code that is laid open: an indented line, or several lines; ESCAPED as one line spells it."""

_LONG = r"\"\"\"(?P<long>[^\"\\]*(?:(?:\\.|\"(?!\"\"))[^\"\\]*)*)\"\"\""
_LONG += r"|'{3}(?P<tall>[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*)'{3}"
_PLAIN = r"\"(?P<double>[^\"\\\n]*(?:\\.[^\"\\\n]*)*)\"|'(?P<single>[^'\\\n]*(?:\\.[^'\\\n]*)*)'"
_COMMENTS = r"(?P<hash>\#[^\n]*)|/(?:(?P<slash>/[^\n]*)|(?P<block>\*.*?\*/))"
TOKENS = re.compile(f"{_LONG}|{_PLAIN}|{_COMMENTS}", re.DOTALL)
OPENED = "\x1e"
"""Stands for the quotes that open a string, until the letters before them are gone."""
PREFIXES = re.compile(r"(?<!\w)[rRbBuUfF]{1,2}(?=\x1e)")
BEHIND_COLON = re.compile(r":[ \t]*(?:#[^\n]*)?\n\s*[rRuU]?$")
ALONE = re.compile(r"[ \t]*(?:\n|$)")
PREFIX = re.compile(r"(?<![^\W_])[rRbBuU]?[fF][rR]?$")
DIVISIONS = re.compile(r"[\w)\]][ \t]{0,9}//")
OPERAND = re.compile(r"[\w)\]][ \t]*$")
BRACES = re.compile(r"\)[^\n;]{0,40}\{[ \t]*(?://[^\n]*)?$|\belse[ \t]*\{", re.MULTILINE)
"""A block as C and its descendants open it."""
COLONS = re.compile(r"^[ \t]*(?:async|class|def|elif|else|for|if|try|while|with)\b[^\n{;]*:[ \t]*$", re.MULTILINE)
"""A block as Python opens it."""
IMPORTS = re.compile(
    r"^[ \t]*(?:from[ \t]+[\w.]+[ \t]+import\b(?:[ \t]*\([^()]*\)|[^\n;]*)|(?:import|using|package)\b[^\n;]*)",
    re.MULTILINE,
)
SIGNATURE = re.compile(
    r"(?P<head>def[ \t]+\w+)[ \t]*\((?P<names>[^()]*(?:\([^()]*(?:\([^()]*\)[^()]*)*\)[^()]*)*)\)"
    r"[^:\n]*:"
)
ANNOTATION = re.compile(
    r"^[ \t]*(?!else\b|try\b|finally\b|default\b|case\b)[\w.]+[ \t]*"
    r"(:[ \t]*[A-Za-z_][\w.\[\], |\ue000-\uf800]*?)(?==(?!=))",
    re.MULTILINE,
)
FRACTIONS = re.compile(r"(?<=\d)\.0*(?![\w.])")
"""The fraction of a whole number, which formatters spell out: 1. is 1.0."""
SLICES = re.compile(r"\[[^\[\]\n]*:[^\[\]\n]*\]")
PROMPTS = re.compile(r"^[ \t]*(?:>>>|\.\.\.|In \[\d*\]:)(?=[ \t]|$)", re.MULTILINE)
MARKS = re.compile(r"^[+>|](?![+>|=])", re.MULTILINE)
SECOND = re.compile(r"[ \t]*2[ \t.:|]+[^\n]*\n[ \t]*3[ \t.:|]")
NUMBERED = re.compile(r"\n" + SECOND.pattern)
NUMBERS = re.compile(r"^[ \t]*\d{1,4}[.:|]?(?=[ \t]|$)", re.MULTILINE)
TAGS = re.compile(r"</?(?:span|code|pre|div|td|tr|font|strong|em|li|p|br|a|b|i)\b[^<>]*>")
CELL_LINES = re.compile(r'^[ \t]*"((?:[^"\\\n]|\\.)*)"[ \t]*,?[ \t]*$', re.MULTILINE)
CELLS = re.compile(r'"source"\s*:\s*\[')
ESCAPES = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)", re.DOTALL)
ENTITIES = {
    "&lt;&lt;": "<<",
    "&gt;&gt;": ">>",
    "&amp;&amp;": "&&",
    "&lt;": "<",
    "&gt;": ">",
    "&amp;": "&",
    "&quot;": '"',
    "&#39;": "'",
    "&#x27;": "'",
    "&nbsp;": " ",
}
QUOTES = str.maketrans("“”„‘’‚\xa0\ufeff", "\"\"\"'''  ")
SPELLED = {"n": " \n", "t": "  ", "r": "  ", '"': ' "', "'": " '", "\\": " \\", "/": " /", "b": "  ", "f": "  "}
ESCAPED_SPACES = {f"\\{letter}": SPELLED[letter] for letter in "ntr"}


class _PrivateTable(dict[int, str]):
    """Characters of strings, made when they are first met."""

    def __missing__(self, point: int) -> str:
        self[point] = chr(STRING + point % PRIVATE)
        return self[point]


PRIVATES = _PrivateTable()


def clean_code(text: str) -> str:
    """Return a text of the same length in which only what makes up its statements is left, as the module says."""
    return _clean(_lay_open(text if text.isascii() else text.translate(QUOTES)), 0)


def uncover_code(text: str) -> str:
    """Return a text of the same length without the entities, tags and numbers of lines that code stands among.

    Strings, comments, marks and headers stay: ``code_tokens.split_uncovered`` reads over most of them.
    """
    if "\\u00" in text:
        text = ESCAPES.sub(_spell_escape, text)
    if "&" in text:
        text = spell_entities(text)
    if "</" in text:
        text = TAGS.sub(_blank, text)
    return blank_numbers(text)


def _blank(match: re.Match[str]) -> str:
    return blank(match[0])


def blank(text: str) -> str:
    """Return spaces for a text; its line ends stay."""
    return re.sub(r"[^\n]", " ", text) if "\n" in text else " " * len(text)


def _lay_open(text: str) -> str:
    """Return a text without what carries code: entities and tags of HTML, lines of notebooks, prompts, marks."""
    if "&" in text:
        text = spell_entities(text)
    if "</" in text:
        text = TAGS.sub(_blank, text)
    if '\\n"' in text and CELLS.search(text):
        text = CELL_LINES.sub(lambda match: _within(match, 1, unescape), text)
    if ">>>" in text or "In [" in text:
        text = PROMPTS.sub(_blank, text)
    if "\n+" in text or "\n>" in text or "\n|" in text:
        text = MARKS.sub(_blank, text)
    return blank_numbers(text)


def spell_entities(text: str) -> str:
    """Return a text with the entities of signs as these, with blanks before them."""
    for entity, char in ENTITIES.items():
        text = text.replace(entity, char.rjust(len(entity)))
    return text


def blank_numbers(text: str) -> str:
    """Return a text without the numbers of its lines, where lines in a row are numbered."""
    return NUMBERS.sub(_blank, text) if SECOND.match(text) or NUMBERED.search(text) else text


def _within(match: re.Match[str], group: int, change: Callable[[str], str]) -> str:
    """Return a match with one group changed and all around it blank."""
    begin, end = match.start(group) - match.start(), match.end(group) - match.start()
    return " " * begin + change(match[group]) + " " * (len(match[0]) - end)


def unescape(text: str) -> str:
    """Return a text with the escapes of JSON spelled out, each as long as it was."""
    return ESCAPES.sub(_spell_escape, text) if "\\" in text else text


def _spell_escape(match: re.Match[str]) -> str:
    code = match[0][1:]
    return chr(int(code[1:], 16)).ljust(6) if len(code) == 5 else SPELLED.get(code, match[0])


def _clean(text: str, depth: int) -> str:
    """Return a text without strings, comments and signatures; ``depth`` counts the strings around it."""
    braces = "//" in text and DIVISIONS.search(text) is not None and has_braces(text)
    text = TOKENS.sub(lambda match: _replace(match, braces, depth), text)
    if OPENED in text:
        text = PREFIXES.sub(_blank, text).replace(OPENED, " ")
    if "import" in text or "using" in text or "package" in text:
        text = IMPORTS.sub(_blank, text)
    if "def" in text:
        text = SIGNATURE.sub(_drop_types, text)
    text = FRACTIONS.sub(_blank, text)
    if ":" in text:
        text = ANNOTATION.sub(_drop_annotation, text)
        text = SLICES.sub(lambda match: match[0].replace(":", SLICE), text)
    return text


def has_braces(text: str) -> bool:
    """Return whether more blocks open with braces than with colons; // is a comment there, behind operands too."""
    return len(BRACES.findall(text)) > len(COLONS.findall(text))


def _drop_types(match: re.Match[str]) -> str:
    """Return the header of a function with its name and the names of its parameters alone."""
    head, names, begin = match["head"], match["names"], match.start("names") - match.start("head")
    kept, depth, named = [], 0, True
    for char in names:
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 and char in ",:=":
            named = char == ","
        kept.append(char if named and char not in "*/=:" else " ")
    before = match.start("head") - match.start()
    line = " " * before + head.ljust(begin) + "".join(kept)
    return line.ljust(len(match[0]))


def _drop_annotation(match: re.Match[str]) -> str:
    return match[0][: match.start(1) - match.start()] + " " * len(match[1])


def _replace(match: re.Match[str], braces: bool, depth: int) -> str:
    """Return what stands for a comment or a string: spaces, a word of private characters, or its code laid open."""
    group = match.lastgroup or ""
    if group in ("hash", "block"):
        return blank(match[0])
    before = match.string[max(0, match.start() - LOOK_BACK) : match.start()]
    if group == "slash":
        if not braces and OPERAND.search(before):
            return "//" + _clean(match[0][2:], depth)  # a division in Python
        return " " * len(match[0])
    content = match[group]
    if is_docstring(before, match, group):
        return blank(match[0])
    if depth < DEEPEST and (INDENTED if group in ("long", "tall") else ESCAPED).search(content):
        return _within(match, TOKENS.groupindex[group], lambda inner: _clean(unescape(inner), depth + 1))
    formatted = before[-1:] in ("f", "F", "r", "R") and PREFIX.search(before) is not None
    inner = content.strip()
    begin = match.start(group) - match.start() + (content.find(inner) if inner else 0)
    spelled = OPENED + " " * (begin - 1) + _spell_string(inner, formatted)
    return spelled + " " * (len(match[0]) - len(spelled))


def is_docstring(before: str, match: re.Match[str], group: str) -> bool:
    """Return whether a string stands alone behind the colon of a header; ``before`` are the characters before it."""
    if "\n" not in before[-60:] or BEHIND_COLON.search(before) is None:
        return False
    return group in ("long", "tall") or ALONE.match(match.string, match.end()) is not None


def _spell_string(content: str, formatted: bool) -> str:
    """Return a string as one word; where it is ``formatted``, the expressions stay code."""
    if "\n" in content:
        content = content.replace("\n", " ")
    if not formatted:
        return content.translate(PRIVATES)
    parts = re.split(r"(\{[^{}]*\})", content)
    return "".join(part if part.startswith("{") else part.translate(PRIVATES) for part in parts)
