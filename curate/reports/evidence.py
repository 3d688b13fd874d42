"""What the hits and the duplicates of a run say of one document, as values and as lines."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate.rundir.reasons import duplicate_reason
from curate.runtime.console import WIDTH
from curate.runtime.numbers import format_whole_percent
from curate.runtime.text import fit, fold, lay_out
from curate.stages.decontaminate.report.highlights import find_marks
from curate.stages.decontaminate.report.terminal import excerpt
from curate.stages.decontaminate.report.wording import AROUND, name_item

if TYPE_CHECKING:
    from curate.rundir.rejections import Rejections
    from curate.rundir.run import Run

HITS, COPIES = 5, 3  # that are shown
LABEL = 16
ACTIONS = {"drop": "evidence", "mark": "marked", "cut": "to be cut", "none": "for review"}
SHOWN = (
    "turn", "role", "eval_set", "eval_id", "part", "verdict", "action", "rule", "coverage", "bits", "start", "end",
    "before", "matched_text", "after", "eval_text",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DocumentPosition:
    """Where a document lies."""

    file: str
    row: int
    id: str | None = None
    source: str | None = None
    """The name of the other corpus that it lies in; None for this one."""

    def __str__(self) -> str:
        source = f"{self.source} " if self.source else ""
        return fold(f"{source}{self.file}:{self.row}" + (f" ({self.id})" if self.id else ""))


@dataclass(frozen=True, slots=True)
class CopyEvidence:
    """The cluster of a document that has copies."""

    kind: str
    """keeper, exact or near."""
    keeper: DocumentPosition
    jaccard: float
    """With the keeper."""
    others: tuple[DocumentPosition, ...]
    """Of a keeper: the first of those that are dropped for it."""
    number: int
    """How many those are."""

    def reason(self) -> str:
        """Why it is dropped: ``near duplicate of a.jsonl:3 (web-3), Jaccard .93``."""
        similar = f", Jaccard {int(self.jaccard * 100 + 1e-9) / 100:.2f}".replace(" 0.", " .")
        return f"{duplicate_reason(self.kind)} of {self.keeper}{similar if self.kind == 'near' else ''}"

    def lines(self) -> list[str]:
        if self.kind != "keeper":
            return lay_out("a copy", split_line(self.reason()))
        many = f"{self.number:,} cop{'y' if self.number == 1 else 'ies'}"
        more = self.number - len(self.others)
        named = [*map(str, self.others), *([f"and {more:,} more"] if more else [])]
        return lay_out("keeper", split_line(f"keeps {many}: {', '.join(named)}"))


@dataclass(frozen=True, slots=True)
class DocumentEvidence:
    """The evidence on one document."""

    hits: tuple[dict[str, Any], ...] = ()
    """Leaks before those for review, the strongest first."""
    more_hits: int = 0
    copies: CopyEvidence | None = None

    def lines(self) -> list[str]:
        found = [line for hit in self.hits for line in describe_hit(hit)]
        if self.more_hits:
            found.append(f"{'':<{LABEL}}and {self.more_hits:,} more")
        return found


def describe_hit(hit: dict[str, Any]) -> list[str]:
    """What was found and how sure that is, then both texts with the words that they share in ⟦ ⟧."""
    figures = f"{hit['verdict']}: {name_item(hit)}, {hit['rule']}, {format_whole_percent(hit['coverage'])} of its words"
    turn = "" if hit["turn"] is None else f", turn {hit['turn']} ({hit['role']})"
    lines = lay_out(ACTIONS[hit["action"]], split_line(fold(f"{figures}, {hit['bits']:,.0f} bits{turn}")))
    here, there = find_marks(hit["matched_text"], hit["eval_text"])
    before, after = hit["before"] or "", hit["after"] or ""
    moved = [(first + len(before), last + len(before)) for first, last in here]
    text = excerpt(before + hit["matched_text"] + after, moved, hit["start"] > len(before), len(after) < AROUND)
    return [
        *lines,
        *lay_out("  document", split_line(text)),
        *lay_out("  eval item", split_line(excerpt(hit["eval_text"], there, False, True))),
    ]


def split_line(text: str) -> Iterator[str]:
    """The words of a line; one that is wider than a line in pieces, as texts without spaces are."""
    for word in text.split():
        while fit(word, WIDTH - LABEL) < len(word):
            most = fit(word, WIDTH - LABEL)
            yield word[:most]
            word = word[most:]
        yield word


def open_dossier(run: "Run", found: "Rejections", file: str, row: int) -> DocumentEvidence:
    """The hits and the copies of a document, as far as the run has the tables."""
    hits, more = _read_hits(run, file, row) if found.hits is not None else ((), 0)
    return DocumentEvidence(hits, more, _read_copies(run, file, row) if found.duplicates is not None else None)


def _read_hits(run: "Run", file: str, row: int) -> tuple[tuple[dict[str, Any], ...], int]:
    from curate.rundir import parquet, sql

    if not parquet.parts(run.hits):
        return (), 0
    here = f"FROM {sql.parquet_source(run.hits)} WHERE file = ? AND row = ?"
    order = "ORDER BY verdict, bits DESC, eval_set, eval_id, start"  # contaminated before review
    rows = _ask(f"SELECT *, count(*) OVER () AS many {here} {order} LIMIT {HITS}", [file, row])
    many = rows[0]["many"] if rows else 0
    return tuple({name: hit[name] for name in SHOWN} for hit in rows), many - len(rows)


def _read_copies(run: "Run", file: str, row: int) -> CopyEvidence | None:
    from curate.rundir import sql

    source = sql.parquet_source(run.duplicates)
    own = _ask(f"SELECT * FROM {source} WHERE file = ? AND row = ?", [file, row])
    if not own:
        return None
    found = own[0]
    file, row, other = found["keeper_file"], found["keeper_row"], found["keeper_source"]
    kept = [] if other else _ask(f"SELECT id FROM {source} WHERE file = ? AND row = ? AND keeper", [file, row])
    keeper = DocumentPosition(file, row, kept[0]["id"] if kept else None, other)
    if not found["keeper"]:
        return CopyEvidence(found["kind"], keeper, found["jaccard"], (), 0)
    dropped = f"{source} WHERE NOT keeper AND keeper_source IS NULL AND keeper_file = ? AND keeper_row = ?"
    number = _ask(f"SELECT count(*) AS number FROM {dropped}", [file, row])[0]["number"]
    others = _ask(f"SELECT file, row, id FROM {dropped} LIMIT {COPIES}", [file, row])
    return CopyEvidence(
        found["kind"], keeper, found["jaccard"], tuple(DocumentPosition(**one) for one in others), number
    )


def _ask(query: str, values: list[Any]) -> list[dict[str, Any]]:
    from curate.rundir import sql

    rows: list[dict[str, Any]] = sql.connect().sql(query, params=values).to_arrow_table().to_pylist()
    return rows
