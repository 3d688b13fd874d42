"""The run directory, in which all verbs of one run read and write, and ``run.json``, which records their work.

``run.json`` has one record for each stage: its parameters, the fingerprint of what it was made from, and its counts. It
has no times and no host names, so that the same work gives the same bytes. A verb that finds a stale or foreign table
stops with an error that names the command to run; it never mixes tables.
"""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import xxhash

from curate.corpus import Corpus, SliceMark, check_holds_text, open_corpus, spool_streams
from curate.corpus.dialect import parse_delimiter
from curate.corpus.types import AUTO_QUOTING
from curate.errors import CorpusError, DamageError, TableError, UsageError
from curate.rundir import manifests, parquet
from curate.rundir.signals import SIGNALS
from curate.rundir.verdicts import token_counts
from curate.runtime import console, files
from curate.runtime.text import command, fold_whitespace, is_utf8, quote_path, shorten

FORMAT = 1
"""The version of ``run.json``."""


def compute_fingerprint(value: Any) -> str:
    """Return the 128-bit xxh3 of a value as JSON, in hex digits; the order of keys in a dictionary does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))


@dataclass(slots=True)
class Run:
    """A run directory and its ``run.json``, through which stages read and write their records."""

    path: Path
    record: dict[str, Any] = field(default_factory=dict)
    """The contents of ``run.json``: the record of each stage by its name, and ``format``."""
    warned: bool = field(default=False, compare=False)
    """Whether ``warn_of_partial_counts`` was called."""
    checked: dict[str, str] = field(default_factory=dict, compare=False)
    """The tables whose files were compared with their manifests, with the fingerprints of these."""

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
        """Write the manifest of a complete table, and return its fingerprint, for the record of the verb."""
        self.checked[table] = manifests.record_table(self.path, table)
        return self.checked[table]

    def check_manifest(self, table: str, record: Mapping[str, Any], mend: str) -> None:
        """Raise DamageError, with the command ``mend``, where a table is damaged; ``record`` is that of its verb."""
        manifests.check_table(self.path, table, record, mend, self.checked)

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

    def save(self, name: str, record: Mapping[str, Any] | None) -> None:
        """Replace the record of a stage, or remove it with None, and write ``run.json``. Raises StorageError."""
        rest = {key: value for key, value in self.record.items() if key != name}
        self.record = rest if record is None else {**rest, name: dict(record)}
        self.record["format"] = FORMAT
        value = dict(sorted(self.record.items()))
        manifests.record_run_file(self.path / "run.json", files.spell_json(value))
        files.write_json(self.path / "run.json", value)

    def list_hidden_signals(self) -> list[str]:
        """Return the signals that nobody asked for, which parts may have so that they can be asked for later."""
        record = self.stage("score") or {}
        if "parts" not in record:
            return []
        return [name for name in SIGNALS if name not in record["made_from"]["parameters"]["signals"]]

    def finished_scores(self) -> dict[str, Any]:
        """Return the record of ``score``. Raises TableError where the scores are missing or not complete."""
        record = self.stage("score")
        if record is None:
            raise TableError(f"{self.path} has no scores", command("score CORPUS", self.path))
        if not record.get("complete"):
            hint = "run the same curate score command again: it continues where it stopped"
            raise TableError(f"the scores in {self.path} are not complete", hint)
        self.check_scores()
        self.warn_of_partial_counts()
        return record

    def warn_of_partial_counts(self) -> None:
        """Warn, once, where the tokens of its documents are not all counted."""
        most = None if self.warned else self.counted_tokens()
        if most is not None:
            console.warn(f"{self.path}: {token_counts.explain_counted_tokens(most)}")
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
        if corpus.fingerprint() != record["made_from"]["corpus"]:
            message = f"the corpus of {self.path} has changed since it was scored: a file's size or content differs"
            raise TableError(message, hint_changed_corpus(self, record))
        return corpus


@dataclass(slots=True)
class PartCuts:
    """The slices of each file that the parts of a table cover, for ``Corpus.cuts``; read when first needed."""

    folder: Path
    file_to_marks: dict[str, list[SliceMark]] | None = None

    def __call__(self, file: str) -> Sequence[SliceMark]:
        """Return the slices of a file in order; none where no part is of it."""
        if self.file_to_marks is None:
            self.file_to_marks = {}
            for path in parquet.list_parts(self.folder):
                mark = SliceMark(**parquet.read_metadata(path)["slice"])
                self.file_to_marks.setdefault(mark.file, []).append(mark)
        return self.file_to_marks.get(file, [])


def reopen_scored_corpus(run: Run, record: Mapping[str, Any]) -> Corpus:
    """Open the corpus of a record of ``score``, cut as it was scored. Its files may have changed.

    Raises what ``open_corpus`` raises.
    """
    corpus = Corpus.from_spec(record["corpus"])
    return replace(corpus, cuts=PartCuts(run.scores)) if record.get("uneven") else corpus


def fingerprint_of_parts(record: Mapping[str, Any]) -> str:
    """Return what the parts of the scores are made from, as their metadata have it."""
    return str(record.get("parts") or record["fingerprint"])


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
    options = {} if name == "builtin" else {"model": name, "revision": request["model"].get("revision")}
    for option, value in {**options, **request["options"]}.items():
        if value is not None and value is not False:
            flag = f"--{option.replace('_', '-')}"
            words.append(flag if value is True else f"{flag} {shlex.quote(str(value))}")
    return command(" ".join(words), run.path)


def spell_mending_command(run: Run, record: Mapping[str, Any]) -> str:
    """Return the command that makes damaged parts of the scores, and of carried columns, again; ``record`` is theirs.

    The parts that are sound stay.
    """
    if "request" in record:
        return spell_score_command(run, record, record["corpus"]["paths"])
    if "template" in record["made_from"]["model"]:
        return f"curate rank-sft … --examples {quote_path(run.path.parent)}"
    return f"{spell_score_command(run, record, record['corpus']['paths'])} --restart"


def choose_run_corpus(run: Run, named: Sequence[str] | None, verb: str, **options: Any) -> Corpus:
    """Return the corpus of a run: the one that was scored, else that of an earlier verb, else ``named``.

    ``named`` are the paths of ``--corpus``, ``verb`` the words of the command for the hint, ``options`` those of
    ``open_corpus``. A corpus that is named first is recorded in ``run.json`` for the verbs that follow. Raises
    TableError where there is no corpus, or it has changed; UsageError where ``named`` or an option contradicts the
    corpus of the run, since all verbs of a run read one corpus.
    """
    known = run.stage("score") or run.stage("corpus")
    named = spool_streams(named, run.path) if named else named
    if known is None and not named:
        check_not_lost(run.path)
        with_corpus = command(f"{verb} … --corpus CORPUS", run.path)
        hint = f"{with_corpus} names it; {command('score CORPUS', run.path)} scores it first"
        raise TableError(f"{run.path} has no corpus", hint)
    if known is None:
        corpus = open_corpus(list(named or ()), **options)
        check_holds_text(corpus)
        run.save("corpus", {"corpus": corpus.spec(), "identity": corpus.identity()})
        return corpus
    corpus = run.corpus() if run.stage("score") else _reopen(known)
    for name, field_name in (("text_field", corpus.text_field), ("id_field", corpus.id_field)):
        if options.get(name) not in (None, field_name):
            option = f"--{name.replace('_', '-')}"
            message = f'{option} {options[name]}: in the corpus of {run.path} it is "{field_name}"'
            raise UsageError(message, f"leave {option} out, or use another --run")
    options = _keep_dialect(run, corpus, options)
    if named and open_corpus(list(named), **options).identity() != corpus.identity():
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


def open_run(path: str | Path, create: bool = False) -> Run:
    """Open a run directory; with ``create`` also one that does not exist, which is made when something is saved.

    Raises TableError where there is no ``run.json``, or another version wrote it; UsageError where ``path`` is a file;
    StorageError where the path cannot be read, or with ``create`` not be written.
    """
    directory = files.expand_home(path)
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
    if not file.exists():
        if not create:
            check_not_lost(directory)
            raise TableError(f"there is no run in {directory}", command("score CORPUS", directory))
        return Run(directory)
    try:
        content = file.read_bytes()
        record = json.loads(content.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        hint = "restore it from a copy, or name another run with --run"
        raise DamageError(f"{file} cannot be read: {error}", hint) from error
    manifests.check_run_file(file, content, record)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise TableError(f"{file} was written by another version of curate", "name another run with --run")
    broken = next((name for name, one in record.items() if name != "format" and not isinstance(one, dict)), None)
    if broken is not None:
        hint = "restore it from a copy, or name another run with --run"
        raise DamageError(f"{file} is damaged: its {shorten(fold_whitespace(broken), 40)} is no record", hint)
    return Run(directory, record)


def check_not_lost(directory: Path) -> None:
    """Raise DamageError where a run directory without ``run.json`` had one."""
    file = directory / "run.json"
    if not file.is_file() and manifests.locate_manifest(directory, file.name).exists():
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
