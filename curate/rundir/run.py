"""The run directory, in which all verbs of one run read and write, and ``run.json``, which records their work.

``run.json`` has one record for each stage: its parameters, the fingerprint of what it was made from, and its counts. It
has no times and no host names, so that the same work gives the same bytes. A verb that finds a stale or foreign table
stops with an error that names the command to run; it never mixes tables.
"""

import json
import string
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import xxhash

from curate.corpus import Corpus, SliceMark, check_holds_text, open_corpus, spool_streams
from curate.corpus.dialect import parse_delimiter
from curate.corpus.slice_marks import list_slices
from curate.corpus.types import AUTO_QUOTING
from curate.errors import CorpusError, DamageError, StorageError, TableError, UsageError
from curate.rundir import parquet
from curate.rundir.guards import manifests, ownership
from curate.rundir.signals import SIGNALS, list_columns, list_measures
from curate.rundir.verdicts import token_counts
from curate.runtime import console
from curate.runtime.disk import claims, files, mirrors
from curate.runtime.published import hide_model
from curate.runtime.text import command, fold_whitespace, is_utf8, quote_path, quote_word, shorten

FORMAT = 1
"""The version of ``run.json``."""
ALWAYS = ("run.json", "manifests")
"""What is in every run directory."""
KEPT_HERE = ("dedup/work", "dedup/buckets", "dedup/spill", "dedup/shingles", "streams")
"""What a run in an object store has on the machine alone that works on it, until the work is done."""
STAGES_READ = {
    "dedup": ("score", "decontaminate"),
    "filter": ("score", "decontaminate", "dedup"),
    "bucket": ("score", "decontaminate", "dedup", "filter"),
    "order": ("score", "decontaminate", "dedup", "filter"),
}
"""The stages from whose tables a stage makes its own."""


