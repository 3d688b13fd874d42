"""Options that name columns, keys and roles, for all datasets or for one: ``--prompt-field task``, ``--role b=x=user``.

An option is one word or several with commas. ``NAME=FIELD`` is about the dataset NAME alone, and so are the words
behind it up to the next NAME; they replace those for all datasets, which come first. A role is ``OWN=STANDARD``, or
``NAME=OWN=STANDARD``.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from curate.corpus.chat.messages import ROLES
from curate.corpus.chat.named_columns import ANSWERED, ASKED, FieldNames
from curate.corpus.chat.pairs import PAIRS
from curate.errors import UsageError
from curate.runtime.calls import find_call, repeat_command
from curate.runtime.options import as_list
from curate.sft.datasets.names import name_sets

OPTIONS = {
    "prompt": "--prompt-field",
    "response": "--response-field",
    "messages": "--messages-field",
    "role_key": "--role-field",
    "content_key": "--content-field",
    "roles": "--role",
}
PARAMETERS = {key: option.removeprefix("--").replace("-", "_") for key, option in OPTIONS.items()}
"""The parameters of the verb, by the names of ``FieldNames``."""
MOST = {"prompt": len(ASKED), "response": len(ANSWERED), "messages": 1, "role_key": 1, "content_key": 1}
"""Columns or keys that an option may name for a dataset."""


def name_fields(names: Sequence[str], **options: str | None) -> dict[str, FieldNames]:
    """Return the names that each dataset has for its columns, keys and roles, by the name of the dataset.

    ``options`` are those of the verb, by ``PARAMETERS``: ``prompt_field``, ``role`` … Raises UsageError for a role
    without its standard name, for more columns than are read, and for columns of messages beside those of questions and
    answers.
    """
    words = {key: split_words(options.get(parameter)) for key, parameter in PARAMETERS.items()}
    return {name: _name_of_one(name, words, names) for name in names}


def split_words(text: str | None) -> list[str]:
    """Return the words of an option."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _name_of_one(name: str, words: Mapping[str, Sequence[str]], names: Sequence[str]) -> FieldNames:
    own = {key: choose_words(listed, name, names, key == "roles") for key, listed in words.items()}
    roles = tuple(split_role(word) for word in own.pop("roles"))
    for key, most in MOST.items():
        if len(own[key]) > most:
            listed = ", ".join(own[key])
            message = f"{OPTIONS[key]} takes at most {most} column{'s' if most > 1 else ''} of a dataset, not {listed}"
            raise UsageError(message, repeat_ranking(name, **{key: own[key][:most]}))
    if own["messages"] and (own["prompt"] or own["response"]):
        other = OPTIONS["prompt" if own["prompt"] else "response"]
        message = (
            f"--messages-field and {other} are both given for {name}; a dataset has messages, or questions and answers"
        )
        raise UsageError(message, repeat_ranking(name, prompt=(), response=()))
    return FieldNames(**own, roles=roles)


def choose_words(words: Sequence[str], name: str, names: Sequence[str], equals: int = 0) -> tuple[str, ...]:
    """Return the words of an option that are about a dataset: its own, or else those that are about all.

    ``equals`` is the number of equals signs in a word itself. Roles of its own are added to those for all.
    """
    shared, owned = sort_words(words, names, equals)
    own = owned.get(name, [])
    return tuple([*shared, *own] if equals else own or shared)


def sort_words(words: Sequence[str], names: Sequence[str], equals: int = 0) -> tuple[list[str], dict[str, list[str]]]:
    """Return the words of an option that are about all datasets, and those about one, by its name."""
    shared, owned = list[str](), dict[str, list[str]]()
    owner: str | None = None
    for word in words:
        named = next((one for one in names if word.startswith(f"{one}=") and word.count("=") > equals), None)
        owner = named if named is not None or equals else owner
        if owner is None:
            shared.append(word)
        else:
            owned.setdefault(owner, []).append(word if named is None else word.removeprefix(f"{named}="))
    return shared, owned


def repeat_ranking(name: str, data: str = "", /, **words: Sequence[str]) -> str | None:
    """Return the command under way with other words of some options for one dataset, and no others changed.

    ``words`` are by the names of ``FieldNames``: columns and keys replace those that the dataset has, roles are added;
    none at all take an option from this dataset alone. ``data`` is the path of the dataset, for a caller without a
    command. None where a word has a comma, which cannot be typed.
    """
    call = find_call("rank_sft")
    names = list(name_sets(as_list(call.values["data"]))) if call is not None else [name]
    if any("," in word for listed in words.values() for word in listed) or ("," in name and len(names) > 1):
        return None
    changed: dict[str, Any] = {} if call is not None else {"data": [data or name]}
    given = call.values if call is not None else {}
    for key, listed in words.items():
        typed = split_words(given.get(PARAMETERS[key]))
        changed[PARAMETERS[key]] = _assign_words(typed, name, names, listed, key == "roles") or None
    return repeat_command("rank_sft", **changed)


def _assign_words(typed: Sequence[str], name: str, names: Sequence[str], chosen: Sequence[str], roles: bool) -> str:
    """Return the words of an option, those of one dataset replaced; a role is put behind the others."""
    alone = len(names) < 2
    if roles:
        return ",".join([*typed, *(word if alone else f"{name}={word}" for word in chosen)])
    if alone:
        return ",".join(chosen)
    shared, owned = sort_words(typed, names)
    if chosen:
        owned[name] = [*chosen]
    else:  # what is said of all is said of each of the others
        owned.pop(name, None)
        owned = {one: owned.get(one, shared) for one in names if one != name}
        shared = []
    return ",".join([*shared, *(f"{one}={','.join(listed)}" for one, listed in owned.items() if listed)])


def split_role(word: str) -> tuple[str, str]:
    """Return the role of a dataset in lower case, and the standard one. Raises UsageError for any other word."""
    own, equals, standard = word.rpartition("=")
    if not equals or not own.strip() or standard.strip().lower() not in ROLES:
        message = f"--role must be OWN=STANDARD with {', '.join(ROLES)} as the standard one, not {word}"
        raise UsageError(message, _mend_role(word, own.strip() or word.strip(" =") or "customer"))
    return own.strip().lower(), standard.strip().lower()


def _mend_role(word: str, role: str) -> str:
    """Return the command under way with the user as the standard name of a role in place of a word."""
    call = find_call("rank_sft")
    typed = split_words(call.values.get("role")) if call is not None else []
    mended = [one if not one.endswith(word) else f"{one.removesuffix(word)}{role}=user" for one in typed]
    return repeat_command("rank_sft", role=",".join(mended) or f"{role}=user")


def complete_fields(names: FieldNames, columns: Collection[str]) -> FieldNames:
    """Return the names with the questions or the answers of a known schema where only the other of the two is named.

    They are as given where no column is known to hold them.
    """
    if bool(names.prompt) == bool(names.response):
        return names
    side, missing = ("response", "prompt") if names.response else ("prompt", "response")
    for pair in PAIRS.values():
        known = pair.asked if missing == "prompt" else pair.answered
        found = tuple(column for column in known if column in columns and column not in getattr(names, side))
        if found and (missing == "response" or found[0] == known[0]):
            found = found[: MOST[missing]]
            return replace(names, prompt=found) if missing == "prompt" else replace(names, response=found)
    return names
