"""Which languages a base model reads, by its own numbers on the datasets that are ranked.

A language that the base does not read costs it much more per letter than the one it reads best, and its tokenizer cuts
it into smaller pieces. Bytes are no common measure, since UTF-8 writes a Cyrillic letter in two and a Chinese character
in three. So numbers are per letter, and a character of Chinese counts as three letters (``WEIGHTS``), as many as the
same text has in English. Measured on the same texts (bits a letter, tokens a letter, as multiples of English):

                              French       Spanish      Portuguese   Italian      German       Dutch
    SmolLM2-135M (English)    1.9 and 1.6  2.2 and 1.6  2.5 and 1.7  2.5 and 1.6  2.4 and 1.7  2.7 and 1.7
    the model in the box      2.5 and 1.5  2.6 and 1.6  2.5 and 1.7  2.6 and 1.7  2.6 and 1.7  2.6 and 1.6
                              Russian      Chinese      Turkish
    SmolLM2-135M (English)    3.0 and 3.4  2.8 and 3.0  3.2 and 2.3
    the model in the box      5.6 and 6.1  4.4 and 3.6  3.2 and 2.5

Datasets are not the same texts: bits a letter of one language differ by half from one dataset to the next (English
under SmolLM2: 0.69 to 1.08), tokens a letter by a quarter. Near the edge neither decides alone, so their product does.

Prose alone is evidence: texts whose language is clear, and that are mostly letters. Each dataset has one voice, so that
neither a large one nor one of garbage decides.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from curate.matching.languages import CHARACTERS, identify_language
from curate.reference.likelihood import LN2
from curate.sft.examples import scored_turns

if TYPE_CHECKING:
    from curate.sft.datasets import DrawnExample

LOOKED_AT = 300
"""Examples of a dataset whose language is looked at, spread over the sample."""
CONFIDENT, LETTERS = 0.9, 0.8
"""The confidence and the share of letters and spaces from which a text is prose of a language."""
LONG = 40
"""Letters of an answer from which it is evidence by itself; of a shorter one, the conversation is."""
ENOUGH = 5
"""Examples from which a dataset has a language."""
LAST_LATIN = 0x2FF
"""Beyond it, marks that belong to letters count as letters."""
COSTLY, TWICE = 1.4, 2.0
"""A language is not read where its bits a letter are more than ``COSTLY`` times those of the best one, and more than
``TWICE`` when multiplied by its tokens a letter, likewise. Bases that were trained on several languages are within a
third of their best one by bits, and by half of it in tokens."""
HARD = 3.0
"""Bits a letter from which even the best language is not read: letters drawn by their frequencies cost 4 to 4.5."""
NOTABLE = 0.1
"""The share of examples in a language that is not read from which it is mentioned."""
WEIGHTS = {
    re.compile(r"[\u3400-\u9fff\uf900-\ufaff]"): 3.0,
    re.compile(r"[\u3040-\u30ff\uac00-\ud7af]"): 2.0,
    re.compile(r"[\u0590-\u06ff]"): 1.25,
}
"""Letters that a character of Chinese says as much as; a syllable of kana or Hangul; a letter of Hebrew or Arabic,
which leave out most vowels."""
COLUMNS = ["file", "row", "part", "status", "content_nats", "tokens", "full_nats", "full_tokens"]
"""Of ``RESPONSES``."""
LanguageTexts = Mapping[tuple[str, int, int], tuple[str, str, bool]]
"""Language, text, and whether that is the answer alone, by the file, row and part of an example."""
NAMES = {
    "af": "Afrikaans", "ar": "Arabic", "az": "Azerbaijani", "be": "Belarusian", "bg": "Bulgarian", "bn": "Bengali",
    "bs": "Bosnian", "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "eo": "Esperanto", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian",
    "fi": "Finnish", "fr": "French", "ga": "Irish", "gl": "Galician", "gu": "Gujarati", "he": "Hebrew", "hi": "Hindi",
    "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian", "is": "Icelandic", "it": "Italian",
    "ja": "Japanese", "ka": "Georgian", "kk": "Kazakh", "km": "Khmer", "kn": "Kannada", "ko": "Korean", "la": "Latin",
    "lt": "Lithuanian", "lv": "Latvian", "mk": "Macedonian", "ml": "Malayalam", "mn": "Mongolian", "mr": "Marathi",
    "ms": "Malay", "mt": "Maltese", "nb": "Norwegian", "ne": "Nepali", "nl": "Dutch", "nn": "Norwegian",
    "no": "Norwegian", "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian", "sq": "Albanian", "sr": "Serbian", "sv": "Swedish",
    "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "uk": "Ukrainian",
    "ur": "Urdu", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LanguageSums:
    """What the base has for the examples of one language in one dataset."""

    examples: int = 0
    bits: float = 0.0
    tokens: float = 0.0
    letters: float = 0.0
    num_bytes: int = 0

    def add(self, bits: float, tokens: float, text: str) -> "LanguageSums":
        """Return the sums with one text more."""
        num_bytes = self.num_bytes + len(text.encode())
        return LanguageSums(
            self.examples + 1, self.bits + bits, self.tokens + tokens, self.letters + count_letters(text), num_bytes
        )


@dataclass(frozen=True, slots=True)
class DatasetLanguages:
    """The languages of a dataset's examples, with what the base has for each."""

    sums: Mapping[str, LanguageSums] = field(default_factory=dict)
    """By ISO 639-1 code; only texts that are prose of a language."""

    @property
    def main(self) -> str:
        """The language of most of these examples; empty where none has half of them, or they are too few."""
        total = sum(one.examples for one in self.sums.values())
        code = max(self.sums, key=lambda code: self.sums[code].examples, default="")
        return code if total >= ENOUGH and 2 * self.sums[code].examples >= total else ""

    def share(self, code: str) -> float:
        """Return the share of the examples in a language."""
        total = sum(one.examples for one in self.sums.values())
        return self.sums[code].examples / total if code in self.sums else 0.0


