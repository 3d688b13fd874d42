"""A corpus in a language that the card of the model does not name is said to be; without a card nothing is known."""

import json

import pytest

from curate.corpus import open_corpus
from curate.stages.score import languages
from curate.stages.score.languages import describe_languages

ENGLISH = "The committee met twice in the spring, and the second meeting was much longer than the first one had been. "
GREEK = "Η επιτροπή συνεδρίασε δύο φορές την άνοιξη, και η δεύτερη συνεδρίαση ήταν πολύ μεγαλύτερη από την πρώτη. "
RUSSIAN = "Комитет собирался дважды весной, и второе заседание было гораздо длиннее, чем первое, о котором писали. "
GERMAN = "Der Ausschuss tagte im Frühjahr zweimal, und die zweite Sitzung dauerte viel länger als die erste davor. "
CODE = "def add(first, second):\n    return first + second\n\n\nfor item in items:\n    total = add(total, item)\n"


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, texts in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return open_corpus([str(folder)])


def make_model(folder, front_matter):
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    if front_matter is not None:
        (folder / "README.md").write_text(f"---\n{front_matter}\n---\n\n# A model\n")
    return str(folder)


def test_the_builtin_says_how_much_is_not_english_and_what_it_is(tmp_path):
    corpus = write(tmp_path / "c", a=[ENGLISH * 2] * 6, b=[GREEK * 2] * 3 + [RUSSIAN * 2])
    line = describe_languages(corpus, "builtin", None)
    assert line == "4 of 10 documents looked at are not in en, which builtin reads by its card (el 3, ru 1)"


@pytest.mark.parametrize("texts", [[ENGLISH], [ENGLISH] * 12 + [GERMAN], [CODE] * 5, ["", "  "], ["a", "17 4 2", "ok"]])
def test_nothing_is_said_of_english_nor_of_code_nor_of_what_is_too_little(tmp_path, texts):
    assert describe_languages(write(tmp_path / "c", a=texts), "builtin", None) is None


@pytest.mark.parametrize(
    ("front_matter", "is_said"),
    [
        ("language: en", True),
        ("language:\n- en\n- fr", True),
        ("language: [en, de]", False),
        ("language: de-AT", False),
        ("language: multilingual", False),
        ("language:\n- en\n- multilingual", False),
        ("license: mit", False),
        ("language: [en", False),
        (None, False),
    ],
)
def test_another_model_reads_the_languages_that_its_card_names_and_of_others_nothing_is_known(
    tmp_path, front_matter, is_said
):
    corpus = write(tmp_path / "c", a=[GERMAN * 2] * 3)
    model = make_model(tmp_path / "model", front_matter)
    line = describe_languages(corpus, model, None)
    assert (line is not None) == is_said
    assert line is None or f"which {model} reads by its card (de 3)" in line


def test_a_sample_is_spread_over_the_files_and_within_them(tmp_path, monkeypatch):
    monkeypatch.setattr(languages, "SAMPLE", 8)
    monkeypatch.setattr(languages, "FILES", 2)
    files = {f"f{number}": [f"{number}.{row} {ENGLISH}" for row in range(12)] for number in range(4)}
    found = [text.split()[0] for text in languages.sample_texts(write(tmp_path / "c", **files))]
    assert found == ["0.0", "0.3", "0.6", "0.9", "2.0", "2.3", "2.6", "2.9"]


def test_without_a_model_no_text_is_looked_at(tmp_path):
    assert describe_languages(write(tmp_path / "c", a=[GREEK * 2]), "none", None) is None
    assert describe_languages(write(tmp_path / "c", a=[GREEK * 2]), "nobody/has-this", None) is None
