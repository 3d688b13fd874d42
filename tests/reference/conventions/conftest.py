"""Tiny models of all kinds of tokenizers, made once."""

import pytest
from helpers import convention_tools as tools


@pytest.fixture(scope="session")
def kind_folder(tmp_path_factory):
    """Gives the folder of a tiny model of a kind of tokenizer, made once."""
    root, made = tmp_path_factory.mktemp("kinds"), {}

    def get(kind, **changes):
        key = (kind, *sorted(changes.items()))
        if key not in made:
            made[key] = tools.save_kind(root / str(len(made)), kind, **changes)
        return made[key]

    return get


@pytest.fixture(scope="session")
def kind_texts(kind_folder):
    """Gives texts around one and two windows of 64 tokens, and some of other scripts, made once for each kind."""
    made, others = {}, ["Größe", "東京 🙂 naïve – ", "日本語とкириллица, emoji 🙂🙃 and ordinary words. " * 9]

    def get(kind, counts=(1, 2, 40, 62, 63, 64, 65, 66, 127, 128, 129, 130, 200, 330)):
        if (kind, counts) not in made:
            made[kind, counts] = tools.make_texts(kind_folder(kind), counts) + others
        return made[kind, counts]

    return get