@dataclass(frozen=True, slots=True)
class LanguageReading:
    """How a base reads a language, in comparison with the one it reads best."""

    code: str
    best: str
    """The language that costs the base least per letter."""
    bits: float
    """Bits a letter, as a multiple of that of ``best``."""
    tokens: float
    """Tokens a letter, likewise."""
    bits_per_letter: float
    bits_per_byte: float
    tokens_per_byte: float

    @property
    def is_strange(self) -> bool:
        """Whether it costs the base much more than the language that it reads best."""
        return self.bits > COSTLY and self.bits * max(self.tokens, 1.0) > TWICE

    @property
    def is_read(self) -> bool:
        """Whether the base reads it, by comparison and by itself."""
        return not self.is_strange and self.bits_per_letter <= HARD

    def describe(self) -> str:
        """Return the verdict with its numbers, as part of a sentence."""
        numbers = f"{self.bits_per_byte:.2f} bits and {self.tokens_per_byte:.2f} tokens a byte"
        if not self.is_strange:
            return f"in {name_language(self.code)}, which the base hardly reads: {numbers}"
        by = f"a letter costs {self.bits:.1f} times the bits and {self.tokens:.1f} times the tokens"
        by += f" of {name_language(self.best)}"
        return f"in {name_language(self.code)}, which the base does not read: {by} ({numbers})"


def name_language(code: str) -> str:
    """Return the English name of a language; its code where it has none here."""
    return NAMES.get(code, code)


def count_letters(text: str) -> float:
    """Return the characters of a text, those of ``WEIGHTS`` as the letters that they stand for."""
    heavier = 0 if text.isascii() else sum((weight - 1) * len(one.findall(text)) for one, weight in WEIGHTS.items())
    return len(text) + heavier


