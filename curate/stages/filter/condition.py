"""The user's condition with its names settled: which column of the scores or of the documents each one means.

A bare name is that of a column of the scores where they have it in this spelling, else that of the documents' column,
else, since SQL knows no case, that of either in another spelling. ``doc.NAME`` is the documents' column, and a name in
double quotes that nothing shows so far is looked for in all rows, as ``doc.NAME`` is. Of ``a.b``, where the documents
have a column ``a`` with a field ``b`` and a column ``a.b`` too, the field is meant; ``"a.b"`` is the column. Where two
have a name, the screen says which is meant. The views have columns of the documents under their own names; a field
within a column, or a column whose name the views have already, under a name that the SQL is rewritten to.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from curate.corpus import Corpus
from curate.errors import UsageError
from curate.rundir import schemas, sql
from curate.rundir.columns.names import PREFIX, explain_absence, find_column, is_searchable
from curate.rundir.scores_view import REJECTION_COLUMNS
from curate.rundir.signals import SIGNALS, list_columns
from curate.stages.filter.mentions import ColumnMention, list_mentions
from curate.stages.filter.steadiness import WORDS, has_subquery

TAKEN = {"part", "place", "rejection", *schemas.SCORES.names, *list_columns(SIGNALS), *REJECTION_COLUMNS}
"""Names that columns of the documents cannot have in the views."""
OURS = {*schemas.SCORES.names, *list_columns(SIGNALS), *REJECTION_COLUMNS}


@dataclass(frozen=True, slots=True)
class SettledCondition:
    """A condition as DuckDB evaluates it."""

    sql: str
    carry: Mapping[str, str]
    """The columns of the documents that it needs, each with its name in the views."""
    notes: tuple[str, ...]
    """What is to be said of names that several columns have."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    """A column of the documents, and the fields within it that SQL takes from its values."""

    name: str
    fields: tuple[str, ...] = ()


@dataclass(slots=True)
class ConditionSettler:
    """Finds what the names of one condition mean."""

    corpus: Corpus
    scores: Collection[str]
    """The columns of the scores and of the tables that reject, as the views have them now."""
    carried: Collection[str]
    """Columns that are carried, whether or not the documents have them."""
    names: dict[str, str] = field(default_factory=dict)
    """The names in the views, by columns of the documents."""
    notes: dict[str, None] = field(default_factory=dict)

    def settle(self, condition: str) -> SettledCondition:
        """Return the condition with its names settled.

        Raises UsageError for a name that several columns have in other spellings, for the column of the text, and for
        a column or a field that the documents do not have.
        """
        octets, pieces, done = condition.encode(), list[bytes](), 0
        has_names = has_subquery(condition)  # which may give names of its own
        for mention in list_mentions(condition):
            quoted = not has_names and octets[mention.start : mention.start + 1] == b'"'
            meaning = self._find(mention, quoted)
            if meaning is not None:
                text = self._write(mention, meaning)
                pieces += [octets[done : mention.start], text.encode()]
                done = mention.stop
        return SettledCondition(b"".join([*pieces, octets[done:]]).decode(), dict(self.names), tuple(self.notes))

    def _write(self, mention: ColumnMention, meaning: _Meaning) -> str:
        """Return the SQL of a mention."""
        shown = self.names.setdefault(meaning.name, self._choose_name(meaning.name))
        table = "" if mention.table is None else f"{sql.quote_name(mention.table)}."
        fields = "".join(f"[{sql.quote(name)}]" for name in meaning.fields)
        return f"{table}{sql.quote_name(shown)}{fields}"

    def _choose_name(self, name: str) -> str:
        taken = {one.lower() for one in (*TAKEN, *self.scores, *self.names.values())}
        if name.lower() not in taken:
            return name
        shown, number = PREFIX + name.removeprefix(PREFIX), 2
        while shown.lower() in taken:
            shown, number = f"{PREFIX}{name} ({number})", number + 1
        return shown

    def _find(self, mention: ColumnMention, quoted: bool) -> _Meaning | None:
        """Return the documents' column that is meant; None where it is one of the scores, or not known.

        A name that stands in double quotes is looked for in all rows, as ``doc.NAME`` is.
        """
        first, *rest = mention.names
        if first == PREFIX[:-1] and rest:
            return self._find_prefixed(rest)
        if first.startswith(PREFIX) and not self._has(first):
            return self._find_prefixed([first.removeprefix(PREFIX), *rest])
        chosen = self._choose(first)
        if chosen is None:
            literal = ".".join(mention.names)  # a column of this name, as CSV files have them
            if rest and literal in self.corpus.columns:
                return _Meaning(literal)
            is_open = quoted and not rest and not any(self._is_ours(name) for name in (first, first.lower()))
            return _Meaning(PREFIX + first) if is_open and is_searchable(self.corpus, PREFIX + first) else None
        return self._find_field([chosen, *rest])

    def _is_ours(self, name: str) -> bool:
        return name in self.scores or name in OURS or name in WORDS

    def _find_prefixed(self, names: Sequence[str]) -> _Meaning:
        if self._has(names[0]):
            return self._find_field(names)
        doc = PREFIX[:-1]
        if self._has(doc):
            return self._find_field([doc, *names])
        if is_searchable(self.corpus, PREFIX + names[0]):
            return _Meaning(PREFIX + ".".join(names))
        raise explain_absence(self.corpus, names[0])

    def _choose(self, name: str) -> str | None:
        """Return the name of the documents' column that a bare name means; None for a column of the scores, or none."""
        others = [column for column in (*self.corpus.columns, *self.carried) if column.lower() == name.lower()]
        if name in self.scores:
            if others and not (name == "id" == self.corpus.id_field):
                self._note(f"{name} is that of the scores; the documents' column is {PREFIX}{others[0]}")
            return None
        if self._has(name):
            if name.lower() in OURS:
                other = (
                    f"{name.lower()} is that of the scores" if name.lower() in self.scores else "the scores have none"
                )
                self._note(f"{name} is the documents' column; {other}")
            return name
        if name.lower() in self.scores:
            if others:
                self._note(f"{name} is that of the scores; the documents' column is {PREFIX}{others[0]}")
            return None
        if len(set(others)) > 1:
            listed = ", ".join(sorted(set(others)))
            raise UsageError(f"--where: {name} may be any of {listed}", f"spell it as the documents do: {listed}")
        if not others and find_column(self.corpus, name) == "missing":
            return name
        return others[0] if others else None

    def _note(self, text: str) -> None:
        self.notes[text] = None

    def _has(self, name: str) -> bool:
        return name in self.carried or find_column(self.corpus, name) in ("shown", "hidden")

    def _has_field(self, names: Sequence[str]) -> bool:
        """Return whether the starts of the files show a column with a field in it, and the fields within that."""
        for schema in self.corpus.start_schemas:
            kind = schema.field(names[0]).type if schema.get_field_index(names[0]) >= 0 else pa.null()
            for part in names[1:]:
                has_part = pa.types.is_struct(kind) and kind.get_field_index(part) >= 0
                kind = kind.field(part).type if has_part else None
                if kind is None:
                    break
            else:
                return True
        return False

    def _find_field(self, names: Sequence[str]) -> _Meaning:
        """Return the column to carry: the field itself where its path can be read, else the column around it."""
        name = ".".join(names)
        if name == self.corpus.text_field:
            message = f"--where: {name} is the documents' text, which is not stored next to the scores"
            raise UsageError(message, "bytes and chars are its length; other columns of the documents can be named")
        if len(names) > 1 and name in self.corpus.columns and self._has_field(names):
            self._note(f'{name} is a field of {names[0]}; the column of this name is "{name}"')
            return _Meaning(names[0], tuple(names[1:]))
        splits = len(names) > 1 and not any("." in one for one in names)
        if len(names) == 1 or (splits and find_column(self.corpus, name) in ("shown", "hidden", "missing")):
            return _Meaning(PREFIX + name if name.startswith(PREFIX) else name)
        return _Meaning(names[0], tuple(names[1:]))
