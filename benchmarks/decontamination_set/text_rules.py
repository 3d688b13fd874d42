"""Rules that plant an item of a natural language in a document, and the one that changes its numbers.

A rule takes a ``Planted`` and returns the text of the document, or None where the item is not fit for it: too short to
be known again after a cut, or written in a script without case. All that is drawn at random is drawn by the generator
that is handed over, which is seeded with the names of the item and the rule.
"""

import html
import html.entities
import json
import random
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

NUMBER = re.compile(r"\d+")
UNSPACED = {"zh", "ja"}
CASED = {"en", "de", "fr", "es", "pt", "it", "ru", "tr"}
DENSE = {"zh", "ja", "ko"}
LEAST = {"dense": 18, "other": 45}
"""Characters below which a question alone is anybody's question."""
LONG = {"dense": 32, "other": 80}
"""Characters from which a question is still known after an edit or a cut."""
LINE = {True: 18, False: 44}
"""Characters of a line in a text that is wrapped by hand, in dense scripts and others."""
PUNCTUATION = {
    "en": {"?": " ?", '"': "'", "'": "’", ",": " ,"},
    "de": {"„": "»", "“": "«", "?": " ?"},
    "fr": {"« ": "“", " »": "”", " ?": "?", "'": "’"},
    "es": {"«": "“", "»": "”", "¿": "", ",": " ,"},
    "pt": {"«": "“", "»": "”", "?": " ?", ",": " ,"},
    "it": {"«": "“", "»": "”", "'": "’", "?": " ?"},
    "ru": {"«": "„", "»": "“", " — ": " - ", "?": " ?"},
    "tr": {"«": "“", "»": "”", "'": "’", "?": " ?"},
    "ar": {"؟": "?", "،": ",", "«": '"', "»": '"'},
    "hi": {"।": ".", "'": "‘", "?": " ?"},
    "zh": {"，": ",", "？": "?", "。": ".", "“": '"', "”": '"'},
    "ja": {"、": "，", "。": "．", "「": "『", "」": "』"},
    "ko": {"「": "“", "」": "”", "?": "？", ",": "，"},
}
"""Marks of one convention and those of another that stand for them."""
QUOTES = {"de": "„“", "ja": "「」"} | dict.fromkeys(("en", "zh", "ko", "hi", "tr", "pt"), "“”")
"""Quotation marks; « » where none are named."""
DIGITS = {"ar": "٠١٢٣٤٥٦٧٨٩", "hi": "०१२३४५६७८९", "zh": "０１２３４５６７８９", "ja": "０１２３４５６７８９"}
"""Digits that are written in the same language as well as 0 to 9."""


@dataclass(frozen=True, slots=True)
class Planted:
    """What a rule works on."""

    question: str
    context: str
    choices: tuple[str, ...]
    answer: str
    language: str
    words: dict[str, str]
    """Question, answer and options, in the language."""
    before: str
    after: str
    """Prose of the document, around the item."""
    chance: random.Random

    @property
    def asked(self) -> str:
        """The passage, where there is one, and the question."""
        return f"{self.context}\n{self.question}" if self.context else self.question

    @property
    def listed(self) -> str:
        """The options with letters, a line each."""
        return "\n".join(f"{letter}) {text}" for letter, text in zip("ABCDEFGH", self.choices, strict=False))

    @property
    def dense(self) -> bool:
        return self.language in DENSE


Rule = Callable[[Planted], str | None]


def is_long(text: str, language: str, least: dict[str, int]) -> bool:
    return len(text) >= least["dense" if language in DENSE else "other"]


def surround(item: Planted, text: str) -> str:
    """Put prose before the text, after it, or on both sides."""
    parts = item.chance.choice([(item.before, text, item.after), (item.before, text), (text, item.after)])
    return "\n\n".join(parts)


def is_word(piece: str) -> bool:
    """Whether a piece is letters alone; the vowel signs of Indic scripts are among them."""
    return bool(piece) and all(unicodedata.category(one)[0] in "LM" for one in piece)


def join_sentences(language: str, parts: Sequence[str]) -> str:
    return ("" if language in UNSPACED else " ").join(parts)


def plant_whole(item: Planted) -> str:
    """The item as an evaluation shows it: passage, question, options, answer."""
    lines = [item.asked, item.listed, f"{item.words['answer']}: {item.answer}"]
    return surround(item, "\n".join(line for line in lines if line))


def plant_in_prose(item: Planted) -> str:
    return join_sentences(item.language, [item.before, item.asked.replace("\n", " "), item.answer, item.after])


def plant_question(item: Planted) -> str | None:
    return surround(item, item.asked) if is_long(item.asked, item.language, LEAST) else None


def plant_answered(item: Planted) -> str:
    return f"{item.words['question']}: {item.asked}\n\n{item.words['answer']}: {item.answer}"


def plant_reordered(item: Planted) -> str | None:
    """Question and options, the options in another order."""
    if len(item.choices) < 3:
        return None
    choices = list(item.choices)
    while tuple(choices) == item.choices:
        item.chance.shuffle(choices)
    return surround(item, f"{item.asked}\n" + "\n".join(f"- {choice}" for choice in choices))


def plant_punctuation(item: Planted) -> str | None:
    """Without most marks, dashes instead of commas."""
    text = re.sub(r"[?!.:;¿؟。？！．：；।«»„“”\"「」]", "", item.asked)
    text = re.sub(r"[,،，、]", " –", text)
    return surround(item, f"{text} …\n{item.answer}") if is_long(text, item.language, LEAST) else None


