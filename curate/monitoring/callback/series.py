"""``series.json``: the evaluations of one training, the flags that went up, and what failed.

runs/x/series.json
runs/x/step-00000000/  step-00000500/ …          run directories, as ``curate score`` writes them
runs/x/NAME/step-00000500/ …                     with several corpora, a folder for each
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from curate.errors import UsageError
from curate.runtime.disk import files
from curate.runtime.disk.filenames import fit_name
from curate.runtime.version import __version__

FORMAT = 1
"""The version of ``series.json``."""
FILE = "series.json"
STEP = re.compile(r"step-(\d{8,})")
"""The name of the run of an evaluation."""


@dataclass(frozen=True, slots=True)
class HeldOutSums:
    """What one domain of an evaluation came to."""

    documents: int
    nats: float
    scored_tokens: int
    scored_bytes: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one corpus came to at one step. Sums are over its documents with the status ``ok``."""

    step: int
    corpus: str | None
    """The name of the corpus; None where there is only one, without a name."""
    run: str
    """The run directory, below the folder of the series."""
    weights: str
    """A hash of the weights that were scored."""
    documents: int
    nats: float
    scored_tokens: int
    scored_bytes: int
    perplexity: float
    bits_per_byte: float
    domains: dict[str, HeldOutSums]
    epoch: float | None
    train_loss: float | None
    """The last loss that the trainer had logged."""
    seconds: float


@dataclass(slots=True)
class TrainingSeries:
    """What ``series.json`` holds."""

    folder: Path
    training: str
    """A random name of the training; another training does not write into the folder."""
    made_from: Mapping[str, Any]
    """What must be the same at every step: corpora, how they are read, tokenizer, windows, dtype."""
    evaluations: list[Evaluation] = field(default_factory=list)
    """In the order of steps."""
    flags: list[dict[str, Any]] = field(default_factory=list)
    """``flag``, ``corpus``, ``began`` and ``found`` (steps), ``text``."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """``step``, ``corpus`` and ``error`` of evaluations that failed."""

    def locate_run(self, corpus: str | None, step: int) -> Path:
        """Return the run directory of an evaluation."""
        return (self.folder if corpus is None else self.folder / name_folder(corpus)) / f"step-{step:08d}"

    def list_evaluations(self, corpus: str | None, until: int) -> list[Evaluation]:
        """Return the evaluations of a corpus up to a step, in their order."""
        return [each for each in self.evaluations if each.corpus == corpus and each.step <= until]

    def put(self, evaluation: Evaluation) -> None:
        """Add an evaluation; one of the same corpus and step is replaced."""
        key = evaluation.step, evaluation.corpus
        others = [each for each in self.evaluations if (each.step, each.corpus) != key]
        self.evaluations = sorted([*others, evaluation], key=lambda each: each.step)

    def write(self) -> None:
        """Write ``series.json``. Raises UsageError where another training has written it since, and StorageError."""
        before = _read_json(self.folder)
        if before is not None and before.get("training") != self.training:
            raise UsageError(f"{self.folder / FILE} is that of another training now", "give each a save= of its own")
        content = {
            "format": FORMAT,
            "curate": __version__,
            "training": self.training,
            "made_from": self.made_from,
            "flags": self.flags,
            "failures": self.failures,
            "evaluations": [asdict(each) for each in self.evaluations],
        }
        files.write_json(self.folder / FILE, content)


def name_folder(corpus: str) -> str:
    """Return the folder of a corpus of this name; whatever the name, it is one level below the series."""
    spelled = quote(corpus, safe=" ")
    return fit_name(spelled.replace(".", "%2E", 1) if spelled.startswith(".") else spelled)


def open_series(
    folder: Path, training: str, made_from: Mapping[str, Any], step: int, restart: bool = False
) -> TrainingSeries:
    """Return the series of a training that begins or goes on at a step; nothing is written yet.

    What a series has after that step belongs to a training that was stopped and goes on from a checkpoint: it stays
    until the training gets there, but its flags and failures go. With ``restart`` the series begins anew, and its runs
    stay until they are replaced. Raises UsageError for a folder of something else, for the series of another training,
    and for one that was measured otherwise.
    """
    content = _read_json(folder)
    if content is None:
        _require_free(folder)
        return TrainingSeries(folder, training, made_from)
    if restart:
        return TrainingSeries(folder, str(content["training"]), made_from)
    known = _parse(folder, content)
    ways = "name another save=, or drop what is there with restart=True"
    if step == 0 and any(each.step > 0 for each in known.evaluations):
        last = known.evaluations[-1].step
        raise UsageError(f"{folder} has the evaluations of another training, up to step {last:,}", ways)
    if differing := sorted(key for key in made_from if made_from[key] != known.made_from.get(key)):
        shown = "; ".join(f"{key} is {made_from[key]}, was {known.made_from.get(key)}" for key in differing)
        raise UsageError(f"{folder} has evaluations that were made otherwise: {shown}", ways)
    known.flags = [each for each in known.flags if each["found"] <= step]
    known.failures = [each for each in known.failures if each["step"] <= step]
    return known


def read_series(folder: Path | str) -> TrainingSeries:
    """Return the series of a folder. Raises UsageError where it has none, or one of another version."""
    content = _read_json(Path(folder))
    if content is None:
        raise UsageError(f"{folder} has no {FILE}", "name the folder that save= named")
    return _parse(Path(folder), content)


def _parse(folder: Path, content: Mapping[str, Any]) -> TrainingSeries:
    evaluations = [
        Evaluation(**{**each, "domains": {name: HeldOutSums(**sums) for name, sums in each["domains"].items()}})
        for each in content["evaluations"]
    ]
    fields = (str(content["training"]), content["made_from"], evaluations)
    return TrainingSeries(folder, *fields, list(content["flags"]), list(content["failures"]))


def _read_json(folder: Path) -> dict[str, Any] | None:
    path = folder / FILE
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise files.make_storage_error(error, path) from error
    except ValueError:
        content = None
    if not isinstance(content, dict) or "training" not in content or "evaluations" not in content:
        raise UsageError(f"{path} is no series of a training", "name another save=")
    if content.get("format") != FORMAT:
        message = f"{path} has format {content.get('format')}, and this version of curate reads {FORMAT}"
        raise UsageError(message, "name another save=")
    return content


def _require_free(folder: Path) -> None:
    """Raise UsageError where a folder that is to be a series has anything in it, or is none."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"save={str(folder)!r} is a file", "name a folder")
    entries = [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.exists() else []
    if entries:
        message = f"save={str(folder)!r} holds {entries[0]}, and no {FILE}: it is not the folder of a training"
        raise UsageError(message, "name a folder that is empty, or not there yet")
