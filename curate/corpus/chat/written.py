"""Messages that a dataset has as one string: the text of a Python list, or a transcript.

    "[{'role': 'user', 'content': 'Why?'}, …]"       str() of a list, as data frames write it to CSV
    "\\n\\nHuman: Why?\\n\\nAssistant: So."              Anthropic's HH-RLHF, and others with these or like names
    "### Human: Why?### Assistant: So."              Guanaco

A list is read as Python's literals, never evaluated. A transcript begins with the name of a side, and has both sides.
"""

import ast
import io
import re
import tokenize
from collections.abc import Mapping, Sequence

SIDES = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "bot": "assistant",
    "gpt": "assistant",
    "system": "system",
}
"""Names that begin the turns of a transcript, and their roles."""
_NAMES = "|".join(SIDES)
FAMILIES = (
    re.compile(rf"###[ \t]*({_NAMES})[ \t]*:", re.IGNORECASE),
    re.compile(rf"(?:\A\s*|\n[ \t]*\n\s*)({_NAMES}):", re.IGNORECASE),
    re.compile(rf"(?:\A\s*|\n)({_NAMES}):", re.IGNORECASE),
)
"""How the turns of a transcript may begin: after a mark, a blank line, or a line end. The first that has both sides."""
RENDERED = re.compile(r"<\|(?:im_start|user|assistant|start_header_id)\|?>|\[INST\]|<start_of_turn>|### Instruction:")
"""Texts that a chat template wrote."""
LIST = re.compile(r"\[\s*(?:[{'\"\]]|$)")
"""The beginning of a list of objects or strings; other texts in brackets are not looked at further."""
WITHOUT_COMMAS = re.compile(r"\}\s*\{")
"""Objects that follow one another as NumPy writes them, or within a string."""


def read_python_list(text: str) -> list[object] | None:
    """Return the list that ``str`` wrote, also that of an array of NumPy; None for any other text.

    An array that NumPy shortened with an ellipsis is no list: messages are missing.
    """
    text = text.strip()
    if not LIST.match(text):
        return None
    try:
        tree = ast.parse(_separate_objects(text) if WITHOUT_COMMAS.search(text) else text, mode="eval")
        value = ast.literal_eval(_PlainValues().visit(tree).body)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    return value if isinstance(value, list) and Ellipsis not in value else None


class _PlainValues(ast.NodeTransformer):
    """Makes literals of what data frames write within a list: nan is null, ``array([…], dtype=object)`` its list."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Return null for nan, and other names as they are."""
        return ast.copy_location(ast.Constant(None), node) if node.id == "nan" else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Return the list of an array, and other calls as they are."""
        is_array = isinstance(node.func, ast.Name) and node.func.id == "array" and node.args
        return self.visit(node.args[0]) if is_array else node


def _separate_objects(text: str) -> str:
    """Return the text of an array of objects with commas between them, which NumPy leaves out."""
    lines, commas, last = text.splitlines(keepends=True), list[tuple[int, int]](), ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.string == "{" and last == "}":
                commas.append((token.start[0] - 1, token.start[1]))
            last = token.string if token.string.strip() else last
    except (tokenize.TokenError, SyntaxError):
        return text
    for line, column in reversed(commas):
        lines[line] = f"{lines[line][:column]}, {lines[line][column:]}"
    return "".join(lines)


def read_transcript(text: str) -> list[Mapping[str, object]] | None:
    """Return the messages of a transcript, without the white space around them; None for any other text.

    A side that has not said anything yet, as at the end of a prompt, is a message without text.
    """
    for family in FAMILIES:
        marks = list(family.finditer(text))
        roles = [SIDES[mark[1].lower()] for mark in marks]
        if marks and not text[: marks[0].start()].strip() and {"user", "assistant"} <= set(roles):
            ends = [*(mark.start() for mark in marks[1:]), len(text)]
            return [
                {"role": role, "content": text[mark.end() : end].strip()}
                for role, mark, end in zip(roles, marks, ends, strict=True)
            ]
    return None


def are_transcripts(values: Sequence[object]) -> bool:
    """Return whether most of the texts of a column are transcripts."""
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    return bool(texts) and 2 * sum(read_transcript(text) is not None for text in texts) > len(texts)


def find_rendering(values: Sequence[object]) -> str | None:
    """Return the mark of a chat template that most of the texts of a column have; None where they have none."""
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    marks = [found[0] for text in texts if (found := RENDERED.search(text))]
    return marks[0] if 2 * len(marks) > len(texts) else None
