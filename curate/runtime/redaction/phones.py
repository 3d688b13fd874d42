"""Phone numbers: international ones (E.164), national ones in forms that little else has, and any after ``Tel.``.

    international      +49 30 123456, +1 (212) 555-0123, 0044 20 7946 0018
    North America      (212) 555-0123, 212-555-0123, 1.212.555.0123
    with a trunk 0     030 1234567, (030) 123456, 020 7946 0018, 01 23 45 67 89, 090-1234-5678
    Brazil             (11) 91234-5678
    after a word       Tel.: 98765 43210, phone 5550123

Not taken: dates, ISBN, versions, plain long numbers, numbers in groups of three.
"""

import re
from collections.abc import Iterator

from curate.runtime.redaction.accounts import SPACES

DASHES = "\\-\u2010-\u2014"
JOIN = f"[{SPACES}{DASHES}./()]{{0,3}}"
"""Between two digits of an international number."""
LONE = "(?<![0-9A-Za-z_+"
"""Begins a lookbehind: no letter and no digit joins the first character."""
COUNTRY_CODES = (
    "7|20|27|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    "|21[1-368]|22[0-9]|23[0-9]|24[0-9]|25[0-8]|26[0-9]|29[01789]"
    "|35[0-9]|37[0-8]|38[0-35-79]|42[013]|50[0-9]|59[0-9]|67[02-9]|68[0-35-9]|69[0-2]"
    "|80[08]|85[02356]|870|88[0-368]|96[0-8]|97[0-79]|99[2-68]"
)
"""Country calling codes that are assigned (ITU-T E.164), without 1."""
NORTH_AMERICAN = (
    re.compile(rf"\+1{JOIN}[2-9][0-9]{{2}}{JOIN}[2-9][0-9]{{2}}{JOIN}[0-9]{{4}}(?![0-9])"),
    re.compile(rf"001(?<![0-9A-Za-z_]001){JOIN}[2-9][0-9]{{2}}{JOIN}[2-9][0-9]{{2}}{JOIN}[0-9]{{4}}(?![0-9])"),
    re.compile(
        rf"\({LONE}.]\()[2-9][0-9]{{2}}\)[{SPACES}{DASHES}]?[2-9][0-9]{{2}}[{SPACES}{DASHES}.][0-9]{{4}}(?![0-9])"
    ),
    re.compile(
        rf"[2-9](?<![0-9A-Za-z_+/][2-9])[0-9]{{2}}([{DASHES}.])[2-9][0-9]{{2}}\1[0-9]{{4}}"
        rf"(?![0-9A-Za-z_]|[{DASHES}./][0-9])"
    ),
)
LONG_DISTANCE = re.compile(rf"(?:^|[^0-9A-Za-z_.\-/])(1[{DASHES}.{SPACES}])$")
"""What may stand before a North American number; any other digit with a dash makes it a part of something else."""
JOINED = re.compile(rf"[0-9][{DASHES}.]$")
INTERNATIONAL = re.compile(
    rf"(?:\+{LONE}]\+)|00{LONE}.,\-/]00)(?=[0-9]{{1,3}}[{SPACES}{DASHES}./(]))"
    rf"[(]?(?:{COUNTRY_CODES})(?:{JOIN}[0-9]){{6,13}}(?![0-9])"
)
TRUNK = re.compile(
    rf"0{LONE}.,:\-/]0)(?<![0-9][{SPACES}]0)(?<![0-9][{SPACES}][{SPACES}]0)[1-9][0-9]{{0,4}}[{SPACES}{DASHES}/][0-9]{{2,9}}(?:([{SPACES}{DASHES}])[0-9]{{2,6}}(?:\1[0-9]{{2,6}}){{0,2}})?"
    rf"(?![0-9A-Za-z_]|[{DASHES}./:,][0-9])"
    rf"|0{LONE}.,:\-/]0)[1-9](?:\.[0-9]{{2}}){{4}}(?![0-9A-Za-z_]|\.[0-9])"
    rf"|\({LONE}]\()0[0-9]{{1,5}}\)[{SPACES}{DASHES}/]?[0-9]{{2,9}}(?:[{SPACES}{DASHES}][0-9]{{2,6}}){{0,3}}(?![0-9])"
    rf"|\({LONE}]\()[1-9][0-9]\)[{SPACES}]?9?[0-9]{{4}}[{DASHES}][0-9]{{4}}(?![0-9])"
)
NUMBER = re.compile(rf"[0-9(]{LONE}.,][0-9(])(?:[{SPACES}{DASHES}./()]{{0,2}}[0-9]){{6,14}}(?![0-9A-Za-z_])")
CALLED = (
    "tel", "telephone", "telefone", "telefono", "telefon", "telefax", "phone", "fax", "mobile", "mobil", "cell",
    "whatsapp", "hotline", "call", "handy", "t\u00e9l", "t\u00e9l\u00e9phone", "tel\u00e9fono", "m\u00f3vil", "celular",
    "\u0442\u0435\u043b", "\u0442\u0435\u043b\u0435\u0444\u043e\u043d", "\u7535\u8bdd", "\u96fb\u8a71", "\u624b\u673a",
    "\u624b\u6a5f", "\u0647\u0627\u062a\u0641", "\u062c\u0648\u0627\u0644",
)  # fmt: skip
"""Words before a number that is one to call, in small letters."""
COUNTED = ("no", "nr", "num", "number")
"""What may stand between such a word and the number."""
BETWEEN = " \t\n\r.:#=\uff1a"
LOOK_BACK = 32
YEAR = re.compile(r"(?:19|20)[0-9]{2}$")
LEAST_DIGITS, MOST_DIGITS = 9, 11
"""Of a national number with its trunk 0."""


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """Yield the characters [start, end) of phone numbers; ``text`` has ASCII digits alone."""
    for pattern in NORTH_AMERICAN:
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - 3) : match.start()]
            ahead = LONG_DISTANCE.search(before)
            if ahead is not None:
                yield match.start() - len(ahead[1]), match.end()
            elif not JOINED.search(before):
                yield match.span()
    for match in INTERNATIONAL.finditer(text):
        if _is_international(match[0]):
            yield match.span()
    for match in TRUNK.finditer(text):
        if _is_national(match[0]):
            yield match.span()
    for match in NUMBER.finditer(text):
        if _is_called(text, match.start()) and not all(YEAR.match(group) for group in re.findall("[0-9]+", match[0])):
            yield match.span()


