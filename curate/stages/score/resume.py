"""What a run has already of what ``curate score`` is asked for, before a model is loaded.

    check the request ──► arrange the parts ──► add columns ──► what is left to score

Scores that were made otherwise are refused by the name of the option. Parts of files that the corpus still has are
kept, whatever else has changed.
"""

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from curate.corpus import Corpus
from curate.corpus.files.file_identity import identify_source
from curate.corpus.shares import choose_share
from curate.corpus.slice_marks import list_origins, list_slices
from curate.corpus.units import Unit
from curate.errors import TableError
from curate.reference import load
from curate.reference.announce import announce_reference
from curate.reference.checkpoints.model_files import WITHOUT_FILES, describe_model
from curate.reference.checkpoints.no_model import NAME as NO_MODEL
from curate.reference.checkpoints.no_model import NoModel
from curate.reference.protocol import ReferenceModel, ScoringConfig
from curate.rundir import document_columns, parquet
from curate.rundir.columns.names import find_path, has_column
from curate.rundir.guards import ownership
from curate.rundir.run import (
    Run,
    compute_fingerprint,
    fingerprint_of_parts,
    list_differences,
    list_reread,
    spell_score_command,
)
from curate.rundir.signals import SIGNALS, list_measures
from curate.runtime import console
from curate.runtime.disk.writers import sweep_leftovers
from curate.runtime.text import command
from curate.runtime.work.array_tasks import ArrayTask
from curate.stages.score import columns
from curate.stages.score.arrange import Arrangement, ScoredPart, arrange_parts, read_scored_parts
from curate.stages.score.changes import (
    FileState,
    begin_reading,
    end_reading,
    find_changes,
    note_changes,
    read_begun,
    read_states,
)
from curate.stages.score.moves import move_parts
from curate.stages.score.request import (
    align_identity,
    check_device,
    check_identity,
    check_reading,
    check_request,
    fingerprint_parts,
)
from curate.stages.score.slices import ScoreWork, choose_slice_bytes
from curate.stages.score.table import begin_scores, complete_scores, discard_scores
from curate.stages.share_summary import ShareSummary, summarise_share
from curate.stages.slice_runner import (
    PartNotes,
    SliceRun,
    add_pieces,
    is_unit_finished,
    list_marks,
    read_notes,
    read_notes_behind,
)

if TYPE_CHECKING:
    from curate.runtime.work.ray_pool import RayPool

TABLES = {
    "decontaminate": "decontaminate EVALS",
    "dedup": "dedup",
    "filter": "filter …",
    "bucket": "bucket …",
    "order": "order …",
}
"""The verbs whose tables are made from the scores or from their corpus, as they are typed."""
OF_MODEL = "max_nats"
"""The signal that only the model gives. Every part that a model scored has it, so that it can be asked for later."""


