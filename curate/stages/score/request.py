"""What was asked of ``curate score``, recorded next to what it came to: so that what differs is named early.

    request    model: its name and its files    options: those that are not at their defaults
    identity   what the loaded model came to (``ReferenceModel.identity``)

A request is compared with that of the scores before a model is loaded, option by option. Options that choose for
themselves (``auto``) agree with whatever the scores were made with. What only loading can tell is compared afterwards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from curate.errors import TableError
from curate.reference.checkpoints.model_files import (
    TOKENIZER_FILES,
    describe_model,
    is_local_model,
    list_differing_files,
    list_differing_settings,
)
from curate.reference.protocol import ScoringConfig
from curate.reference.served.model import NAME as SERVED
from curate.reference.served.model import identify_tokenizer
from curate.rundir.run import Run, compute_fingerprint, list_differences, spell_score_command
from curate.runtime.choices import Compile, Dtype
from curate.runtime.disk.filenames import expand_home

if TYPE_CHECKING:
    from curate.corpus import Corpus

OPTIONS = {
    "dtype": "auto",
    "exact": False,
    "device": "auto",
    "prefix": "auto",
    "window": None,
    "overlap": 0,
    "window_prefix": False,
    "truncate": None,
    "convention": "curate",
    "convention_args": "",
    "compile": "auto",
    "logprobs_field": None,
    "logprobs_tokenizer": None,
}
"""The options that change what the numbers mean, or their last digits, with their defaults."""
OF_IDENTITY = {
    "dtype": "dtype",
    "exact": "exact",
    "device": "device",
    "prefix": "prefix",
    "window": "window",
    "overlap": "overlap",
    "window_prefix": "window_prefix",
    "truncate": "max_tokens",
    "convention": "convention",
    "convention_args": "convention_args",
    "compile": "compiled",
    "logprobs_field": "logprobs_field",
    "logprobs_tokenizer": "logprobs_tokenizer",
}
"""The key of an identity that an option sets, which is the field of ``ScoringConfig``."""
KEPT = ("text_field", "id_field", "delimiter", "quoting")
"""Options of the corpus that a user says once for a run."""
OF_EARLIER = {"frame": None, "stride": None, "convention_args": ""}
"""What an identity means that lacks these keys, which earlier versions of curate did not write."""
NOT_COMPARED = ("model", "pack_tokens")
"""Keys of an identity in which parts of one table may differ: the name of the model, the size of a forward pass."""
OF_MACHINE = ("chip", "versions")
"""Keys of an identity that show in last digits only: with ``--allow-mixed`` parts of one table may differ in them."""
NOT_READING = ("paths", "id_field", "limit", "slice_bytes", "on_error", "edits")
"""Keys of the spec of a corpus that do not change which text a row has."""


def choose_reading(record: Mapping[str, Any] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of ``open_corpus``, those that a user leaves out as the scores of ``record`` were made.

    What is drawn and how much (``limit``, ``sample``, ``seed``, ``on_error``) is as given.
    """
    before = (record or {}).get("request", {}).get("options", {})
    kept = {name: before[name] for name in KEPT if options[name] in (None, "auto") and name in before}
    return {**options, **kept}