def compute_fingerprint(value: Any) -> str:
    """Return the 128-bit xxh3 of a value as JSON, in hex digits; the order of keys in a dictionary does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))


@dataclass(slots=True)
class Run:
    """A run directory and its ``run.json``, through which stages read and write their records."""

    path: Path
    record: dict[str, Any] = field(default_factory=dict)
    """The contents of ``run.json``: the record of each stage by its name, and ``format``.

    As it was when the run was opened, with what was saved since: what others save meanwhile is in the file alone.
    """
    claim: claims.HeldClaim | None = field(default=None, compare=False)
    """What the verb that opened the run claimed of it."""
    warned: bool = field(default=False, compare=False)
    """Whether ``warn_of_partial_counts`` was called."""
    reserved: tuple[str, ...] = field(default=(), compare=False)
    """What is made in the directory from now on, by its name; it is entered in the mark of the run before."""
    checked: dict[str, str] = field(default_factory=dict, compare=False)
    """The tables whose files were compared with their manifests, with the fingerprints of these."""
    compared: dict[str, manifests.CheckedTable] = field(default_factory=dict, compare=False)
    """What was found where this process compared tables with their manifests, by their names."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out the claim, which is the process's that made it: a copy in another one works under it."""
        return Run, (self.path, self.record, None, self.warned, self.reserved, self.checked)

    @property
    def scores(self) -> Path:
        return self.path / "scores"

    @property
    def filter(self) -> Path:
        return self.path / "filter.parquet"

    @property
    def hits(self) -> Path:
        return self.path / "hits"

    @property
    def duplicates(self) -> Path:
        return self.path / "duplicates.parquet"

    @property
    def buckets(self) -> Path:
        return self.path / "buckets.parquet"

    @property
    def order(self) -> Path:
        return self.path / "order.parquet"

    @property
    def carried(self) -> Path:
        return self.path / "carried"

    @property
    def aside(self) -> Path:
        """Parts of the scores of files that the corpus no longer has, kept in case that they come back."""
        return self.path / "aside"

    @property
    def unreadable(self) -> Path:
        return self.path / "unreadable.jsonl"

    def record_manifest(self, table: str) -> str:
        """Write the manifest of a complete table, and return its fingerprint, for the record of the verb.

        What this process knows of parts that are still the same is not read again.
        """
        before = self.compared.get(table)
        if before is not None and before.notes is not None and before.is_unchanged():
            self.checked[table] = before.fingerprint
        else:
            self.checked[table] = manifests.record_table(self.path, table, before)
        return self.checked[table]

    def check_manifest(self, table: str, record: Mapping[str, Any], mend: str) -> None:
        """Raise DamageError, with the command ``mend``, where a table is damaged; ``record`` is that of its verb.

        Once in a process. Where the record has no fingerprint (an earlier version) nothing is checked.
        """
        fingerprint = record.get(manifests.KEY)
        if fingerprint is not None and self.checked.get(table) != fingerprint:
            self.compared[table] = manifests.check_table(self.path, table, fingerprint, mend)
            self.checked[table] = fingerprint

    def discard_damaged_parts(self, table: str, record: Mapping[str, Any]) -> None:
        """Remove the damaged parts of a table, which its verb makes again; ``record`` is that of the verb.

        Raises what ``parquet.discard_part`` raises.
        """
        compared = manifests.discard_damaged_parts(self.path, table, record)
        if compared is not None:
            self.compared[table] = compared

    def is_as_recorded(self, table: str, record: Mapping[str, Any] | None) -> bool:
        """Return whether this process has found a table sound, and nothing was written since.

        ``record`` is that of its verb in ``run.json``. False for tables of earlier versions.
        """
        known = self.compared.get(table)
        if known is None or known.notes is None or known.fingerprint != (record or {}).get(manifests.KEY):
            return False
        return not known.damage and known.is_unchanged()

    def list_filled_parts(self, folder: Path) -> list[Path]:
        """Return the parts of a table without those that are known to have no rows; one stays, for its columns.

        Where this process has not compared the table with its manifest, all parts are returned.
        """
        paths, known = parquet.list_parts(folder), self._find_compared(folder)
        return paths if known is None else [path for path in paths if not known.is_empty(path)] or paths[:1]

    def list_known_notes(self, folder: Path) -> dict[Path, dict[str, Any]]:
        """Return the metadata of those parts of a table that this process has found sound, in the order of the corpus.

        None is opened, and none needs to be read again to know that it is sound.
        """
        known = self._find_compared(folder)
        notes = {path: known.find_note(path) for path in parquet.list_parts(folder)} if known is not None else {}
        return {path: note for path, note in notes.items() if note is not None}

    def read_note(self, path: Path) -> dict[str, Any]:
        """Return the JSON metadata of a part of a table.

        From the manifest of its table where this process has compared the part with that, else from the part itself.
        Raises what ``parquet.read_metadata`` raises.
        """
        known = self._find_compared(path.parent)
        note = None if known is None else known.find_note(path)
        return parquet.read_metadata(path) if note is None else note

    def _find_compared(self, folder: Path) -> manifests.CheckedTable | None:
        """Return what was found where this process compared the table in a folder with its manifest."""
        return self.compared.get(folder.relative_to(self.path).as_posix())

    def check_there(self, table: str, record: Mapping[str, Any] | None, mend: Callable[[Self, Any], str]) -> None:
        """Raise DamageError, with what ``mend`` spells, where the one file of a finished table cannot be opened."""
        if record is not None and manifests.KEY in record and not parquet.is_complete(self.path / table):
            self.check_manifest(table, record, mend(self, record))

    def check_scores(self) -> None:
        """Raise DamageError where parts of finished scores are missing, truncated or altered."""
        record = self.stage("score") or {}
        if record.get("complete"):
            self.check_manifest("scores", record, spell_mending_command(self, record))

    def stage(self, name: str) -> dict[str, Any] | None:
        """Return a copy of the record of a stage; None where it has not run."""
        record = self.record.get(name)
        return dict(record) if isinstance(record, dict) else None

    def reserve(self, *names: str, emptied: Sequence[str] = ()) -> None:
        """Say what is going to be made or replaced in the run, at the beginning of long work; nothing is written yet.

        ``emptied`` are the folders that are going to be removed. Raises UsageError where something of such a name is
        there and curate did not make it, TableError where a folder to be removed has foreign files.
        """
        names = (*names, *ALWAYS)
        ownership.check_names(self.path, names, self.record)
        for name in emptied:
            ownership.check_removable(self.path, name)
        self.reserved = (*dict.fromkeys((*self.reserved, *names)),)

    def enter(self) -> None:
        """Enter what was reserved in the mark of the run, which is created. Raises StorageError."""
        ownership.enter_names(self.path, self.reserved or ALWAYS)

    def remove(self, name: str, *below: str) -> None:
        """Remove a folder of the run, or with ``below`` one in it. Raises TableError where it has foreign files."""
        self.enter()
        ownership.remove_folder(self.path, name, *below)

    def save(self, name: str, record: Mapping[str, Any] | None) -> None:
        """Replace the record of a stage in ``run.json``, or remove it with None; what others recorded there stays.

        Raises StorageError, and TableError where a table that the stage was made from is another one now, or where the
        claim was lost.
        """
        self.amend(name, lambda _: record)

    def amend(self, name: str, change: Callable[[dict[str, Any] | None], Mapping[str, Any] | None]) -> None:
        """Replace the record of a stage by what ``change`` makes of the one that ``run.json`` has now.

        No other process changes the file in between. Raises what ``save`` raises.
        """
        self.enter()
        with self.lock():
            now = read_record(self.path)
            before = now.pop(name, None)
            record = change(before if isinstance(before, dict) else None)
            if record is not None:
                self._check_unchanged(name, now)
            self.record = {key: value for key, value in self.record.items() if key != name} | {"format": FORMAT}
            if record is not None:
                now[name] = self.record[name] = dict(record)
            files.write_json(self.path / "run.json", manifests.sign_run_record({**now, "format": FORMAT}))

    def record_first(self, name: str, record: Mapping[str, Any]) -> bool:
        """Save the record of a stage unless ``run.json`` has one by now, and return whether it was saved.

        The record that is there is then known to this run.
        """
        self.amend(name, lambda before: record if before is None else before)
        return self.stage(name) == dict(record)

    def refresh(self, name: str) -> None:
        """Read the record of a stage again, which another process may have changed."""
        now = read_record(self.path)
        self.record = {key: value for key, value in self.record.items() if key != name}
        if name in now:
            self.record[name] = now[name]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of the run directory for the moment of a change. Raises StorageError."""
        if self.claim is not None:
            self.claim.check_held()
        try:
            with claims.lock_folder(self.path):
                yield
        except OSError as error:
            raise files.make_storage_error(error, self.path / "run.json") from error

    def _check_unchanged(self, name: str, now: Mapping[str, Any]) -> None:
        """Raise TableError where a stage that this one reads was run again, since the run was opened."""
        for read in STAGES_READ.get(name, ()):
            if _identify_record(self.record.get(read)) != _identify_record(now.get(read)):
                message = f"curate {read} has run in {self.path} since curate {name} began to read its table"
                raise TableError(message, "run the same command again")

    def list_hidden_signals(self) -> list[str]:
        """Return the columns of the signals that nobody asked for, which parts may have all the same."""
        record = self.stage("score") or {}
        if "parts" not in record:
            return []
        asked = record["made_from"]["parameters"]["signals"]
        return list(list_columns(name for name in SIGNALS if name not in asked))

    def finished_scores(self) -> dict[str, Any]:
        """Return the record of ``score``. Raises TableError where the scores are missing or not complete."""
        record = self.stage("score")
        if record is None:
            raise TableError(f"{self.path} has no scores", spell_first_score_command(self))
        if not record.get("complete"):
            hint = "run the same curate score command again: it continues where it stopped"
            raise TableError(f"the scores in {self.path} are not complete", hint)
        self.check_scores()
        self.warn_of_partial_counts()
        return record

    def warn_of_partial_counts(self) -> None:
        """Warn, once, where the tokens of its documents are not all counted, or where files are to be read again."""
        most = None if self.warned else self.counted_tokens()
        if most is not None:
            console.warn(f"{self.path}: {token_counts.explain_counted_tokens(most)}")
        if not self.warned and (record := self.stage("score")) and record.get("reread"):
            console.warn(f"{self.path}: files changed while they were scored: {list_reread(record)}")
        self.warned = True

    def counted_tokens(self) -> int | None:
        """Return how many tokens of each document are counted at most; None where all are, as in new runs."""
        return token_counts.find_counted_tokens(self.stage("score") or {}, parquet.list_parts(self.scores))

    def corpus(self) -> Corpus:
        """Open the corpus that was scored, in the slices that were scored.

        Raises CorpusError where it is not where it was, TableError where its files are not the ones that were scored.
        """
        record = self.finished_scores()
        try:
            corpus = reopen_scored_corpus(self, record)
        except CorpusError as error:
            if not error.message.endswith("does not exist"):
                raise
            message = f"the corpus of {self.path} is not where it was: {error.message}"
            raise CorpusError(message, f"{spell_score_command(self, record)} takes it up where it is now") from error
        if record.get("reread"):
            message = f"files of the corpus of {self.path} changed while they were scored: {list_reread(record)}"
            raise TableError(message, hint_changed_corpus(self, record))
        if corpus.fingerprint() != record["made_from"]["corpus"]:
            message = f"the corpus of {self.path} has changed since it was scored: a file's size or content differs"
            raise TableError(message, hint_changed_corpus(self, record))
        return corpus


def _identify_record(record: Any) -> tuple[Any, Any] | None:
    """Return what tells two makings of a table apart."""
    return (record.get("fingerprint"), record.get("complete")) if isinstance(record, dict) else None


@dataclass(slots=True)
class PartCuts:
    """The slices of each file that the parts of the scores cover, for ``Corpus.cuts``; read when first needed."""

    run: Run
    file_to_marks: dict[str, list[SliceMark]] | None = None

    def __call__(self, file: str) -> Sequence[SliceMark]:
        """Return the slices of a file in order; none where no part is of it."""
        if self.file_to_marks is None:
            self.file_to_marks = {}
            for part in list_file_parts(self.run, parquet.list_parts(self.run.scores)):
                self.file_to_marks.setdefault(part.mark.file, []).append(part.mark)
        return self.file_to_marks.get(file, [])


@dataclass(frozen=True, slots=True)
class FilePart:
    """A slice of a file, and the part that has its rows."""

    path: Path
    mark: SliceMark
    first: int
    """Rows of the part before those of the slice."""


def list_file_parts(run: Run, paths: Iterable[Path]) -> Iterator[FilePart]:
    """Yield the slices of some parts of a run in order, each with its part."""
    for path in paths:
        first = 0
        for mark in list_slices(run.read_note(path)):
            yield FilePart(path, mark, first)
            first += mark.documents


def find_file_parts(run: Run, file: str, number: int) -> list[FilePart]:
    """Return the slices of a file that was scored, each with its part; ``number`` is the file's index in the corpus.

    Only the metadata of parts that may be of the file are read: a part is named after the first of its files.
    """
    paths = parquet.list_parts(run.scores)
    names = [path.name for path in paths]
    first, stop = (bisect_left(names, name_part(each, 0)) for each in (number, number + 1))
    return [part for part in list_file_parts(run, paths[max(0, first - 1) : stop]) if part.mark.file == file]


def name_part(source: int, number: int) -> str:
    """Return the file name of a part: the index of its first file in the corpus and the number of its slice there.

    The names of parts sort in the order of the corpus, whatever the numbers.
    """
    return f"{_pad(source, 5)}-{_pad(number, 6)}.parquet"


def parse_source(part: str) -> int:
    """Return the index of the first file of a part by its name."""
    return int(part.split("-")[0].lstrip(string.ascii_letters))


def parse_slice(part: str) -> int:
    """Return the number of the first slice of a part in its file by its name."""
    return int(part.split("-")[1].partition(".")[0].lstrip(string.ascii_letters))


def _pad(number: int, width: int) -> str:
    """Return a number in at least ``width`` digits; a letter, which sorts behind digits, leads a longer one."""
    digits = f"{number:0{width}d}"
    return digits if len(digits) == width else chr(ord("a") + len(digits) - width - 1) + digits


def reopen_scored_corpus(run: Run, record: Mapping[str, Any]) -> Corpus:
    """Open the corpus of a record of ``score``, cut as it was scored. Its files may have changed.

    Raises what ``open_corpus`` raises.
    """
    corpus = Corpus.from_spec(record["corpus"])
    return replace(corpus, cuts=PartCuts(run)) if record.get("uneven") else corpus


def list_reread(record: Mapping[str, Any], most: int = 5) -> str:
    """Return the files that ``score`` is to read again, by name; at most ``most`` and how many more."""
    names = sorted(record.get("reread", {}))
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def note_changed_file(run: Run, file: str, kept_bytes: int = 0) -> str:
    """Note in ``run.json`` that the next ``score`` reads a file of the corpus again, and return that command.

    Its size and both its ends may be those that were scored, so that nothing else tells. Parts that end within the
    first ``kept_bytes`` of the file are kept.
    """
    record = run.stage("score") or {}
    if "request" not in record:
        return hint_changed_corpus(run, record)
    try:
        run.save("score", {**record, "reread": {**record.get("reread", {}), file: kept_bytes}})
    except StorageError:  # of another user, or read-only: nothing can be noted
        return f"{spell_score_command(run, record, record['corpus']['paths'])} --restart"
    return f"{spell_score_command(run, record, record['corpus']['paths'])} reads {quote_path(file)} again"


def fingerprint_of_parts(record: Mapping[str, Any]) -> str:
    """Return what the parts of the scores are made from, as their metadata have it."""
    return str(record.get("parts") or record["fingerprint"])


def publish_model(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity of the model of a record of ``score`` as others may see it: of a folder only its name."""
    identity = dict(record["made_from"].get("model") or {})
    name, asked = identity.get("model"), record.get("request", {}).get("model", {})
    if not isinstance(name, str):
        return identity
    is_folder = "files" in asked if asked else identity.get("revision") is None
    return identity | {"model": hide_model(name, is_folder and name not in ("builtin", "none", "served"))}


