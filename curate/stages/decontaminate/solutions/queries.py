"""The solutions of eval items as tokens of code, with what each token is worth: the eval side of the search."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from curate.matching import words
from curate.matching.code_tokens import CodeTokens, split_code
from curate.runtime.arrays import Float64Array, Int64Array, UInt64Array
from curate.stages.decontaminate.queries import IndexedItem
from curate.stages.decontaminate.solutions.model import ORDERS, CodeModel
from curate.stages.decontaminate.solutions.naming import weigh_naming
from curate.stages.decontaminate.solutions.thresholds import LEAST_BITS, LEAST_TOKENS
from curate.stages.decontaminate.surprisal import WordSurprisal

STATEMENT = re.compile(
    r"[ \t]*(?:(?:async[ \t]+)?(?:def|class|for|while|if|elif|else|try|except|finally|with|switch|case)\b.*[:{(]"
    r"|(?:return|yield|print|raise|throw|import|from|assert|break|continue|pass|using|package|func|fn|function|public"
    r"|private|static|const|let|var|int|void|bool|string|auto|char|double|float|long)\b"
    r"|[\w.\[\], ()*-]+[ \t]*(?:[-+*/%|&^]|//|\*\*|<<|>>)?=(?!=)|[\w.]+\(.*\)[;]?[ \t]*$|[\])}]|#|//|/\*|.*[;{][ \t]*$)"
)
"""The beginning of a line of code."""
TELLING = re.compile(r"\b(?:return|def|print|yield|for|while|if|function|func|fn|cout|println)\b")
HEADER = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t][^\n]*:[ \t]*$", re.MULTILINE)
SHARE = 0.5
"""Share of an answer's lines that must be statements for it to be code."""


@dataclass(frozen=True, slots=True, eq=False)
class CodeSurprisal(WordSurprisal):
    """Bits of each token, by how many of the tokens before it are known to match."""

    heads: Float64Array
    """Of shape (ORDERS, tokens): the bits of a run of 0, 1, … tokens that begins there."""
    sums: Float64Array
    """Of shape (tokens + 1,): sums of the bits where ORDERS − 1 tokens before are known."""

    def of_run(self, first: int, length: int) -> float:
        """Return the bits of ``length`` consecutive tokens from that of index ``first`` on; 0 for none."""
        some = max(0, min(length, ORDERS - 1))
        return float(self.heads[some, first] + self.sums[first + max(length, some)] - self.sums[first + some])


@dataclass(frozen=True, slots=True, eq=False)
class CodeQueries:
    """All solutions, their tokens one after the other. Q queries, T tokens."""

    items: Int64Array
    """Of shape (Q,): the index of each query's eval item."""
    texts: tuple[str, ...]
    """Q texts."""
    tokens: CodeTokens
    """Each query is a document here."""
    surprise: CodeSurprisal
    name_bits: Float64Array
    """Of shape (T,): the bits of the spelling of each name; 0 for other tokens."""

    def __len__(self) -> int:
        return len(self.texts)


def is_code(text: str) -> bool:
    """Return whether an answer is source code: most of its lines are statements, and a keyword tells what they do."""
    lines = [line for line in text.splitlines() if line.strip()]
    statements = sum(STATEMENT.match(line) is not None for line in lines)
    return bool(lines) and statements >= SHARE * len(lines) and TELLING.search(text) is not None


def make_code_queries(items: Sequence[IndexedItem], model: CodeModel) -> CodeQueries:
    """Return the solutions that carry enough bits to be found as they are. Equal ones of a set are one query."""
    listed = list(list_solutions(items))
    owners, texts, seen = [], [], set()
    split = split_code([text for _, text in listed])
    bits = weigh_solutions(split, model)
    for number, (owner, text) in enumerate(listed):
        span = slice(int(split.offsets[number]), int(split.offsets[number + 1]))
        key = (items[owner].set, split.hashes[span].tobytes(), split.names[span].tobytes())
        if span.stop - span.start >= LEAST_TOKENS and bits[number] >= LEAST_BITS and key not in seen:
            seen.add(key)
            owners.append(owner)
            texts.append(text)
    return assemble_queries(owners, texts, model)


def list_solutions(items: Sequence[IndexedItem]) -> Iterator[tuple[int, str]]:
    """Yield the index of each item whose answer is code, with the answer.

    An answer that is the body of the function whose header ends the question has that header before it.
    """
    for number, item in enumerate(items):
        if item.answer and is_code(item.answer):
            headers = HEADER.findall("\n".join(item.questions)) if item.answer.lstrip("\r\n")[:1] in " \t" else []
            yield number, "\n".join([*headers[-1:], item.answer])


def assemble_queries(owners: Sequence[int], texts: Sequence[str], model: CodeModel) -> CodeQueries:
    """Return queries of these texts, whatever they are worth; ``owners`` are the indices of their items."""
    split = split_code(texts)
    names = np.where(split.names != 0, model.weigh_names(split.names), 0.0)
    return CodeQueries(np.array(owners, np.int64), tuple(texts), split, weigh_tokens(split.hashes, model), names)


def weigh_tokens(hashes: UInt64Array, model: CodeModel) -> CodeSurprisal:
    """Return the bits of some tokens in a row."""
    rows = model.weigh_tokens(hashes)
    heads = np.zeros((ORDERS, len(hashes) + 1))
    for order in range(1, min(ORDERS, len(hashes) + 1)):
        reach = len(hashes) - order + 1
        heads[order, :reach] = heads[order - 1, :reach] + rows[order - 1, order - 1 :]
    return CodeSurprisal(rows[0], rows[1], rows[-1], heads, np.concatenate([[0.0], np.cumsum(rows[-1])]))


def weigh_solutions(split: CodeTokens, model: CodeModel) -> Float64Array:
    """Return the bits of each document as a copy with all its names has them, of shape (documents,)."""
    surprise = weigh_tokens(split.hashes, model)
    name_bits = np.where(split.names != 0, model.weigh_names(split.names), 0.0)
    bits = np.zeros(len(split.offsets) - 1)
    for number, (first, last) in enumerate(zip(split.offsets.tolist(), split.offsets[1:].tolist(), strict=False)):
        names = split.names[first:last]
        bits[number] = surprise.of_run(first, last - first) + weigh_naming(names, names, name_bits[first:last]).bits
    return bits


def hash_runs(split: CodeTokens, size: int) -> tuple[UInt64Array, Int64Array]:
    """Return the hashes of all runs of ``size`` tokens that lie within one document, and the index of their first."""
    runs = words.hash_shingles(split.hashes, size)
    positions = np.flatnonzero(words.mark_inner_shingles(split.offsets, size, len(runs)))
    return runs[positions], positions
