"""Finds what a choice asks for in texts, and replaces it.

Patterns look at a text again, with brackets in place of what was found, until nothing new is found: what stands beside
a secret may be hidden by it at first. So a redacted text is redacted to itself. Every pattern has bounded repeats, or
reads each character a bounded number of times, so that no text is slow.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.runtime.redaction import names
from curate.runtime.redaction.accounts import find_cards, find_ibans
from curate.runtime.redaction.addresses import find_addresses
from curate.runtime.redaction.emails import find_emails
from curate.runtime.redaction.kinds import KINDS, LABELS, PERSON, RedactionChoice, parse_choice
from curate.runtime.redaction.phones import find_phones
from curate.runtime.redaction.redaction import EDGE, FoundSpan, Redaction, count_spans, mask_spans, merge_found
from curate.runtime.redaction.secret_formats import find_secrets

Detector = Callable[[str], Iterator[tuple[int, int]]]
DETECTORS: Mapping[str, Detector] = {
    "secret": find_secrets,
    "card": find_cards,
    "iban": find_ibans,
    "email": find_emails,
    "ip": find_addresses,
    "phone": find_phones,
}
OTHER_DIGITS = re.compile("[\u0660-\u0669\u06f0-\u06f9\u0966-\u096f\uff10-\uff19]")
"""Arabic, Persian, Devanagari and full-width digits: one character each, as ASCII digits are."""
DIGIT = re.compile("[0-9]")
LABEL = re.compile("|".join(map(re.escape, LABELS.values())))
MOST_PASSES = 8
"""Times that a text is looked through; each pass but the last finds something new beside what was found."""

TOKEN = "[!-~\u00a1-\u024f\u0370-\u04ff]"
"""A character of a word in an alphabet with spaces, with what is written inside addresses and keys."""
CUT_END = re.compile(rf"{TOKEN}*+(?:\s++(?:[0-9().+/\-]++(?=\s|$)|{TOKEN}{{20,}}+))*+")
"""At the cut end of an excerpt: the word that may be cut, and numbers and long words that may belong to it."""


@dataclass(frozen=True, slots=True)
class Redactor:
    """Replaces what a choice asks for; call it with a text. It can be sent to other processes."""

    choice: RedactionChoice

    def __bool__(self) -> bool:
        """Return whether anything is replaced."""
        return bool(self.choice)

    def __call__(self, text: str) -> str:
        """Return the text with a label in place of each thing that is found."""
        return self.redact(text).text

    def check(self) -> "Redactor":
        """Return the redactor itself. Raises UsageError where it finds names and what that takes is not installed."""
        if PERSON in self.choice.kinds:
            names.open_engine(self.choice.model)
        return self

    def find(self, text: str) -> tuple[FoundSpan, ...]:
        """Return what is found in a text, in order; spans do not overlap."""
        found: tuple[FoundSpan, ...] = ()
        if not self.choice:
            return found
        masked = _to_ascii_digits(text)
        kinds = _list_kinds(self.choice.kinds, masked)
        for _ in range(MOST_PASSES if kinds else 0):
            new = [FoundSpan(*span, kind) for kind in kinds for span in DETECTORS[kind](masked)]
            if not new:
                break
            found = merge_found([*found, *new])
            masked = mask_spans(masked, merge_found(new))
        return merge_found([*found, *self._find_names(text)]) if PERSON in self.choice.kinds else found

    def _find_names(self, text: str) -> Iterator[FoundSpan]:
        """Yield names; labels that stand in the text already are none."""
        labels = [match.span() for match in LABEL.finditer(text)]
        for first, last in names.find_names(text, self.choice.model):
            if not any(begin < last and first < end for begin, end in labels):
                yield FoundSpan(first, last, PERSON)

    def redact(self, text: str) -> Redaction:
        """Return a text with what is found in it."""
        return Redaction(text, self.find(text))

    def redact_excerpt(self, text: str, cut_before: bool, cut_after: bool) -> Redaction:
        """Return an excerpt of a longer text with what is found in it.

        At an end that is cut, an ellipsis stands for the word there, with numbers and long words beside it: they may be
        a part of something that cannot be known for what it is. Without a kind to find nothing is replaced.
        """
        if not self.choice:
            return Redaction(text)
        edges = []
        if cut_before and (size := _measure_edge(text)):
            edges.append(FoundSpan(0, size, EDGE))
        if cut_after and (size := _measure_edge(text[::-1])):
            edges.append(FoundSpan(len(text) - size, len(text), EDGE))
        return Redaction(text, merge_found([*self.find(text), *edges]))

    def redact_values(self, value: Any) -> tuple[Any, Counter[str]]:
        """Return a value of JSON with its strings redacted, keys as they are, and the replacements by kind."""
        counts: Counter[str] = Counter()

        def change(one: Any) -> Any:
            if isinstance(one, str):
                found = self.redact(one)
                counts.update(found.counts())
                return found.text
            if isinstance(one, Mapping):
                return {key: change(inner) for key, inner in one.items()}
            if isinstance(one, (list, tuple)):
                return type(one)(map(change, one))
            return one

        return change(value), counts


NO_REDACTION = Redactor(RedactionChoice())
"""Changes nothing, and is false."""


def make_redactor(choice: str | Sequence[str] | bool | None) -> Redactor:
    """Return what replaces personal data and secrets as ``--redact`` asks (``kinds.parse_choice``).

    None makes a redactor that changes nothing, and is false. Raises UsageError for a word that ``--redact`` does not
    know, and where names are asked for and Presidio or its model is not installed.
    """
    return Redactor(parse_choice(choice)).check()


def count_kinds(texts: Iterable[str], redactor: Redactor) -> dict[str, int]:
    """Return how many things of each kind are found in some texts, in the order of ``KINDS``."""
    return count_spans(span for text in texts for span in redactor.find(text))


def _to_ascii_digits(text: str) -> str:
    """Return a text of the same length with the digits of other scripts as ASCII."""
    if text.isascii():
        return text
    return OTHER_DIGITS.sub(lambda match: str(int(match[0])), text)


def _list_kinds(kinds: Sequence[str], text: str) -> list[str]:
    """Return the kinds that patterns find and that may be in a text, by a character that each needs."""
    has_digits = DIGIT.search(text) is not None
    needs = {
        "email": "@" in text or "%40" in text or "\uff20" in text,
        "ip": has_digits and ("." in text or ":" in text),
        "phone": has_digits,
        "card": has_digits,
        "iban": has_digits,
    }
    return [kind for kind in KINDS if kind in kinds and kind in DETECTORS and needs.get(kind, True)]


def _measure_edge(text: str) -> int:
    """Return how many characters at the start of a text may belong to something that was cut there."""
    match = CUT_END.match(text)
    return match.end() if match is not None else 0