def _is_called(text: str, start: int) -> bool:
    """Return whether a word before a position says that a number to call follows."""
    before = text[max(0, start - LOOK_BACK) : start].rstrip(BETWEEN).lower()
    for word in COUNTED:
        if before.endswith((" " + word, "." + word)):
            before = before[: -len(word)].rstrip(BETWEEN)
    called = next((word for word in CALLED if before.endswith(word)), None)
    joined = before[: -len(called)][-1:] if called is not None else ""
    return called is not None and not (joined.isascii() and joined.isalpha() and called.isascii())


def _count_digits(spelled: str) -> int:
    return sum(map(str.isdigit, spelled))


def _is_international(spelled: str) -> bool:
    """Return whether the number behind the country code begins as one, and has no more digits than E.164 allows."""
    digits = "".join(filter(str.isdigit, spelled.replace("(0)", "")))
    digits = digits[2:] if spelled.startswith("00") else digits
    code = re.match(COUNTRY_CODES, digits)
    national = digits[code.end() :] if code is not None else ""
    begins = national[:1] in tuple("123456789") or (code is not None and code[0] == "39")
    return begins and 8 <= len(digits) <= 15 and len(national) >= 5


def _is_national(spelled: str) -> bool:
    """Return whether a number with a trunk 0 has its digits, and is neither a date nor a ZIP+4 code."""
    groups = re.findall("[0-9]+", spelled)
    if [len(group) for group in groups] == [5, 4] and "(" not in spelled:
        return False  # 02139-4307
    if [len(group) for group in groups[:3]] == [2, 2, 4] and YEAR.match(groups[2]):
        return False  # 01 02 2003
    if set("".join(groups)) <= {"0", "1"}:
        return False  # 01110 11001
    most = MOST_DIGITS + 1 if "(" in spelled else MOST_DIGITS
    return LEAST_DIGITS - ("(" in spelled) <= _count_digits(spelled) <= most