def describe_request(model: str, config: ScoringConfig, reading: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request, JSON-able, without what is left at its default.

    ``reading`` has the options of the corpus (``choose_reading``).
    """
    scoring = {name: getattr(config, key) for name, key in OF_IDENTITY.items()}
    options = {name: value for name, value in scoring.items() if value != OPTIONS[name]}
    options |= {name: value for name, value in reading.items() if value not in (None, 0, "quarantine", "auto")}
    return {"model": describe_model(model, config.revision), "options": options}


def settle_config(config: ScoringConfig, settled: Mapping[str, Any], text_bytes: int) -> ScoringConfig:
    """Return how the model is to score: what is left to choose as the run began (``find_settled``).

    ``text_bytes`` is how much text there is, as far as it is known.
    """
    return replace(
        config,
        dtype=settle_dtype(config.dtype, config.exact, settled),
        pack_tokens=settled.get("pack_tokens") if config.pack_tokens is None else config.pack_tokens,
        compiled=settle_compiling(config.compiled, settled),
        text_bytes=text_bytes,
    )


def find_settled(record: Mapping[str, Any] | None, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity that the scores of a run began with, where they are of the model of a request; else nothing.

    What a user leaves to ``auto`` is taken from it, since it shows in the last digits.
    """
    if record is None:
        return {}
    identity, before = dict(record["made_from"]["model"]), record.get("request", {}).get("model")
    if before is None:
        return identity if name_alike(identity["model"], request["model"]["name"]) else {}
    return identity if find_model_difference(before, request["model"]) is None else {}


def settle_dtype(dtype: Dtype, exact: bool, settled: Mapping[str, Any]) -> Dtype:
    """Return the ``--dtype`` to use: for auto what the run began with."""
    began = settled.get("dtype")
    return began if dtype == "auto" and not exact and began in ("fp32", "bf16", "fp16") else dtype


def settle_compiling(compile: Compile, settled: Mapping[str, Any]) -> Compile:
    """Return the ``--compile`` to use: for auto what the run began with."""
    if compile != "auto" or "compiled" not in settled:
        return compile
    return "on" if settled["compiled"] else "off"


def check_request(run: Run, record: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    """Raise TableError, naming the file or the option, where scores were made from another model or otherwise.

    ``record`` is that of the scores. Loads no model; a tokenizer and a configuration only where an option was changed
    whose meaning they decide.
    """
    before, identity = record["request"], record["made_from"]["model"]
    problem = find_model_difference(before["model"], request["model"])
    problems = [problem] if problem else list_option_differences(before, request, identity)
    if problems:
        is_edited = problem is not None and before["model"]["name"] == request["model"]["name"]
        goes_on = f"{spell_score_command(run, record, record['corpus']['paths'])} goes on; or name another --run"
        hint = _hint_edited_model(run, record) if is_edited else goes_on
        if problem and any(name in problem for name in TOKENIZER_FILES):
            hint += "; perplexities of different tokenizers cannot be compared, bits per byte can"
        raise TableError(f"{run.scores}: {'; '.join(problems)}", f"{hint}, or start over with --restart")


def _hint_edited_model(run: Run, record: Mapping[str, Any]) -> str:
    """Return the hint for a model whose files are not those that scored: no command goes on with them."""
    other = replace(run, path=run.path.with_name(f"{run.path.name}-2"))
    scores = spell_score_command(other, record, record["corpus"]["paths"])
    return f"{scores} scores with the model as it is now; or restore its files, and the same command goes on"


def find_model_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return in what a model differs from that of the scores, None for the same model.

    Files are named, and of a configuration the keys, with their values then and now.
    """
    differing = list_differing_files(before, now)
    if differing == []:
        return None
    name_to_settings = list_differing_settings(before, now)
    keys = "".join(f"; {name}: {_shorten_list(words, 4)}" for name, words in name_to_settings.items())
    if differing is None or before["name"] != now["name"]:
        is_edited = set(differing or ()) <= set(name_to_settings)  # of another model all keys may differ
        differ = f" ({keys[2:] if is_edited else _spell_differing(differing)})" if differing else ""
        asked = "--logprobs-field" if now["name"] == SERVED else f"--model {_name_model(now)}"
        return f"{asked}: these scores were made with {_name_model(before)}{differ}"
    said = f" ({keys[2:]})" if keys else ""
    return f"model {now['name']}: {_spell_differing(differing)} from when these scores were made{said}"


def _spell_differing(files: Sequence[str]) -> str:
    """Return ``config.json differs``, or at most four names with how many there are more."""
    shown = ", ".join(files[:4]) + (f" and {len(files) - 4} more" if len(files) > 4 else "")
    return f"{shown} {'differs' if len(files) == 1 else 'differ'}"


def _shorten_list(words: Sequence[str], most: int) -> str:
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


def _name_model(model: Mapping[str, Any]) -> str:
    if model["name"] == SERVED:
        return "--logprobs-field"
    return f"{model['name']} --revision {model['revision']}" if model.get("revision") else str(model["name"])


def list_option_differences(
    before: Mapping[str, Any], request: Mapping[str, Any], identity: Mapping[str, Any]
) -> list[str]:
    """Return a sentence for each option of a request that the scores contradict.

    ``before`` is the request of the scores, and ``identity`` what it came to.
    """
    if identity["model"] == "none":
        return []
    old, new = ({**OPTIONS, **each["options"]} for each in (before, request))
    changed = [name for name in OPTIONS if old[name] != new[name]]
    resolved = _resolve(request, new) if {"window", "prefix"} & set(changed) else {}
    problems = []
    for name in changed:
        value, made = resolved.get(name, new[name]), {**OF_EARLIER, **identity}.get(OF_IDENTITY[name])
        if name == "device":
            value = str(value).split(":")[0]
        if name == "logprobs_tokenizer":
            value, made = identify_tokenizer(value), identity["tokenizer"]
        if name == "compile":
            value = {"on": True, "off": False}.get(str(value))
        if new[name] == "auto" and name != "prefix":
            continue
        if value != made:
            problems.append(f"{_spell_option(name, new[name])}: these scores were made {_spell_made(name, old, made)}")
    return problems


def _resolve(request: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the prefix token and the window that options come to, from the model's tokenizer and configuration."""
    from curate.reference.loading import resolve_windows

    names = ("prefix", "window", "overlap", "window_prefix", "convention", "convention_args")
    config = ScoringConfig(
        **{name: options[name] for name in names},
        max_tokens=options["truncate"],
        revision=request["model"].get("revision"),
    )
    prefix, policy = resolve_windows(str(request["model"]["name"]), config)
    return {"prefix": prefix, "window": policy.window}


def _spell_option(name: str, value: Any) -> str:
    """Return an option as typed: ``--window 32``, ``--exact``; of one at its default ``without --exact``."""
    flag = f"--{name.replace('_', '-')}"
    if value is None or value is False or value == "":
        return f"without {flag}"
    return flag if value is True else f"{flag} {value}"


def _spell_made(name: str, old: Mapping[str, Any], made: Any) -> str:
    """Return how scores were made: ``with --window 64``, ``without --exact``, ``with fp32``."""
    if old[name] != OPTIONS[name]:
        return f"with {_spell_option(name, old[name])}"
    if name in ("window", "dtype", "device"):
        return f"with {made}"
    return _spell_with(name, old[name])


def check_device(run: Run, record: Mapping[str, Any], device: str) -> None:
    """Raise TableError where ``--device`` comes to another kind of device than the one that scored."""
    from curate.reference.loading import choose_device

    made, now = record["made_from"]["model"]["device"], choose_device(device).type
    if made != now:
        message = f"{run.scores}: --device {device} is {now} here: these scores were made on {made}"
        raise TableError(message, f"go on with --device {made}, name another --run, or start over with --restart")


def check_identity(
    run: Run, record: Mapping[str, Any], identity: Mapping[str, Any], allow_mixed: bool = False
) -> dict[str, Any]:
    """Return in what the machine differs from the one that scored: chip and versions as they are now, by their keys.

    With ``allow_mixed`` such a difference is allowed. Raises TableError, naming what differs, where a loaded model is
    not the one that scored.
    """
    before = record["made_from"]["model"]
    differences = list_identity_differences(before, identity)
    if differences:
        shown = "; ".join(differences[:3]) + (f"; and {len(differences) - 3} more" if len(differences) > 3 else "")
        hint = "restore what these scores were made with, name another --run, or start over with --restart"
        raise TableError(f"{run.scores} was made by another model, or on another machine: {shown}", hint)
    machine = find_machine_difference(before, identity)
    if machine and not allow_mixed:
        shown = "; ".join(list_differences({key: before[key] for key in machine}, machine))
        raise TableError(
            f"{run.scores} was made on another machine: {shown}", _hint_other_machine(run, record, machine)
        )
    return machine


def comparable_identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must be the same in all parts of a table."""
    return {key: value for key, value in identity.items() if key not in NOT_COMPARED}


def list_identity_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words what differs between the identities of two models, but for the machine.

    What only one of them says is not compared, since an earlier version of curate wrote the other; but for
    ``OF_EARLIER``.
    """
    old, new = ({**OF_EARLIER, **comparable_identity(each)} for each in (before, now))
    shared = [key for key in old if key in new and key not in OF_MACHINE]
    return list_differences({key: old[key] for key in shared}, {key: new[key] for key in shared})


def align_identity(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``now`` as the version of curate would have written it that wrote ``before``.

    It has the same keys, the name of the model as it was given then where both name one folder, and the same version of
    curate.
    """
    aligned = {key: value for key, value in now.items() if key in before}
    if name_alike(str(before["model"]), str(now["model"])):
        aligned["model"] = before["model"]
    versions = {**now.get("versions", {}), "curate": before.get("versions", {}).get("curate")}
    return {**aligned, "versions": versions} if "versions" in before else aligned


def name_alike(one: str, other: str) -> bool:
    """Return whether two names of models are of one folder, or the same."""
    if is_local_model(one) and is_local_model(other):
        return expand_home(one).resolve() == expand_home(other).resolve()
    return one == other


def find_machine_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chip and the versions of ``now``, where they differ from ``before``; the version of curate may."""
    old, new = ({key: each[key] for key in OF_MACHINE if key in each} for each in (before, now))
    for each in (old, new):
        each["versions"] = {name: value for name, value in each.get("versions", {}).items() if name != "curate"}
    return {key: new[key] for key in old if key in new and old[key] != new[key]}


def _hint_other_machine(run: Run, record: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """Return the hint for scores of another machine: what brings it back, and the option that allows to mix."""
    mixed = f"{spell_score_command(run, record, record['corpus']['paths'])} --allow-mixed"
    goes_on = f"{mixed} goes on, and run.json says which machines scored"
    versions = record["made_from"]["model"].get("versions", {})
    if "versions" not in machine or "chip" in machine:
        return f"{goes_on}; or name another --run, or start over with --restart"
    packages = [f"{name}=={versions[name]}" for name in sorted(machine["versions"]) if versions.get(name)]
    return f"pip install {' '.join(packages)} brings back the same digits; {goes_on}; or start over with --restart"


def describe_reading(corpus: "Corpus") -> dict[str, Any]:
    """Return what decides which text a row of a corpus has, by the names of options."""
    reading = {name: value for name, value in corpus.spec().items() if name not in NOT_READING}
    return reading if corpus.sample is not None else {**reading, "seed": None}


def check_reading(run: Run, record: Mapping[str, Any], corpus: "Corpus") -> None:
    """Raise TableError, naming the option, where a corpus is read otherwise than the one that was scored.

    A larger ``limit`` is no contradiction: more is read.
    """
    old = {name: value for name, value in record["corpus"].items() if name not in NOT_READING}
    if old.get("sample") is None:
        old["seed"] = None
    new = describe_reading(corpus)
    problems = [
        f"{_spell_option(name, new.get(name))}: these scores were made {_spell_with(name, old.get(name))}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    before = record["corpus"]["limit"]
    if corpus.limit is not None and (before is None or before > corpus.limit):
        problems.append(f"--limit {corpus.limit}: these scores were made {_spell_with('limit', before)}")
    if problems:
        hint = f"{spell_score_command(run, record, record['corpus']['paths'])} goes on"
        raise TableError(f"{run.scores}: {'; '.join(problems)}", f"{hint}; or start over with --restart")


def _spell_with(name: str, value: Any) -> str:
    is_out = value is None or value is False
    return _spell_option(name, value) if is_out else f"with {_spell_option(name, value)}"


def fingerprint_parts(corpus: "Corpus", identity: Mapping[str, Any]) -> str:
    """Return what every part of a table of scores is made from, whatever its file: the model, and how rows are read."""
    return compute_fingerprint({"reading": describe_reading(corpus), "model": comparable_identity(identity)})
