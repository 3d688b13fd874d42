"""Options that name columns and roles, for all datasets or for one: ``--prompt-field task``, ``--role a=kunde=user``.

An option is one word or several with commas. ``NAME=FIELD`` is about the dataset NAME alone, and so are the words
behind it up to the next NAME; they replace those for all datasets, which come first. A role is ``OWN=STANDARD``, or
``NAME=OWN=STANDARD``.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from curate.corpus.chat.messages import ROLES
from curate.corpus.chat.named_columns import ANSWERED, ASKED, FieldNames
from curate.corpus.chat.pairs import PAIRS
from curate.errors import CorpusError, UsageError
from curate.runtime.text import quote_word

OPTIONS = {
    "prompt": "--prompt-field",
    "response": "--response-field",
    "messages": "--messages-field",
    "roles": "--role",
}
WORDS = {"prompt": "questions", "response": "answers"}
MOST = {"prompt": len(ASKED), "response": len(ANSWERED), "messages": 1}
"""Columns that an option may name for a dataset."""


def name_fields(
    names: Sequence[str],
    prompt_field: str | None = None,
    response_field: str | None = None,
    messages_field: str | None = None,
    role: str | None = None,
) -> dict[str, FieldNames]:
    """Return the names that each dataset has for its columns and roles, by the name of the dataset.

    Raises UsageError for a role without its standard name, for more columns than are read, and for columns of messages
    beside those of questions and answers.
    """
    options = {"prompt": prompt_field, "response": response_field, "messages": messages_field, "roles": role}
    words = {key: [word.strip() for word in (text or "").split(",") if word.strip()] for key, text in options.items()}
    return {name: _name_of_one(name, words, names) for name in names}


def _name_of_one(name: str, words: Mapping[str, Sequence[str]], names: Sequence[str]) -> FieldNames:
    own = {key: choose_words(listed, name, names, key == "roles") for key, listed in words.items()}
    roles = tuple(split_role(word) for word in own.pop("roles"))
    for key, most in MOST.items():
        if len(own[key]) > most:
            listed = ", ".join(own[key])
            message = f"{OPTIONS[key]} takes at most {most} column{'s' if most > 1 else ''} of a dataset, not {listed}"
            raise UsageError(message, f"{OPTIONS[key]} {','.join(own[key][:most])}")
    if own["messages"] and (own["prompt"] or own["response"]):
        other = OPTIONS["prompt" if own["prompt"] else "response"]
        message = (
            f"--messages-field and {other} are both given for {name}; a dataset has messages, or questions and answers"
        )
        raise UsageError(message, f"--messages-field {own['messages'][0]}")
    return FieldNames(own["prompt"], own["response"], own["messages"], roles)


def choose_words(words: Sequence[str], name: str, names: Sequence[str], equals: int = 0) -> tuple[str, ...]:
    """Return the words of an option that are about a dataset: its own, or else those that are about all.

    ``equals`` is the number of equals signs in a word itself. Roles of its own are added to those for all.
    """
    own, shared = list[str](), list[str]()
    owner: str | None = None
    for word in words:
        named = next((one for one in names if word.startswith(f"{one}=") and word.count("=") > equals), None)
        owner = named if named is not None or equals else owner
        if owner is None:
            shared.append(word)
        elif owner == name:
            own.append(word if named is None else word.removeprefix(f"{name}="))
    return tuple([*shared, *own] if equals else own or shared)


def split_role(word: str) -> tuple[str, str]:
    """Return the role of a dataset in lower case, and the standard one. Raises UsageError for any other word."""
    own, equals, standard = word.rpartition("=")
    if not equals or not own.strip() or standard.strip().lower() not in ROLES:
        message = f"--role must be OWN=STANDARD with {', '.join(ROLES)} as the standard one, not {word}"
        raise UsageError(message, f"--role {own.strip() or word or 'customer'}=user")
    return own.strip().lower(), standard.strip().lower()


def complete_fields(names: FieldNames, columns: Collection[str], dataset: str) -> FieldNames:
    """Return the names with the questions or the answers of a known schema where only the other of the two is named.

    Raises CorpusError where no column is known to hold them.
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
    other = next((column for column in columns if column not in getattr(names, side)), "COLUMN")
    message = f"{dataset}: {OPTIONS[side]} is given, and no column is known to hold the {WORDS[missing]}"
    raise CorpusError(
        f"{message}; there are: {', '.join(list(columns)[:20])}", f"{OPTIONS[missing]} {quote_word(other)}"
    )
