"""Scores from the log probabilities that a serving stack returned: the options, the passages, what is said of them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curate.corpus import Documents
from curate.corpus.slicing import make_row_error
from curate.corpus.values.arrow_values import parse_json_or_text, to_values
from curate.errors import CorpusError, UsageError
from curate.reference.likelihood import Likelihoods, Passage
from curate.reference.served.model import NAME, ServedPassage
from curate.rundir import sql
from curate.rundir.columns.names import check_document_column, find_path
from curate.rundir.signals import list_measures
from curate.runtime.options import option_of

if TYPE_CHECKING:
    from curate.corpus import Corpus
    from curate.rundir.run import Run

OF_MODELS = {
    "revision": None, "trust_remote_code": False, "device": "auto", "devices": None, "dtype": "auto", "exact": False,
    "prefix": "auto", "window": None, "overlap": 0, "window_prefix": False, "truncate": None, "convention": "curate",
    "convention_args": "", "compile": "auto", "pack_tokens": None, "allow_mixed": False, "gpus_per_worker": None,
}  # fmt: skip
"""Options that say how a model reads, with their defaults."""
SHOWN = 6
"""Reasons that the summary names."""


def choose_model(model: str, logprobs_field: str | None, logprobs_tokenizer: str | None) -> str:
    """Return the name of the model: ``served`` where a column has the log probabilities.

    Raises UsageError where ``--model`` and ``--logprobs-field`` contradict each other.
    """
    if logprobs_field is None:
        if model == NAME:
            raise UsageError("--model served needs the column of the log probabilities", "--logprobs-field COLUMN")
        if logprobs_tokenizer is not None:
            message = "--logprobs-tokenizer has no effect without --logprobs-field"
            raise UsageError(message, "--logprobs-field COLUMN, or leave it out")
        return model
    if model not in ("builtin", NAME):
        message = f"--model {model} and --logprobs-field {logprobs_field} are two sources of the numbers"
        raise UsageError(message, "leave out one of them")
    return NAME


def check_logprobs_options(given: Mapping[str, Any], signals: Sequence[str], takes_all: bool) -> list[str]:
    """Return the signals that can be measured without a model.

    ``given`` has the options of ``OF_MODELS``, by parameter. Raises UsageError for one that is not at its default, and
    for a signal that only a model gives, unless ``--signals all`` left the choice (``takes_all``).
    """
    name = next((name for name, value in OF_MODELS.items() if given[name] != value), None)
    if name is not None:
        option = option_of(name)
        raise UsageError(f"{option} has no effect with --logprobs-field, which runs no model", f"leave out {option}")
    of_model = list_measures(signals)
    if of_model and not takes_all:
        message = f"--signals {of_model[0]} needs a model, and --logprobs-field runs none"
        raise UsageError(message, "leave it out, or name a --model instead of --logprobs-field")
    return [signal for signal in signals if signal not in of_model]


def check_logprobs_column(corpus: "Corpus", name: str) -> None:
    """Raise UsageError, with the nearest name, where the documents do not have the column."""
    if find_path(name) == corpus.text_field:
        raise UsageError(f"--logprobs-field {name} is the column of the text", "--logprobs-field COLUMN")
    check_document_column(corpus, name)


def list_passages(documents: Documents, scored: Sequence[int], name: str) -> list[Passage]:
    """Return the texts of some documents, each with its value of a column."""
    values = [value for single in documents.slices for value in _take_values(single, find_path(name))]
    passages: list[Passage] = []
    for index in scored:
        turns = documents.turns[index] if documents.turns is not None else None
        last = turns[-1].text if turns else None
        passages.append(ServedPassage(documents.texts[index] or "", value=values[index], last_turn=last))
    return passages


def _take_values(documents: Documents, path: str) -> list[Any]:
    """Return the values of a column of one slice as they were read; JSON within it is parsed."""
    if documents.records is not None:
        return [None if record is None else record.get(path) for record in documents.records]
    assert documents.table is not None
    return to_values(documents.table.column(path), parse_json_or_text)


def stop_at_unscorable(documents: Documents, scored: Sequence[int], likelihoods: Likelihoods) -> None:
    """Raise RowError for the first document of a slice without usable log probabilities, for ``--on-error stop``."""
    files = documents.files
    for row, status, reason in zip(scored, likelihoods.status, likelihoods.reason, strict=True):
        if status != "ok":
            raise make_row_error(files[row], int(documents.rows[row]), reason)


def describe_unscorable(run: "Run", identity: Mapping[str, Any], num_scored: int) -> list[str]:
    """Return lines that count why documents have no numbers, the most frequent reasons first; none without any.

    Raises CorpusError where no document has numbers.
    """
    if identity.get("model") != NAME:
        return []
    kind = r"regexp_replace(reason, ' \(.*\)$', '', 's')"
    query = (
        f"SELECT {kind}, count(*), min_by(reason, file || lpad(row::VARCHAR, 20, '0')) "
        f"FROM {sql.parquet_source(run.scores)} WHERE status = 'unscorable' GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    rows = sql.ask(query)
    if rows and not num_scored:
        count = sum(int(row[1]) for row in rows)
        message = f"no document has usable log probabilities: {count:,} of {count:,} are unscorable; {rows[0][2]}"
        way = "--logprobs-field names their column, --text-field the text that they are of; start over with --restart"
        raise CorpusError(message, way)
    lines = [f"            {count:,} {reason}" for reason, count, _ in rows[:SHOWN]]
    more = sum(int(row[1]) for row in rows[SHOWN:])
    return [*lines, f"            {more:,} for other reasons"] if more else lines
