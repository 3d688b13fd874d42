"""Code gives the same tokens whatever its layout, comments and names, and each token knows its place in the text."""

import ast
import bisect
import heapq
import inspect
import io
import json
import textwrap
import tokenize

import numpy as np
import pytest
from pygments.lexers import CLexer, JavaLexer, JavascriptLexer
from pygments.token import Comment

from curate.matching.code_cleaning import clean_code
from curate.matching.code_tokens import FIXED, LITERAL, NAME, OPERATOR, split_code

SOURCE = """
def closest(numbers, threshold):
    for idx, elem in enumerate(numbers):
        for idx2, elem2 in enumerate(numbers[1:]):
            if idx != idx2 and abs(elem - elem2) <= threshold // 2:
                found.append("it is close")
                total += 1
    return {"found": found, "total": total}
"""


def hashes(text):
    return split_code([text]).hashes.tolist()


def spelled(text):
    split = split_code([text])
    return [text[start:end] for start, end in zip(split.starts, split.ends, strict=True)]


CHANGES = {
    "comments": SOURCE.replace("numbers):\n", "numbers):  # walks (all) 'of them\n        # twice\n"),
    "docstring": SOURCE.replace(
        "threshold):\n", 'threshold):\n    """Find it.\n\n    >>> closest([1], 2)\n    """\n', 1
    ),
    "docstring in one line": SOURCE.replace("threshold):\n", "threshold):\n    'Find the closest.'\n", 1),
    "annotations": SOURCE.replace(
        "numbers, threshold)", "numbers: list[tuple[int, str]], threshold: float = f(1, (2))) -> dict[str, int]"
    ),
    "unparse": ast.unparse(ast.parse(SOURCE)),
    "quotes": SOURCE.replace('"found"', "'found'").replace('"total"', "'''total'''"),
    "imports": "import os\nfrom math import (sqrt,\n    floor)\n" + SOURCE,
    "tabs": SOURCE.replace("    ", "\t").replace("\n", "\r\n"),
    "prompts": "\n".join((">>> " if line[:1] != " " else "... ") + line for line in SOURCE.strip().splitlines()),
    "HTML": SOURCE.replace("<", "&lt;").replace('"', "&quot;").replace("'", "&#39;"),
    "highlighted": SOURCE.replace("for", '<span class="k">for</span>').replace("<=", "&lt;="),
    "line numbers": "\n".join(f"{number:3} {line}" for number, line in enumerate(SOURCE.splitlines(), 1)),
    "a diff": SOURCE.replace("\n", "\n+"),
    "typographic quotes": SOURCE.replace('"found"', "“found”"),
    "raw and byte strings": SOURCE.replace('"found"', 'r"found"').replace('"total"', 'b"total"'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_layout_and_comments_do_not_change_the_tokens(change):
    assert hashes(CHANGES[change]) == hashes(SOURCE)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"instruction": "Write it.", "output": SOURCE}),
        json.dumps({"cells": [{"cell_type": "code", "source": SOURCE.splitlines(keepends=True)}]}, indent=1),
        f"SOURCE = {SOURCE!r}",
        "SOURCE = '''" + SOURCE + "'''",
    ],
    ids=["a row", "a notebook", "a string", "a string of several lines"],
)
def test_code_in_strings_is_laid_open(text):
    tokens, inner = hashes(text), hashes(SOURCE)
    assert any(tokens[at : at + len(inner)] == inner for at in range(len(tokens)))


def test_names_become_one_token_and_all_else_stays():
    renamed = (
        SOURCE.replace("elem", "item").replace("idx", "place").replace("found", "hits").replace('"hits"', '"found"')
    )
    one, other = split_code([SOURCE]), split_code([renamed])
    assert one.hashes.tolist() == other.hashes.tolist()
    assert one.names.tolist() != other.names.tolist()
    for old, new in (("!=", "=="), ("<=", "<"), ("append", "add"), ("abs(", "int("), (" 2:", " 3:"), ("+= 1", "-= 1")):
        assert hashes(SOURCE.replace(old, new)) != one.hashes.tolist(), old