def list_local_paths(run: Run) -> list[str]:
    """Return the paths of the corpus of a run, as its record has them; none where no corpus is known."""
    record = run.stage("score") or run.stage("corpus") or {}
    return list(record.get("corpus", {}).get("paths", ()))


def hint_changed_corpus(run: Run, record: Mapping[str, Any]) -> str:
    """Return the hint for a corpus that has changed since it was scored."""
    if "request" not in record:
        return "score it again (curate score … --restart), or restore the old files"
    return f"{spell_score_command(run, record, record['corpus']['paths'])} scores what is new and keeps the rest"


def spell_score_command(run: Run, record: Mapping[str, Any], paths: Sequence[str] = ("CORPUS",)) -> str:
    """Return the command that scores ``paths`` into a run with the model and the options of its record."""
    words = ["score", *map(quote_path, paths)]
    request = record.get("request", {"model": {"name": record["made_from"]["model"]["model"]}, "options": {}})
    name = request["model"]["name"]
    options = {} if name in ("builtin", "served") else {"model": name, "revision": request["model"].get("revision")}
    for option, value in {**options, **request["options"]}.items():
        if value is not None and value is not False:
            flag = f"--{option.replace('_', '-')}"
            words.append(flag if value is True else f"{flag} {quote_word(str(value))}")
    signals = record.get("made_from", {}).get("parameters", {}).get("signals", ())
    if list_measures(signals):  # only the model can add them later: a command with --restart must not lose them
        words.append(f"--signals {','.join(signals)}")
    return command(" ".join(words), run.path)


