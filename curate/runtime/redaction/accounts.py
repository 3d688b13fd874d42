"""Numbers of bank accounts and payment cards, with their check digits.

IBAN: ISO 13616, lengths by country from the registry of SWIFT, check digits modulo 97 (ISO 7064).
Cards: issuer ranges of ISO/IEC 7812 in the lengths that are issued, check digit of Luhn.
"""

import re
from collections.abc import Iterator

SPACES = " \u00a0\u2009\u202f"
"""What stands between groups of digits: spaces, also those that do not break."""
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip
"""Characters of an IBAN by country."""
IBAN = re.compile(rf"[A-Z](?<![0-9A-Za-z_][A-Z])[A-Z][0-9]{{2}}(?:[{SPACES}\-]?[0-9A-Z]){{11,30}}")
CARD = re.compile(
    rf"[2-6](?<![0-9A-Za-z_.][2-6])(?<![0-9][,\-/][2-6])(?:"
    rf"[0-9]{{3}}([{SPACES}\-])[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{4}}(?:\1[0-9]{{3}}(?![0-9]))?"
    rf"|[0-9]{{3}}([{SPACES}\-])[0-9]{{6}}\2[0-9]{{4,5}}"
    rf"|[0-9]{{12,18}})(?![0-9A-Za-z_]|[.,\-/][0-9])"
)
ISSUERS = (
    ((4,), (13, 16, 19)),
    (tuple(range(51, 56)), (16,)),
    (tuple(range(2221, 2721)), (16,)),
    ((34, 37), (15,)),
    ((*range(300, 306), 309, 36, 38, 39), (14, 16, 19)),
    ((6011, *range(644, 650), 65), (16, 19)),
    (tuple(range(3528, 3590)), (16, 17, 18, 19)),
    ((62, 81), (16, 17, 18, 19)),
    ((50, *range(56, 59), 6304, 6759, *range(6761, 6764)), (16,)),
)
"""Beginnings and lengths: Visa, Mastercard (two), American Express, Diners, Discover, JCB, UnionPay, Maestro."""


def find_ibans(text: str) -> Iterator[tuple[int, int]]:
    """Yield the characters [start, end) of IBANs whose check digits are right."""
    for match in IBAN.finditer(text):
        length = IBAN_LENGTHS.get(match[0][:2], 0)
        positions = [index for index, char in enumerate(match[0]) if char.isalnum()][:length]
        if not length or len(positions) < length:
            continue
        compact, end = "".join(match[0][index] for index in positions), match.start() + positions[-1] + 1
        joined = text[end : end + 1]
        if is_iban(compact) and not (joined.isascii() and (joined.isalnum() or joined == "_")):
            yield match.start(), end


def is_iban(compact: str) -> bool:
    """Return whether the check digits of an IBAN without spaces are right."""
    digits = "".join(str(int(char, 36)) for char in compact[4:] + compact[:4])
    return int(digits) % 97 == 1


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """Yield the characters [start, end) of card numbers whose check digit is right."""
    for match in CARD.finditer(text):
        digits = "".join(char for char in match[0] if char.isdigit())
        if is_issued(digits) and passes_luhn(digits) and len(set(digits)) > 1:
            yield match.span()


def is_issued(digits: str) -> bool:
    """Return whether cards of this beginning and length are issued."""
    return any(
        len(digits) in lengths and digits.startswith(tuple(map(str, beginnings))) for beginnings, lengths in ISSUERS
    )


def passes_luhn(digits: str) -> bool:
    """Return whether the last digit is the check digit of Luhn (ISO/IEC 7812-1, annex B)."""
    doubled = [int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