@dataclass(slots=True)
class ResumableScores:
    """The scores of a run, as far as they are there, and what they are made from."""

    run: Run
    corpus: Corpus
    """Cut as the run began."""
    request: Mapping[str, Any]
    signals: list[str]
    """Those that were asked for, now or before."""
    carried: tuple[str, ...]
    origins: list[list[Any]]
    """The content of each file of the corpus."""
    record: Mapping[str, Any] | None = None
    """What ``run.json`` says of scores that are there; None where scoring begins."""
    notes: PartNotes = field(default_factory=dict)
    later: PartNotes = field(default_factory=dict)
    """Of a share, the parts that are behind missing ones: of other processes, or of pieces of files."""
    uneven: bool = False
    """Whether slices are not those that ``slice_bytes`` makes."""
    restart: bool = False
    """Whether what is there goes, once the model is loaded."""
    allow_mixed: bool = False
    """Whether another chip, or other versions of torch and transformers, may go on with them."""
    mixed: list[dict[str, Any]] = field(default_factory=list)
    """The chips and versions, beside those of the record, that scored parts of them."""
    reread: Mapping[str, int] = field(default_factory=dict)
    """The files that changed while they were read, by name, with the bytes of each whose parts stay."""
    slice_bytes: int | None = None
    """The size of the slices to come; None: as the run began, else chosen for the model."""
    task: ArrayTask | None = None
    """Which share of the corpus this process scores; None: all of it."""
    changed: dict[str, int] = field(default_factory=dict)
    """Files that changed while they were read, with the bytes of each whose parts can be kept."""
    begun: dict[str, FileState | None] = field(default_factory=dict)
    """The states of the files before they were read; of a reading that was killed, when that began."""
    optional_signals: bool = False
    """Whether signals that only reading again would add are left out."""
    fingerprinted: tuple[Corpus, str] | None = None
    """The corpus whose fingerprint was computed last, and that: it reads both ends of every file."""

    def fingerprint_corpus(self) -> str:
        """Return ``Corpus.fingerprint`` of the corpus, computed once."""
        if self.fingerprinted is None or self.fingerprinted[0] is not self.corpus:
            self.fingerprinted = self.corpus, self.corpus.fingerprint()
        return self.fingerprinted[1]

    @property
    def is_of_earlier_version(self) -> bool:
        """Whether the record says only in one hash what the scores are made from, not what was asked for."""
        return self.record is not None and "parts" not in self.record

    @property
    def is_scored(self) -> bool:
        """Whether every document has been scored, of the share if there is one."""
        if self.record is None or (self.task is None and not self.notes):
            return False
        units = [Unit(0, len(self.corpus.sources))] if self.share is None else self.share
        marks = add_pieces(list_marks(self.notes), self.later, self.corpus, units)
        return all(is_unit_finished(self.corpus, unit, marks) for unit in units)

    @property
    def share(self) -> list[Unit] | None:
        """The units that this process scores, as soon as it is known how the corpus is cut; None: all."""
        return choose_share(self.corpus, self.task)

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the model that scored is, and how it read."""
        assert self.record is not None
        identity: Mapping[str, Any] = self.record["made_from"]["model"]
        return identity

    @property
    def model(self) -> str:
        """The name of the model that scored, as it was given first."""
        return str(self.identity["model"])

    def load_reference(
        self, model: str, config: ScoringConfig, devices: str | None, pool: "RayPool | None" = None
    ) -> ReferenceModel:
        """Return the model, loaded and announced; one that reads nothing where every document is scored.

        With ``pool`` its workers load the model, and this process does not. Raises what ``curate.reference.load``
        raises, and TableError where the model is not the one that scored.
        """
        if self.is_scored:
            console.say("reference", f"{model}: every document is scored, so that it is not loaded")
            return NoModel()
        if pool is not None and model not in WITHOUT_FILES:
            from curate.reference.remote import open_remote

            reference: ReferenceModel = open_remote(pool, model, config, self.admit)
            announce_reference(reference)
            return reference
        if (
            self.record is not None
            and not self.is_of_earlier_version
            and model not in WITHOUT_FILES
            and devices is None
        ):
            check_device(self.run, self.record, config.device)
        reference = load(model, config, devices)
        announce_reference(reference)
        return reference

    def admit(self, identity: Mapping[str, Any]) -> None:
        """Let a further worker score, whose model has this identity. Raises TableError where it is another one."""
        assert self.record is not None
        machine = check_identity(self.run, self.record, identity, self.allow_mixed)
        if machine and machine not in self.mixed:
            self.note_machine(machine)
            self.run.amend("score", self._add_machines)

    def begin(self, reference: ReferenceModel) -> None:
        """Record that scoring begins or goes on with a model. Raises TableError where another one scored."""
        if self.is_scored:
            return
        identity = reference.identity
        if self.task is not None:
            self._begin_share(reference)
            return
        if self.restart:
            discard_scores(self.run)
        if self.record is None or self.is_of_earlier_version:
            self.corpus = replace(self.corpus, slice_bytes=self.slice_bytes or choose_slice_bytes(reference))
        if self.is_of_earlier_version:
            made_from = {
                "corpus": self.corpus.fingerprint(),
                "model": align_identity(self.identity, identity),
                "parameters": {"signals": self.signals},
            }
            begin_scores(self.run, self.corpus, made_from, restart=False)
            return
        if self.record is not None:
            self.note_machine(check_identity(self.run, self.record, identity, self.allow_mixed))
        self._name_downloaded(identity)
        self.record = self.describe(identity)
        self.run.save("score", {"complete": False, **self.record})
        begin_reading(self.run, self.begun)

    def _begin_share(self, reference: ReferenceModel) -> None:
        """Record that scoring begins, or agree with what another process has recorded since or before."""
        if self.record is None:
            self.corpus = replace(self.corpus, slice_bytes=self.slice_bytes or choose_slice_bytes(reference))
            self._name_downloaded(reference.identity)
            described = {"complete": False, **self.describe(reference.identity)}
            if not self.run.record_first("score", described):
                take_up(self, self.run.stage("score") or {})
            else:
                self.record = described
        assert self.record is not None
        self.note_machine(check_identity(self.run, self.record, reference.identity, self.allow_mixed))
        if self.mixed != self.record.get("mixed", []):
            self.run.amend("score", self._add_machines)
        begin_reading(self.run, self.begun)

    def _name_downloaded(self, identity: Mapping[str, Any]) -> None:
        """Put the files of a model that was downloaded just now into the request."""
        asked = self.request["model"]
        if "files" not in asked and identity["model"] not in WITHOUT_FILES:
            self.request = {**self.request, "model": describe_model(asked["name"], asked.get("revision"))}

    def _add_machines(self, record: dict[str, Any] | None) -> dict[str, Any]:
        """Return a record of the scores with the machines of this share."""
        known = (record or {}).get("mixed", [])
        return {**(record or {}), "mixed": [*known, *(machine for machine in self.mixed if machine not in known)]}

    def note_machine(self, machine: dict[str, Any]) -> None:
        """Keep, and say, that another machine goes on; ``machine`` is what differs, empty where nothing does."""
        if machine and machine not in self.mixed:
            self.mixed.append(machine)
        if machine:
            before = {key: self.identity[key] for key in machine}
            console.warn(f"scores of several machines in one table: {'; '.join(list_differences(before, machine))}")

    def make_work(self, reference: ReferenceModel) -> tuple[Corpus, ScoreWork]:
        """Return the corpus, to be cut from where its parts end, and what is done with its slices."""
        assert self.record is not None
        identity = self.record["made_from"]["model"]
        before = {file: sum(mark.documents for mark in marks) for file, marks in list_marks(self.notes).items()}
        origins = {source.name: origin for source, origin in zip(self.corpus.sources, self.origins, strict=True)}
        signals = self.signals if self.is_of_earlier_version else self.list_columns(identity)
        fingerprint = fingerprint_of_parts(self.record)
        work = ScoreWork(
            self.run, reference, signals, self.carried, fingerprint, self.corpus, origins, before,
            identity.get("logprobs_field"),
        )  # fmt: skip
        return replace(self.corpus, slice_bytes=self.slice_bytes or self.corpus.slice_bytes), work

    def complete(self, summary: Mapping[str, Any], num_documents: int) -> None:
        """Check that all documents are in the table, and mark it complete; say which tables are stale now."""
        assert self.record is not None
        made_from = self.record["made_from"]
        record = None if self.is_of_earlier_version else self.describe(made_from["model"])
        complete_scores(self.run, self.corpus, made_from, dict(summary), num_documents, record)
        end_reading(self.run)
        note_changes(self.run, self.changed)
        if stale := list_stale_tables(self.run, self.corpus):
            console.say("stale", "tables made from other scores; these commands renew them, then export again")
            for renewal in stale:
                console.show(f"            {renewal}")

    def summarise_share(self, done: SliceRun) -> ShareSummary:
        """Return the summary of the share, once its parts are written."""
        assert self.task is not None and self.share is not None and self.record is not None
        completing = spell_score_command(self.run, self.record, self.record["corpus"]["paths"])
        return summarise_share(str(self.run.path), self.corpus, self.task, self.share, done, "scored", completing)

    def find_changes(self, notes: PartNotes) -> tuple[str, ...]:
        """Return the files that changed while they were read, and note them for the next call; ``notes`` of all parts.

        Only where something was read: scores that were finished before are of the files as they were then.
        """
        if self.is_of_earlier_version or self.is_scored:
            return ()
        self.changed = find_changes(self.run, self.corpus, self.origins, self.begun, notes)
        return tuple(self.changed)

    def describe(self, identity: Mapping[str, Any]) -> dict[str, Any]:
        """Return the record of the scores, without counts; ``identity`` is that of the model."""
        made_from = {
            "corpus": self.fingerprint_corpus(),
            "model": dict(identity if self.record is None else self.record["made_from"]["model"]),
            "parameters": {"signals": self.signals},
        }
        parts = fingerprint_parts(self.corpus, identity) if self.record is None else self.record["parts"]
        record = {
            "made_from": made_from,
            "fingerprint": compute_fingerprint({"corpus": made_from["corpus"], "model": made_from["model"]}),
            "parts": parts,
            "request": dict(self.request),
            "corpus": self.corpus.spec(),
        }
        record |= {"mixed": self.mixed} if self.mixed else {}
        return {**record, "uneven": True} if self.uneven else record

    def list_columns(self, identity: Mapping[str, Any]) -> list[str]:
        """Return the signals that every part has."""
        return [
            name for name in SIGNALS if name in self.signals or (name == OF_MODEL and identity["model"] != NO_MODEL)
        ]


def resume_scores(
    run: Run,
    corpus: Corpus,
    request: Mapping[str, Any],
    signals: Sequence[str],
    carried: Sequence[str],
    slice_bytes: int | None = None,
    restart: bool = False,
    allow_mixed: bool = False,
    task: ArrayTask | None = None,
    optional_signals: bool = False,
) -> ResumableScores:
    """Return what a run has of the scores of a corpus, with its parts in the order of the corpus and their columns.

    With ``restart`` it has nothing. With ``task`` other processes may be scoring other shares of it, and nothing is put
    in order. With ``optional_signals`` those are left out that only reading again would add. Raises TableError where
    the scores were made by another model, or otherwise, or are of another corpus, or lack such signals.
    """
    begun = read_states(corpus)
    origins = [identify_source(source) for source in corpus.sources]
    has_parts = bool(parquet.list_parts(run.scores))
    if task is not None:  # another process may have begun since the run was opened
        run.refresh("score")
    record = None if restart else run.stage("score")
    scores = ResumableScores(
        run, corpus, request, list(signals), tuple(carried), origins, record, restart=restart, slice_bytes=slice_bytes,
        allow_mixed=allow_mixed, mixed=list((record or {}).get("mixed", [])), begun=begun, task=task,
    )  # fmt: skip
    if record is None and not restart and has_parts:
        raise TableError(f"{run.scores} holds scores but run.json does not know them", "start over with --restart")
    scores.optional_signals = optional_signals
    if task is not None and record is not None:
        take_up(scores, record)
        return scores
    if record is None:
        return scores
    if scores.is_of_earlier_version:
        if has_parts:
            leave_out_unread(scores, record)
        return scores
    check_request(run, record, request)
    check_reading(run, record, corpus)
    if has_parts or parquet.list_parts(run.aside):
        leave_out_unread(scores, record)
        signals = scores.signals
    known = record["made_from"]["parameters"]["signals"]
    further = [name for name in (run.stage("carried") or {}).get("columns", {}) if name not in carried]
    scores.corpus = replace(corpus, slice_bytes=record["corpus"]["slice_bytes"], edits=list_edits(record))
    scores.request = _merge_requests(record["request"], request)
    scores.signals = [name for name in SIGNALS if name in signals or name in known]
    scores.carried = (*carried, *(name for name in further if has_column(corpus, find_path(name))))
    scores.uneven = bool(record.get("uneven"))
    if stay := [name for name in known if name not in signals]:
        console.say("signals", f"{', '.join(stay)} stay in the table")
    _compare_killed_reading(scores)
    _drop_changed(scores)
    _arrange(scores)
    scores.uneven = scores.uneven or (slice_bytes not in (None, scores.corpus.slice_bytes) and not scores.is_scored)
    add_lacking_columns(scores)
    return scores


def leave_out_unread(scores: ResumableScores, record: Mapping[str, Any]) -> None:
    """Take the signals from those that are asked for which the scores of a record lack and only reading can add.

    Raises TableError where they are not optional.
    """
    known = record["made_from"]["parameters"]["signals"]
    lacking = [name for name in list_measures(scores.signals) if name not in known]
    if not lacking or record["made_from"]["model"]["model"] == NO_MODEL:
        return
    named = " and ".join(lacking)
    if not scores.optional_signals:
        again = spell_score_command(scores.run, record, record["corpus"]["paths"])
        message = f"--signals: the scores in {scores.run.path} have no {named}, which only the model can add"
        wanted = ",".join(name for name in SIGNALS if name in known or name in scores.signals)
        way = f"{again} --signals {wanted} --restart scores everything again; or name another --run"
        raise TableError(message, way)
    console.say("signals", f"without {named}: only --restart, which scores everything again, adds them to these scores")
    scores.signals = [name for name in scores.signals if name not in lacking]


def take_up(scores: ResumableScores, record: Mapping[str, Any]) -> None:
    """Make the scores those of a record that other processes work on too, with the parts that are there.

    Raises TableError where they are not what is asked for, or where their corpus is not as it was.
    """
    run = scores.run
    plain = spell_score_command(run, record, record["corpus"]["paths"])
    if "parts" not in record:
        raise TableError(f"the scores in {run.path} are of an earlier version, which has no parts", plain)
    check_request(run, record, scores.request)
    check_reading(run, record, scores.corpus)
    slice_bytes = record["corpus"]["slice_bytes"]
    if scores.slice_bytes not in (None, slice_bytes):
        message = f"--slice-bytes {scores.slice_bytes}: scoring began in slices of {slice_bytes}"
        raise TableError(message, f"the same command with --slice-bytes {slice_bytes}")
    known = record["made_from"]["parameters"]["signals"]
    leave_out_unread(scores, record)
    scores.record, scores.mixed = dict(record), list(record.get("mixed", []))
    scores.corpus = replace(scores.corpus, slice_bytes=slice_bytes, edits=list_edits(record))
    scores.signals = [name for name in SIGNALS if name in scores.signals or name in known]
    if record.get("reread") or scores.fingerprint_corpus() != record["made_from"]["corpus"]:
        message = f"the corpus of {run.path} has changed since its scoring began, so that it cannot be dealt in parts"
        raise TableError(message, f"{plain} takes it up as it is now")
    scores.notes = read_notes(run.scores, record["parts"], share=scores.share)
    scores.later = read_notes_behind(run.scores, scores.notes, scores.share)


def _merge_requests(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request to record: the model as it is called now; how it scored stays as it was."""
    reading = ("text_field", "id_field", "limit", "sample", "sample_by", "seed", "on_error", "delimiter", "quoting")
    kept = {name: value for name, value in before["options"].items() if name not in reading}
    asked = {name: value for name, value in now["options"].items() if name in reading}
    return {"model": now["model"], "options": {**kept, **asked}}


