"""The dataset card of an export: what was read, which model scored it, what was chosen and dropped, how to load it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from curate.exports.counts import ExportCounts
from curate.exports.dataset_folder import DatasetDescription
from curate.exports.formats.features import list_lost_features
from curate.exports.formats.json_types import (
    FAR,
    NOT_FINITE,
    QUOTED,
    TIMES,
    list_json_columns,
    list_reread_columns,
    list_spelled,
    list_text_columns,
    list_unspelled,
    plan_lines,
)
from curate.exports.formats.shards import FORMATS
from curate.exports.job import ExportJob
from curate.rundir.run import publish_model
from curate.rundir.verdicts import overlaps
from curate.rundir.verdicts.reasons import UNREADABLE
from curate.rundir.verdicts.token_counts import explain_counted_tokens
from curate.runtime.console import format_size
from curate.runtime.numbers import format_share
from curate.runtime.published import hide_folders, hide_in_text
from curate.runtime.redaction import LABELS
from curate.runtime.redaction.kinds import PERSON

MAX_SOURCES = 20
"""Files of the corpus that are named."""


def make_card(job: ExportJob, writer: DatasetDescription, counts: ExportCounts) -> str:
    """Return the dataset card without its YAML head: what was read, scored, chosen and dropped, and how to load it."""
    score, what = job.run.finished_scores(), "rejected" if job.rejected else "kept"
    sections = {
        "What was read": _read_lines(job, score),
        "Which model scored it": _model_lines(publish_model(score)),
        "How it was chosen": _choice_lines(job, counts),
        "Columns": _column_lines(job, writer),
        "How to load it": _load_lines(job, list(writer.buckets.values())),
    }
    if job.redactor:
        sections["What was redacted"] = _redaction_lines(job, counts)
    if job.placed.order is not None:
        sections["In which order"] = _order_lines(job)
    share = format_share(writer.rows, counts.read)
    head = f"{writer.rows:,} of {counts.read:,} documents ({share}), {counts.tokens:,} tokens: those that were {what}."
    counted = job.run.counted_tokens()
    head += f" Here {explain_counted_tokens(counted)}." if counted is not None else ""
    body = [f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items()]
    card = "\n\n".join(["# Curated text" if not job.rejected else "# Rejected text", head, *body]) + "\n"
    return hide_in_text(card)


def code(text: object) -> str:
    """Return any text as inline code of Markdown: on one line, control characters escaped, any backticks kept."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if len(fence) > 1 or not shown.strip() else f"`{shown}`"


def _read_lines(job: ExportJob, score: Mapping[str, Any]) -> list[str]:
    sources, counts = job.corpus.sources, score["counts"]
    lines = [
        f"- {code(source.name)}" + (f", {format_size(source.size)}" if source.size else "")
        for source in sources[:MAX_SOURCES]
    ]
    if len(sources) > MAX_SOURCES:
        lines.append(f"- and {len(sources) - MAX_SOURCES:,} more files")
    text = f"The text is the column {code(job.corpus.text_field)}."
    return [*lines, "", f"{counts['read']:,} documents, {counts['bytes']:,} bytes of text. {text}"]


def _model_lines(identity: Mapping[str, Any]) -> list[str]:
    """Return all that identifies the model, as ``publish_model`` gives it."""
    shown = {key: value for key, value in identity.items() if not isinstance(value, (dict, list))}
    lines = [f"- {key}: {code(value)}" for key, value in shown.items() if value is not None]
    note = "Perplexities compare only under one tokenizer, bits per byte across tokenizers."
    return [
        *lines,
        "",
        "`perplexity` is exp(nats / tokens) of what was scored of a document, `bits_per_byte` is nats / (ln 2 · bytes) "
        f"of it; the columns of tokens and bytes count all of the document. {note}",
    ]


def _choice_lines(job: ExportJob, counts: ExportCounts) -> list[str]:
    choice = job.choice
    tables = [*_decontaminate_lines(choice.rejections.hits), *_dedup_lines(choice.rejections.duplicates)]
    if choice.filter is None:
        but = " and that the tables of these verbs do not reject" if tables else ""
        lines = [f"No filter was run: every document that could be scored{but} is kept.", "", *tables]
    else:
        parameters = hide_folders(choice.filter["parameters"])
        lines = [
            *tables,
            *(f"- {key.replace('_', '-')}: {code(value)}" for key, value in parameters.items()),
        ]
    rejected = [f"- rejected, {code(hide_folders(reason))}: {number:,}" for reason, number in choice.rejected.items()]
    unreadable = [f"- {UNREADABLE}: {counts.unreadable:,}"] if counts.unreadable else []
    between = [""] if lines[-1] else []
    kept = f"- kept: {counts.kept:,}"
    also = [f"- {line}" for line in overlaps.explain_several_reasons(job.run, choice.rejections)]
    return [*lines, *between, f"- read: {counts.read:,}", *unreadable, *rejected, kept, *also]