def test_a_built_in_name_stays_where_it_is_called_and_is_a_name_elsewhere():
    kinds = split_code(["total = sum(list)\nsum = 3\nrow.sum = max (1)"]).kinds.tolist()
    assert kinds == [NAME, OPERATOR, FIXED, NAME, NAME, OPERATOR, LITERAL, NAME, FIXED, OPERATOR, FIXED, LITERAL]


def test_tokens_know_their_place():
    assert spelled("x = y  # not this\nreturn 'a b', z // zz") == ["x", "=", "y", "return", "a b", "z", "//", "zz"]
    both = split_code(["a + b", "", "c"])
    assert both.offsets.tolist() == [0, 3, 3, 4] and both.starts.tolist() == [0, 2, 4, 0]


def test_of_a_header_the_names_stay():
    header = "def f(self, a: dict[str, int] = g(1, x=2), *rest, b=None, **more) -> tuple[int, ...]:\n    return 1.0"
    assert spelled(header) == ["def", "f", "self", "a", "rest", "b", "more", "return", "1"]


def test_slashes_divide_in_python_and_comment_elsewhere():
    assert spelled("x = a // b\n") == ["x", "=", "a", "//", "b"]
    assert spelled("def f(x):\n  if y(x) {1: 2} and z:\n    x = a // b\n")[-3:] == ["a", "//", "b"]
    assert spelled("if (x) { // why\n  y = 1; // because\n}") == ["if", "x", "y", "=", "1"]
    assert spelled("/* a\n b */ int x = 1;") == ["int", "x", "=", "1"]


@pytest.mark.parametrize(
    "text", ["", "'", '"""', "'''a\n\"", "\\", "f'{", "/*", "x\ud800y", "\x1e\x1f", "𝒳 = 1", "\ue000a"]
)
def test_broken_code_keeps_its_length(text):
    assert len(clean_code(text)) == len(text)
    split_code([text])


@pytest.mark.parametrize("module", [bisect, heapq, textwrap, ast])
def test_names_are_those_of_tokenize(module):
    source = inspect.getsource(module)
    lines = np.cumsum([0, *(len(line) for line in source.splitlines(keepends=True))])
    theirs, skipped = set(), False
    before = None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and (before is None or before.type in (tokenize.NEWLINE, tokenize.INDENT)):
            skipped = token.string in ("import", "from", "def", "async")
        if token.type == tokenize.NAME and not skipped:
            theirs.add(int(lines[token.start[0] - 1]) + token.start[1])
        if token.type not in (tokenize.NL, tokenize.COMMENT, tokenize.DEDENT):
            before = token
    split = split_code([source])
    text = np.array([source[start] for start in split.starts])
    word = np.char.isalpha(text) | (text == "_")
    ours = {
        int(start)
        for start, kind, is_word in zip(split.starts, split.kinds, word, strict=True)
        if is_word and kind in (NAME, FIXED)
    }
    assert theirs
    assert len(theirs - ours) <= 0.005 * len(theirs), sorted(source[at : at + 30] for at in theirs - ours)[:9]


C_CODE = """
#include <stdio.h>
// a comment with "quotes" and don't
int main(int argc, char **argv) { /* block
  over lines */
  const char *text = "a // b"; // behind
  for (int i = 0; i < argc; i++) { printf("%d\\n", i); }
  return 0; }
"""


@pytest.mark.parametrize("lexer", [CLexer, JavaLexer, JavascriptLexer])
def test_nothing_that_pygments_calls_a_comment_is_a_token(lexer):
    source = C_CODE.replace("#include <stdio.h>\n", "")
    aside = np.zeros(len(source), bool)
    for start, kind, value in lexer().get_tokens_unprocessed(source):
        aside[start : start + len(value)] = kind in Comment
    split = split_code([source])
    assert not aside[split.starts].any()
    strings = [
        source[s:e] for s, e, k in zip(split.starts, split.ends, split.kinds, strict=True) if k == LITERAL and e - s > 1
    ]
    assert strings == ["a // b", "%d\\n"]