def plant_case(item: Planted) -> str | None:
    """In capitals, in small letters, or with every word capitalised."""
    if item.language not in CASED or not is_long(item.asked, item.language, LEAST):
        return None
    text = f"{item.asked}\n{item.answer}"
    if item.language == "tr":  # i and ı are two letters, which Python's case does not know
        turned = item.chance.choice([text.replace("i", "İ").upper(), text.replace("I", "ı").replace("İ", "i").lower()])
    else:
        turned = item.chance.choice([str.upper, str.lower, str.title])(text)
    return surround(item, turned)


def plant_wrapped(item: Planted) -> str | None:
    """Wrapped by hand in short lines, indented, spaces doubled."""
    if not is_long(item.asked, item.language, LEAST):
        return None
    pieces = list(item.asked) if item.language in UNSPACED else re.findall(r"\S+\s*", item.asked)
    lines = [""]
    for piece in pieces:
        if len(lines[-1]) + len(piece) > LINE[item.dense]:
            lines.append("")
        lines[-1] += piece.replace(" ", "  ").replace("\n", " ")
    return surround(item, "\n".join(f"    {line.rstrip()}" for line in lines) + f"\n\n    {item.answer}")


def plant_html(item: Planted) -> str:
    """Source of a page, with the characters escaped that HTML escapes."""
    options = "".join(f"<li>{html.escape(choice)}</li>" for choice in item.choices)
    body = f"<p>{html.escape(item.asked)}</p>" + (f"<ol>{options}</ol>" if options else "")
    return f"<p>{html.escape(item.before)}</p>{body}<p>{html.escape(item.answer)}</p>"


def plant_entities(item: Planted) -> str | None:
    """Letters with accents as named entities, as old pages spell them."""
    names = html.entities.codepoint2name
    text = "".join(f"&{names[ord(one)]};" if ord(one) in names else one for one in item.asked)
    return surround(item, f"{text}<br>\n{html.escape(item.answer)}") if text.count("&") > 2 else None


def plant_edited(item: Planted) -> str | None:
    """A tenth of the words exchanged for words of the prose, numbers kept; in scripts without spaces, characters."""
    if not is_long(item.asked, item.language, LONG):
        return None
    unspaced = item.language in UNSPACED
    pieces = list(item.asked) if unspaced else item.asked.split(" ")
    pool = [one for one in (list(item.after) if unspaced else item.after.split(" ")) if is_word(one)]
    places = [at for at, piece in enumerate(pieces) if is_word(piece)]
    for at in item.chance.sample(places, max(1, len(pieces) // 10)):
        pieces[at] = item.chance.choice(pool)
    return surround(item, ("" if unspaced else " ").join(pieces))


def plant_truncated(item: Planted) -> str | None:
    """The first 60 % of the words of the question, or of its characters; of a passage nothing asked would be left."""
    if item.context or not is_long(item.question, item.language, LONG):
        return None
    unspaced = item.language in UNSPACED
    pieces = list(item.question) if unspaced else item.question.split(" ")
    return surround(item, ("" if unspaced else " ").join(pieces[: int(len(pieces) * 0.6)]))


def plant_translated(item: Planted) -> str | None:
    """Marks and digits of another convention: quotation marks, full width, digits of the script."""
    if not is_long(item.asked, item.language, LEAST):
        return None
    text = f"{item.asked}\n{item.answer}"
    for mark, other in PUNCTUATION[item.language].items():
        text = text.replace(mark, other)
    digits = DIGITS.get(item.language)
    return surround(item, text.translate(str.maketrans("0123456789", digits)) if digits else text)


def plant_json(item: Planted) -> str:
    """A record as a data set on the web has it."""
    record = {"question": item.asked, "choices": list(item.choices), "answer": item.answer}
    return json.dumps(record, ensure_ascii=False, indent=item.chance.choice([None, 2]))


def plant_markdown(item: Planted) -> str:
    boxes = "\n".join(f"- [{'x' if choice == item.answer else ' '}] {choice}" for choice in item.choices)
    quoted = "\n".join(f"> {line}" for line in item.asked.split("\n"))
    told = boxes or f"**{item.answer}**"
    return f"{item.before}\n\n### {item.words['question']} {item.chance.randint(2, 40)}\n\n{quoted}\n\n{told}\n"


def plant_quoted(item: Planted) -> str | None:
    if not is_long(item.asked, item.language, LEAST):
        return None
    marks = QUOTES.get(item.language, "«»")
    quoted = marks[0] + item.asked.replace("\n", " ") + marks[1]
    return join_sentences(item.language, [item.before, quoted, item.after])


def change_numbers(item: Planted) -> str | None:
    """Every number that is written in digits becomes another one of as many digits; nothing else changes."""
    if not NUMBER.search(item.question):
        return None

    def change(match: re.Match[str]) -> str:
        number, zero = match.group(), ord(match.group()[0]) - unicodedata.digit(match.group()[0])
        drawn = number
        while drawn == number:
            digits = [item.chance.randint(0 if at else min(2, 9), 9) for at in range(len(number))]
            drawn = "".join(chr(zero + digit) for digit in digits)
        return drawn

    return NUMBER.sub(change, item.asked)


LEAKS: dict[str, Rule] = {
    "verbatim": plant_whole,
    "prose": plant_in_prose,
    "question only": plant_question,
    "question and answer": plant_answered,
    "choices reordered": plant_reordered,
    "punctuation": plant_punctuation,
    "case": plant_case,
    "white space": plant_wrapped,
    "html": plant_html,
    "entities": plant_entities,
    "10 % words": plant_edited,
    "first 60 %": plant_truncated,
    "translated marks": plant_translated,
    "json": plant_json,
    "markdown": plant_markdown,
    "quoted": plant_quoted,
}
"""Rules that leave the item in the document, by the kind of their rows."""