def spell_first_score_command(run: Run) -> str:
    """Return the command that scores the corpus of a run without scores, as the verb that named it read it.

    ``CORPUS`` stands in it where no verb has.
    """
    record = run.stage("corpus")
    if record is None:
        return command("score CORPUS", run.path)
    spec = record["corpus"]
    words = ["score", *(quote_path(shorten_path(path)) for path in spec["paths"])]
    usual = {
        "text_field": "text",
        "id_field": "id",
        "delimiter": None,
        "quoting": AUTO_QUOTING,
        "on_error": "quarantine",
    }
    for name, value in usual.items():
        given = spec.get(name, value)
        if given not in (None, value) and not str(given).startswith("@"):
            words.append(f"--{name.replace('_', '-')} {quote_word(str(given))}")
    return command(" ".join(words), run.path)


def shorten_path(path: str) -> str:
    """Return a path as it is named from the working directory where it lies below it, else as it is."""
    below = Path(path)
    return str(below.relative_to(Path.cwd())) if below.is_relative_to(Path.cwd()) else path


def spell_mending_command(run: Run, record: Mapping[str, Any]) -> str:
    """Return the command that makes damaged parts of the scores, and of carried columns, again; ``record`` is theirs.

    The parts that are sound stay.
    """
    if "request" in record:
        return spell_score_command(run, record, record["corpus"]["paths"])
    if "template" in record["made_from"]["model"]:
        return f"curate rank-sft … --examples {quote_path(mirrors.spell_place(run.path).rpartition('/')[0])}"
    return f"{spell_score_command(run, record, record['corpus']['paths'])} --restart"