def _decontaminate_lines(record: Mapping[str, Any] | None) -> list[str]:
    """Return how many documents have items of eval sets, and what happened to them."""
    if record is None:
        return []
    counts, action = record["counts"], record["parameters"].get("action", "drop")
    sets = [f"{code(name)} {number:,}" for name, number in counts.get("sets", {}).items()]
    leaks = f"{counts.get('contaminated', 0):,} documents with items of eval sets"
    leaks += f" ({', '.join(sets)})" if sets else ""
    leaks += f"; {counts['variant']:,} with items that have other numbers" if counts.get("variant") else ""
    return [f"- `curate decontaminate`: {leaks}; {counts.get('review', 0):,} for review, kept; action: {code(action)}"]


def _dedup_lines(record: Mapping[str, Any] | None) -> list[str]:
    if record is None:
        return []
    plain = {name: value for name, value in record["parameters"].items() if isinstance(value, (str, int, float))}
    return [f"- `curate dedup`: {', '.join(f'{name} {code(value)}' for name, value in plain.items())}"]


def _column_lines(job: ExportJob, writer: DatasetDescription) -> list[str]:
    added, field = job.names, job.corpus.text_field
    original = [name for name in writer.shape.schema().names if name not in added.values()]
    cut = f" but for the passages that were cut out of {code(field)}" if job.treatment.cuts else ""
    if job.redactor:
        cut += " and for what was redacted" if cut else " but for what was redacted in its text"
    lines = [
        f"- of the corpus, unchanged{cut}: {', '.join(map(code, original)) or 'none'}",
        f"- added: {', '.join(map(code, added.values()))}",
    ]
    if job.placed.bucket is not None:
        lines.append(f"- {code(added['bucket'])}: the bucket of `curate bucket`")
    if job.treatment.marks:
        lines.append(f"- {code(added['eval_sets'])}: the eval sets of which the document contains items, else null")
    if job.treatment.cuts:
        what = "characters of passages with eval items that were cut out of the text; every other number, perplexity"
        lines.append(f"- {code(added['cut_characters'])}: {what} and tokens among them, is that of the uncut text")
    if job.redactor:
        what = "personal data and secrets that were replaced by labels in the text; every other number, perplexity and"
        lines.append(f"- {code(added['redacted'])}: {what} tokens among them, is that of the original text")
    return [*lines, *(f"- {note}" for note in list_notes(writer))]


def _redaction_lines(job: ExportJob, counts: ExportCounts) -> list[str]:
    """Return what was redacted, how often, and what redaction does not promise."""
    kinds = [f"- {code(LABELS[kind])}: {counts.redacted.get(kind, 0):,}" for kind in job.redactor.choice.kinds]
    intro = f"In {counts.redacted_documents:,} documents labels stand for what was found in the text by "
    how = "patterns and, of names, by a model" if PERSON in job.redactor.choice.kinds else "patterns"
    note = "Other columns, ids among them, are as they were. What no pattern knows is still there: names, postal"
    note += (
        " addresses, credentials without a known beginning."
        if PERSON not in job.redactor.choice.kinds
        else (" addresses, credentials without a known beginning, and names that the model missed.")
    )
    return [f"{intro}{how} (`curate export --redact {job.redactor.choice.spell()}`).", "", *kinds, "", note]


def _order_lines(job: ExportJob) -> list[str]:
    """Return how the order was made, and that trainers shuffle unless they are configured not to."""
    parameters = (job.placed.order or {"parameters": {}})["parameters"]
    options = [f"- {key.replace('_', '-')}: {code(value)}" for key, value in parameters.items() if value is not None]
    what = "Read the shards of each bucket" if job.placed.by_bucket else "Read the shards"
    reading = f"{what} in the order of their names, and their rows as they stand: that is the order of `curate order`."
    place = f"{code(job.names['position'])} is the place of a document in it, from 0; `order.parquet` has its shard,"
    note = f"{reading} {place} its row there, and the tokens read so far. Trainers shuffle by default: see TRAINING.md."
    return [note, "", *options]