def identify_examples(examples: Sequence["DrawnExample"]) -> LanguageTexts:
    """Return the examples that are prose, with their languages.

    The text of a short answer is the conversation. At most ``LOOKED_AT`` examples are looked at, spread over all.
    """
    found = {}
    for at in np.unique(np.linspace(0, len(examples) - 1, min(LOOKED_AT, len(examples))).round().astype(int)).tolist():
        drawn = examples[at]
        turns = drawn.example.turns
        text = "\n".join(turns[index].text for index in scored_turns(drawn.example, "all"))
        is_answer = count_letters(text) >= LONG
        if not is_answer:
            text = "\n".join(turn.text for turn in turns)
        language = identify_language(text)
        if language.confidence >= CONFIDENT and is_prose(text):
            found[drawn.file, drawn.row, drawn.part] = (language.code, text, is_answer)
    return found


def is_prose(text: str) -> bool:
    """Return whether letters (with their marks) and spaces are most of a text, as they are not of code and tables."""
    text = text[:CHARACTERS]
    letters = sum(one.isalpha() or one.isspace() or ord(one) > LAST_LATIN for one in text)
    return letters >= LETTERS * len(text)


def sum_languages(languages: LanguageTexts, responses: pa.Table) -> DatasetLanguages:
    """Return the languages of a dataset with the sums of its responses: of the answers, or of conversations."""
    sums: dict[str, LanguageSums] = defaultdict(LanguageSums)
    for row in responses.select(COLUMNS).to_pylist() if languages else ():
        code, text, is_answer = languages.get((row["file"], row["row"], row["part"]), ("", "", False))
        if not code or row["status"] != "ok":
            continue
        nats, tokens = (row["content_nats"], row["tokens"]) if is_answer else (row["full_nats"], row["full_tokens"])
        sums[code] = sums[code].add(nats / LN2, tokens, text)
    return DatasetLanguages(dict(sums))


def judge_languages(datasets: Sequence[DatasetLanguages]) -> dict[str, LanguageReading]:
    """Return how the base reads each language that is the main one of a dataset.

    The numbers of a language are medians over its datasets. The best language is that with the fewest bits a letter.
    """
    name_to_sums = defaultdict(list)
    for dataset in datasets:
        if dataset.main:
            name_to_sums[dataset.main].append(dataset.sums[dataset.main])
    bits = {code: float(np.median([one.bits / one.letters for one in sums])) for code, sums in name_to_sums.items()}
    tokens = {code: float(np.median([one.tokens / one.letters for one in sums])) for code, sums in name_to_sums.items()}
    best = min(bits, key=lambda code: (bits[code], code), default="")
    readings = {}
    for code, sums in name_to_sums.items():
        num_bytes = sum(one.num_bytes for one in sums)
        readings[code] = LanguageReading(
            code,
            best,
            bits[code] / bits[best],
            tokens[code] / tokens[best],
            bits[code],
            sum(one.bits for one in sums) / num_bytes,
            sum(one.tokens for one in sums) / num_bytes,
        )
    return readings


def is_apart(dataset: DatasetLanguages, readings: Mapping[str, LanguageReading]) -> bool:
    """Return whether a dataset is in a language that costs the base much more than that of another one."""
    reading = readings.get(dataset.main)
    return reading is not None and reading.is_strange


def find_language_flags(dataset: DatasetLanguages, readings: Mapping[str, LanguageReading]) -> tuple[str, ...]:
    """Return what is to be said of the languages of a dataset."""
    reading = readings.get(dataset.main)
    if reading is not None and not reading.is_read:
        return (reading.describe(),)
    strange = [code for code, one in readings.items() if one.is_strange and dataset.share(code) >= NOTABLE]
    counts = Counter({code: round(100 * dataset.share(code)) for code in strange})
    return tuple(f"{share} % of it {readings[code].describe()}" for code, share in counts.most_common())