def list_edits(record: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """Return how often files were edited where only their texts told, as ``Corpus.edits``."""
    return tuple(sorted(record["corpus"].get("edits", {}).items()))


def _compare_killed_reading(scores: ResumableScores) -> None:
    """Note the files that changed since a reading began that was killed: their parts may be of two files."""
    run, record = scores.run, scores.record
    begun = read_begun(run)
    if not begun or record is None:
        return
    notes = {path: parquet.read_metadata(path) for path in parquet.list_parts(run.scores)}
    name_to_origin = {
        mark.file: origin
        for note in notes.values()
        for mark, origin in zip(list_slices(note), list_origins(note), strict=True)
    }
    sources = [source for source in scores.corpus.sources if source.name in name_to_origin]
    corpus = replace(scores.corpus, sources=tuple(sources))
    origins = [name_to_origin[source.name] for source in sources]
    note_changes(run, find_changes(run, corpus, origins, begun, notes))
    end_reading(run)


def _drop_changed(scores: ResumableScores) -> None:
    """Say which files changed while they were read. ``_arrange`` leaves their parts out: they are read again."""
    record = scores.run.stage("score")
    assert record is not None
    scores.record = record
    if not (reread := record.pop("reread", None)):
        return
    console.say("changed", f"{list_reread({'reread': reread})}: read again")
    times = dict(scores.corpus.edits)
    for name, kept_bytes in reread.items():
        times[name] = times.get(name, 0) + (kept_bytes == 0)
    edits = {name: count for name, count in sorted(times.items()) if count}
    scores.record = {**record, "complete": False, "corpus": {**record["corpus"], **({"edits": edits} if edits else {})}}
    scores.corpus, scores.reread = replace(scores.corpus, edits=tuple(edits.items())), reread


def _arrange(scores: ResumableScores) -> None:
    """Put the parts in the order of the corpus, and say what became of its files."""
    run, record, before = scores.run, scores.record, scores.run.stage("score")
    assert record is not None and before is not None
    for folder in (run.scores, run.aside):
        sweep_leftovers(folder)
    discard_damaged_scores(run, record)
    parts = [
        part for folder in (run.scores, run.aside) for part in read_scored_parts(folder, record["parts"], run.read_note)
    ]
    arrangement = arrange_parts(scores.corpus, scores.origins, parts, run.scores, scores.reread)
    has_changed = scores.fingerprint_corpus() != record["made_from"]["corpus"]
    if has_changed:
        _check_overlap(scores, arrangement, bool(parts))
    scores.uneven = scores.uneven or arrangement.is_uneven
    described = {"complete": False, **scores.describe(record["made_from"]["model"])}
    if scores.reread:  # as it was, until the parts are gone: a call that is killed before is followed by one that knows
        corpus = {**described["corpus"], "edits": dict(list_edits(before))}
        run.save("score", {**described, "corpus": corpus, "reread": dict(scores.reread)})
    elif has_changed or not arrangement.is_done(run.scores):
        run.save("score", described)
    if has_changed and parts:
        announce_changes(scores, arrangement)
    scores.notes = move_parts(run, arrangement)
    if scores.reread:
        run.save("score", described)
    _keep_complete_parts(scores, arrangement.behind)


def discard_damaged_scores(run: Run, record: Mapping[str, Any]) -> None:
    """Remove the damaged parts of the scores, of their carried columns, and of what was put aside.

    ``record`` is that of the scores. Raises DamageError for a file that curate did not write.
    """
    run.discard_damaged_parts("scores", record)
    for name, column in (run.stage("carried") or {}).get("columns", {}).items():
        folder = document_columns.locate_column(run, name)
        run.discard_damaged_parts(f"{folder.parent.name}/{folder.name}", column)
    run.discard_damaged_parts(run.aside.name, {})


def _keep_complete_parts(scores: ResumableScores, behind: Sequence[ScoredPart]) -> None:
    """Remove those of the parts behind a missing one that lack a column, and all where the cuts are not known again."""
    wanted = scores.list_columns(scores.identity)
    notes = {part.path: part.note for part in behind}
    lacking = columns.list_lacking(scores.run, notes, scores.corpus.id_field, wanted, scores.carried)
    recut = (
        scores.uneven or scores.slice_bytes not in (None, scores.corpus.slice_bytes) or scores.corpus.limit is not None
    )
    for path in notes if recut else lacking:
        ownership.remove_part(path)


def _check_overlap(scores: ResumableScores, arrangement: Arrangement, has_parts: bool) -> None:
    """Raise TableError where a run has scores of a corpus of which nothing is left, at another place."""
    before, now = (each["paths"] for each in (scores.record["corpus"], scores.corpus.spec()))  # type: ignore[index]
    if has_parts and not arrangement.documents and before != now:
        message = f"{scores.run.scores} holds the scores of {' '.join(before)}, of which {' '.join(now)} has no file"
        ways = "name another --run, or start over with --restart"
        if all(os.path.exists(path) for path in before if os.path.isabs(path)):
            both = spell_score_command(scores.run, scores.record or {}, [*before, *now])
            ways = f"{both} scores both; or {ways}"
        raise TableError(message, ways)


def announce_changes(scores: ResumableScores, arrangement: Arrangement) -> None:
    """Say what is kept of the scores, what was put aside, and which tables are stale now."""
    console.say("corpus", arrangement.describe())
    for word, names in (("changed", arrangement.changed), ("gone", arrangement.gone)):
        if names:
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
            console.say("", f"{word}: {shown}")
    count = sum(one.mark.documents for one in arrangement.left_out)
    if count:
        console.say("", f"{count:,} scores are put aside in {scores.run.aside}, for when their files come back")


def add_lacking_columns(scores: ResumableScores) -> None:
    """Add the signals, ids and carried columns that parts lack."""
    assert scores.record is not None
    run, identity = scores.run, scores.record["made_from"]["model"]
    wanted = scores.list_columns(identity)
    if identity["model"] != NO_MODEL:
        of_model = {OF_MODEL, *list_measures(wanted)}
        absent = {name for note in scores.notes.values() for name in of_model.difference(note["signals"])}
        wanted = [name for name in wanted if name not in absent]
    corpus, notes = scores.corpus, scores.notes
    lacking = columns.list_lacking(run, notes, corpus.id_field, wanted, scores.carried)
    if not lacking:
        return
    if any(columns.lacks_columns(notes[path], corpus.id_field, wanted) for path in lacking):
        run.save("score", {"complete": False, **scores.describe(identity)})
    missing = [(*(name for name in wanted if name not in notes[path]["signals"]), *lacking[path]) for path in lacking]
    added = dict.fromkeys(itertools.chain.from_iterable(missing))
    if any(notes[path]["id_field"] != corpus.id_field for path in lacking):
        added = {f"ids of {corpus.id_field}" if corpus.id_field else "no ids": None, **added}
    console.say("adding", f"{', '.join(added)}: the texts are read again, by no model")
    scores.notes = columns.add_columns(run, corpus, notes, lacking, wanted)


def list_stale_tables(run: Run, corpus: Corpus) -> list[str]:
    """Return the commands that renew the tables of a run that were made from other scores than it has now.

    ``corpus`` is the one that was scored.
    """
    score = run.stage("score") or {}
    identity, stale = None, []
    for verb, words in TABLES.items():
        record = run.stage(verb)
        if record is None:
            continue
        made_from: Any = record["made_from"]
        if verb in ("decontaminate", "dedup"):
            identity = identity or corpus.identity()
            is_fresh = made_from["corpus"] == identity
        else:
            is_fresh = (made_from if verb == "filter" else made_from["scores"]) == score.get("fingerprint")
        if not is_fresh:
            stale.append(command(words, run.path))
    return stale