def choose_run_corpus(run: Run, named: Sequence[str] | None, verb: str, **options: Any) -> Corpus:
    """Return the corpus of a run: the one that was scored, else that of an earlier verb, else ``named``.

    ``named`` are the paths of ``--corpus``, ``verb`` the words of the command for the hint, ``options`` those of
    ``open_corpus``. A corpus that is named first is recorded in ``run.json`` for the verbs that follow. Raises
    TableError where there is no corpus, or it has changed; UsageError where ``named`` or an option contradicts the
    corpus of the run, since all verbs of a run read one corpus.
    """
    known = run.stage("score") or run.stage("corpus")
    ownership.check_apart(named or (), run.path)
    named = spool_streams(named, run.path, run.enter) if named else named
    if known is None and not named:
        check_not_lost(run.path)
        with_corpus = command(f"{verb} … --corpus CORPUS", run.path)
        hint = f"{with_corpus} names it; {command('score CORPUS', run.path)} scores it first"
        raise TableError(f"{run.path} has no corpus", hint)
    if known is None:
        corpus = open_corpus(list(named or ()), **options)
        check_holds_text(corpus)
        if not run.record_first("corpus", {"corpus": corpus.spec(), "identity": corpus.identity()}):
            return choose_run_corpus(run, named, verb, **options)  # another verb has named one meanwhile
        return corpus
    corpus = run.corpus() if run.stage("score") else _reopen(known)
    for name, field_name in (("text_field", corpus.text_field), ("id_field", corpus.id_field)):
        if options.get(name) not in (None, field_name):
            option = f"--{name.replace('_', '-')}"
            message = f'{option} {options[name]}: in the corpus of {run.path} it is "{field_name}"'
            raise UsageError(message, f"leave {option} out, or use another --run")
    options = _keep_dialect(run, corpus, options)
    if named and replace(open_corpus(list(named), **options), edits=corpus.edits).identity() != corpus.identity():
        shown = " ".join(known["corpus"]["paths"])
        raise UsageError(f"the corpus of {run.path} is {shown}; --corpus names another", "use another --run")
    return corpus