def _load_lines(job: ExportJob, configs: list[str]) -> list[str]:
    """Return how to load the dataset; ``configs`` are its buckets, where each has a folder."""
    if not FORMATS[job.format].holds_text:
        return ["Token ids; `manifest.json` names the tokenizer and the layout, `documents.parquet` places documents."]
    config = f', "{configs[0]}"' if configs else ""
    lines = ["```python", "import datasets", ""]
    lines.append(f'documents = datasets.load_dataset("PATH_OR_NAME"{config}, split="train")')
    if configs:
        names = ", ".join(map(code, [*configs, "default"]))
        return [*lines, "```", "", f"Configs: {names}; the last has all of them, one after the other."]
    if FORMATS[job.format].loads_from_disk:
        lines.append('documents = datasets.load_from_disk("PATH")["train"]')
    return [*lines, "```"]


def list_notes(writer: DatasetDescription) -> list[str]:
    """Return what a reader of the columns should know, one sentence a list item, the warnings among it."""
    notes = []
    if columns := list_json(writer):
        what = "objects of different keys or values of different kinds, as datasets' Json"
        notes.append(f"{what}, which reads fractions to 15 digits: {_name(columns)}")
    if FORMATS[writer.format].writes_lines and (reread := list_reread_columns(writer.shape, writer.misread)):
        notes.append(f"stated as datasets' Json, which keeps strings of dates or of JSON: {_name(reread)}")
    return [*notes, *list_warnings(writer)]


def list_warnings(writer: DatasetDescription) -> list[str]:
    """Return what is not as it was read, one sentence a list item."""
    notes, shape = [], writer.shape
    if texts := list_texts(writer):
        notes.append(f"written as JSON text (json.loads reads it), which datasets cannot read as Json: {_name(texts)}")
    if shape.spelled:
        notes.append(f"bytes, times and decimals among other values were written as strings: {_name(shape.spelled)}")
    if lost := list_lost_features(shape):
        notes.append(f"files differ in the features of {_name(lost)}, such as class names: the export has none")
    return [*notes, *(_list_changes(writer) if FORMATS[writer.format].writes_lines else ())]


def list_json(writer: DatasetDescription) -> list[str]:
    """Return the columns that are Json for ``datasets``, or hold it."""
    return sorted(list_json_columns(writer.shape, writer.misread, FORMATS[writer.format].writes_lines))


def list_texts(writer: DatasetDescription) -> list[str]:
    """Return the columns that are JSON text, or hold it."""
    is_lines = FORMATS[writer.format].writes_lines
    return sorted(plan_lines(writer.shape, writer.misread).texts if is_lines else list_text_columns(writer.shape))


def _list_changes(writer: DatasetDescription) -> list[str]:
    """Return what JSON lines, or the reader of ``datasets`` for them, change."""
    plan, shape = plan_lines(writer.shape, writer.misread), writer.shape
    reread, rounded = list_reread_columns(shape, writer.misread), list_text_columns(shape).keys() - plan.texts.keys()
    found: dict[str, set[str]] = {}
    for name, what in writer.misread:
        found.setdefault(what, set()).add(name)
    kept, notes = "hf and parquet keep them", []
    if times := found.get(TIMES, set()) - reread:
        notes.append(f"load_dataset takes {_name(times)} of JSON lines for times and rewrites them; {kept}")
    if far := found.get(FAR):
        notes.append(f"dates before year 1 or after 9999 make {_name(far)} strings in JSON lines; {kept}")
    if quoted := found.get(QUOTED, set()) - plan.texts.keys() - reread:
        notes.append(f"load_dataset takes strings of JSON in {_name(quoted)} of JSON lines for their values; {kept}")
    if rounded:
        notes.append(f"load_dataset takes {_name(rounded)} of JSON lines for fractions and rounds them")
    if bare := found.get(NOT_FINITE):
        notes.append(f"NaN and infinities of {_name(bare)} are null in JSON lines; {kept}")
    unspelled = list_unspelled(shape)
    if spelled := set(list_spelled(shape)).difference(unspelled):
        what = f"bytes (in base64), times of day and durations of {_name(spelled)}"
        notes.append(f"{what} are strings in JSON lines; {kept}")
    if unspelled:
        notes.append(f"bytes of {_name(unspelled)} are base64 in JSON lines, and no images or sounds; {kept}")
    if plan.has_json:
        notes.append(f"load_dataset rounds fractions of JSON lines to 10 digits where a column is Json; {kept}")
    return notes


def _name(columns: Iterable[str]) -> str:
    return ", ".join(map(code, sorted(columns)))
