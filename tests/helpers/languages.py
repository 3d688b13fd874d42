"""The same dozen questions and answers in ten languages, written for the tests of rankings (``languages.jsonl``)."""

import json
from pathlib import Path

ROWS = [json.loads(line) for line in Path(__file__).with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]
SETS = {
    code: [(row["question"], row["answer"]) for row in ROWS if row["language"] == code]
    for code in ("en", "de", "ru", "zh", "tr", "es", "it", "pt", "nl", "fr")
}
"""Pairs of question and answer, by language."""


def rows_in(language, times=1):
    """The questions and answers of a language as rows; with more ``times``, again with numbers that tell them apart."""
    return [
        {"question": f"{asked} ({number})", "answer": f"{number}. {answer}"}
        if times > 1
        else {"question": asked, "answer": answer}
        for number in range(1, times + 1)
        for asked, answer in SETS[language]
    ]