def _keep_dialect(run: Run, corpus: Corpus, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with the delimiter and the quoting of the corpus. Raises UsageError for others."""
    kept = {"delimiter": corpus.delimiter, "quoting": corpus.quoting}
    given = {"delimiter": parse_delimiter(options.get("delimiter")), "quoting": options.get("quoting", AUTO_QUOTING)}
    for name, value in given.items():
        if corpus.has_separated_files and value not in (None, AUTO_QUOTING, kept[name]):
            message = f"--{name} {options[name]}: the corpus of {run.path} is read with {kept[name] or 'auto'}"
            raise UsageError(message, f"leave --{name} out, or use another --run")
    return {**options, **kept}


def _reopen(known: Mapping[str, Any]) -> Corpus:
    corpus = Corpus.from_spec(known["corpus"])
    if corpus.identity() != known["identity"]:
        raise TableError("the corpus has changed since this run began", "use another --run, or restore the files")
    return corpus


def locate_run(path: str | Path) -> Path:
    """Return the folder of this machine in which a run is worked on: for one in an object store that of its mirror.

    What is small of such a run is what the store has by then; tables are fetched when they are claimed. Raises
    UsageError for a URL that can be no run, StorageError where the store refuses.
    """
    folder = mirrors.locate_folder(path, KEPT_HERE)
    mirror = mirrors.find_mirror(folder)
    if mirror is not None and mirror.root == folder:
        mirror.pull(wants=lambda name: not name.endswith(".parquet"), deep=False)
        mirror.pull("manifests")
    return folder


def open_run(path: str | Path, create: bool = False) -> Run:
    """Open a run directory; with ``create`` also one that does not exist, which is made when something is saved.

    Raises TableError where there is no ``run.json``, or another version wrote it; UsageError where ``path`` is a file,
    or can only be a mistake; StorageError where the path cannot be read, or with ``create`` not be written.
    """
    directory = locate_run(path)
    ownership.check_run_directory(path, directory)
    if not is_utf8(str(directory)):
        raise UsageError(f"the name of the run directory is not UTF-8: {directory!s:.200}", "name another with --run")
    try:
        is_other = directory.exists() and not directory.is_dir()
    except OSError as error:
        raise files.make_storage_error(error, directory) from error
    if is_other:
        raise UsageError(f"{directory} is a file, not a run directory", "name a directory with --run")
    if create:
        files.check_output_directory(directory)
    file = directory / "run.json"
    if not file.exists() and not create:
        check_not_lost(directory)
        raise TableError(f"there is no run in {directory}", command("score CORPUS", directory))
    return Run(directory, read_record(directory))


def read_record(directory: Path) -> dict[str, Any]:
    """Return the contents of ``run.json``, nothing where there is none. Raises TableError where it cannot be read."""
    file = directory / "run.json"
    if not file.exists():
        return {}
    try:
        content = file.read_bytes()
        record = json.loads(content.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        hint = "restore it from a copy, or name another run with --run"
        raise DamageError(f"{file} cannot be read: {error}", hint) from error
    manifests.check_run_file(file, content, record)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise TableError(f"{file} was written by another version of curate", "name another run with --run")
    record.pop(manifests.CHECKSUM, None)
    broken = next((name for name, one in record.items() if name != "format" and not isinstance(one, dict)), None)
    if broken is not None:
        hint = "restore it from a copy, or name another run with --run"
        raise DamageError(f"{file} is damaged: its {shorten(fold_whitespace(broken), 40)} is no record", hint)
    return record


def check_not_lost(directory: Path) -> None:
    """Raise DamageError where a run directory without ``run.json`` had one."""
    file = directory / "run.json"
    if not file.is_file() and manifests.has_manifests(directory):
        again = command("score CORPUS --restart", directory)
        raise DamageError(f"{file} is missing", f"restore it from a copy, or start over: {again}")


def list_differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return what differs between two nested records: ``name: old, now new`` for each value, by name."""
    differences: list[str] = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            differences += list_differences(before, after, f"{prefix}{key}.")
        elif before != after:
            differences.append(f"{prefix}{key}: {_shorten(before)}, now {_shorten(after)}")
    return differences


def _shorten(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
