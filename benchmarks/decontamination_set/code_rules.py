"""Rules that plant a programming task, or its solution alone, in a document.

A solution counts as a leak without its task where it is long enough to be nobody else's: ``LEAST_TOKENS`` of Python,
and everything of this set's own tasks. Names are changed by token, never by a parser's printout, so that the rows are
the same under every version of Python.
"""

import ast
import io
import json
import keyword
import random
import re
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

LEAST_TOKENS = 45
NAMES = (
    "acc", "aux", "buf", "cand", "chunk", "cur", "elem", "entry", "fin", "flag2", "gather", "inp", "jdx", "kept", "lo",
    "mid", "nxt", "obj", "out", "part", "prev", "qty", "res2", "seen", "src", "stash", "tmp", "upto", "vals", "wk",
)  # fmt: skip
MODULE = '''"""Helpers that did not fit anywhere else."""

import os
import sys


def project_root():
    return os.path.dirname(os.path.abspath(__file__))


{solution}

def warn(message):
    print(f"warning: {{message}}", file=sys.stderr)
'''


@dataclass(frozen=True, slots=True)
class Task:
    """What a rule works on."""

    description: str
    """The task in words, without a program."""
    prompt: str
    """The task as the evaluation poses it."""
    solution: str
    """The whole program without its description: signature and body."""
    programming_language: str
    names: tuple[str, ...]
    """Identifiers of the solution that may be renamed; for Python they are found."""
    before: str
    after: str
    chance: random.Random

    @property
    def is_distinctive(self) -> bool:
        """Whether the solution alone is a leak."""
        return bool(self.names) or len(read_tokens(self.solution)) >= LEAST_TOKENS


Rule = Callable[[Task], str | None]


def read_tokens(code: str) -> list[tokenize.TokenInfo]:
    """Return the tokens of Python code, without white space and comments."""
    skipped = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENDMARKER}
    return [one for one in tokenize.generate_tokens(io.StringIO(code).readline) if one.type not in skipped]


def plant_task(task: Task) -> str:
    """The description among prose."""
    return f"{task.before}\n\n{task.description}\n\n{task.after}"


def plant_whole(task: Task) -> str:
    """Task and program in a fence."""
    program = task.solution if task.solution.startswith(task.prompt) else f"{task.prompt}\n{task.solution}"
    return f"{task.before}\n\n```{task.programming_language}\n{program}\n```\n"


def plant_record(task: Task) -> str:
    """An instruction and its output, as instruction sets have them."""
    return json.dumps({"instruction": task.description, "output": task.solution}, ensure_ascii=False)


def plant_solution(task: Task) -> str | None:
    return task.solution if task.is_distinctive else None


def plant_in_module(task: Task) -> str | None:
    if task.programming_language != "python" or not task.is_distinctive:
        return None
    return MODULE.format(solution=task.solution.rstrip() + "\n")


def plant_renamed(task: Task) -> str | None:
    """All names of its own exchanged: functions, parameters, variables."""
    if not task.is_distinctive:
        return None
    names = task.names or find_names(task.solution)
    others = task.chance.sample([name for name in NAMES if not re.search(rf"\b{name}\b", task.solution)], len(names))
    renamed = dict(zip(names, others, strict=True))
    if task.names:
        pattern = r"(?<![.\w])(?:" + "|".join(map(re.escape, names)) + r")\b"
        return re.sub(pattern, lambda match: renamed[match.group()], task.solution)
    return replace_names(task.solution, renamed)


def plant_reformatted(task: Task) -> str | None:
    """Tabs instead of spaces, no spaces around signs, a comment more."""
    if not task.is_distinctive:
        return None
    code = respace_python(task.solution) if task.programming_language == "python" else task.solution
    lines = [(measure_indent(line), line.strip()) for line in code.splitlines()]
    depths = sorted({width for width, line in lines if line})
    mark = {"python": "#", "sql": "--"}.get(task.programming_language, "//")
    body = "".join("\t" * depths.index(width) + line + "\n" if line else "\n" for width, line in lines)
    return f"{mark} works, do not touch\n{body}"


def measure_indent(line: str) -> int:
    """Return the columns before the first character."""
    return len(line) - len(line.lstrip(" "))


def find_names(code: str) -> tuple[str, ...]:
    """Return the names that Python code binds itself, in their order; keywords of calls are not among them."""
    tree = ast.parse(code)
    bound: dict[str, None] = {}
    for node in sorted(ast.walk(tree), key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.setdefault(node.name)
        elif isinstance(node, ast.arg):
            bound.setdefault(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.setdefault(node.id)
    taken = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    return tuple(name for name in bound if name not in taken and not keyword.iskeyword(name))


def replace_names(code: str, renamed: dict[str, str]) -> str:
    """Exchange the names of Python code where they stand as tokens, except behind a dot."""
    lines = code.splitlines(keepends=True)
    tokens = read_tokens(code)
    for before, token in reversed(list(zip([None, *tokens], tokens, strict=False))):
        if token.type == tokenize.NAME and token.string in renamed and (before is None or before.string != "."):
            row, column = token.start
            line = lines[row - 1]
            lines[row - 1] = line[:column] + renamed[token.string] + line[column + len(token.string) :]
    return "".join(lines)


def respace_python(code: str) -> str:
    """Take the spaces between the tokens of a line away, except where two words would meet."""
    lines = code.splitlines()
    for one, two in reversed(list(pairwise(read_tokens(code)))):
        are_words = re.search(r"[\w\"']$", one.string) and re.match(r"[\w\"']", two.string)
        if one.end[0] == two.start[0] and not are_words:
            line = lines[one.end[0] - 1]
            lines[one.end[0] - 1] = line[: one.end[1]] + line[two.start[1] :]
    return "\n".join(lines) + "\n"


LEAKS: dict[str, Rule] = {
    "task": plant_task,
    "task and solution": plant_whole,
    "record": plant_record,
    "solution": plant_solution,
    "solution in a module": plant_in_module,
    "solution renamed": plant_renamed,
    "solution reformatted": plant_reformatted,
}
"""Rules that leave the task or its solution in the document, by the kind of their rows."""
