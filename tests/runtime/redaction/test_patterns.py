"""What patterns take for personal data, and what looks like it and is not."""

import pytest

from curate.runtime.redaction import make_redactor

REDACT = make_redactor("default")

FOUND = {
    "email": [
        "jane.doe@corp.com", "j+tag@mail.corp.co.uk", "müller@exämple.de", "иван@почта.рф", "jane%40corp.com",
        "jane＠corp.com", "a@xn--bcher-kva.xn--p1ai",
    ],
    "phone": [
        "+49 30 1234567", "+1 (212) 555-0123", "+44 (0)20 7946 0018", "0044 20 7946 0018", "(212) 555-0123",
        "212-555-0123", "1-800-555-0199", "212.555.0123", "030 1234567", "(030) 123456", "020 7946 0018",
        "01 23 45 67 89", "01.23.45.67.89", "090-1234-5678", "(11) 91234-5678", "+393401234567", "+86 138 1234 5678",
        "+٩٦٦ ٥٠ ١٢٣ ٤٥٦٧", "+1\u00a0212\u00a0555\u00a00123", "001 212 555 0123", "+420 777 123 456",
    ],
    "ip": ["81.2.69.142", "5.9.120.4", "2a00:1450:4001:81b::200e", "2001:4860:4860:0:0:0:0:8888"],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "NO9386011117947", "FR1420041010050500013M02606"],
    "card": [
        "4111 1111 1111 1111", "4111111111111111", "5500-0000-0000-0004", "3782 822463 10005", "378282246310005",
        "6011000990139424", "3530111333300000", "30569309025904",
    ],
}  # fmt: skip
AROUND = [
    "{}", "x {} y", "({}).", "请联系{}谢谢", "👩‍👩‍👧{}👍🏽", "السلام {}،", "e\u0301 {} e\u0301", "a\r\n{}\r\nb",
    "<b>{}</b>", '"{}",', "={};",
]  # fmt: skip
CALLED = ["Tel.: {}", "phone {}", "Fax no. {}", "电话：{}", "тел. {}", "هاتف: {}", "call {}"]
LEFT = [
    "2003-05-06", "01/02/2003", "09-10-2003", "01 02 2003", "12:30:45", "2019-2020", "1998 2003",
    "ISBN 978-0-306-40615-7", "0-306-40615-2", "ISSN 0317-8471", "doi:10.1017/S0022112086001234",
    "v10.20.30.40", "version 10.20.30.140", "5.10.81.1", "1.2.3.4", "1.2.3.4.5.6", "300.1.1.1",
    "10.0.0.1", "172.16.5.4", "192.168.1.200", "127.0.0.1", "169.254.1.200", "224.0.0.251", "0.0.0.0",
    "192.0.2.44", "198.51.100.7", "203.0.113.7", "2001:db8::1", "fe80::1", "::1", "fd00::12:3456",
    "+30 000 000 euros", "1 000 000 000", "$1,234,567.89", "3.14159265358979", "1234567890123456", "0.4111111111111111",
    "02139-4307", "01110 11001", "10(30) + 30(14) 300(10)", "00 01  03 00 00 80 02",
    "00 01 02 03 04 10 11 12", "call 1998 2003", "4111 1111 1111 1112", "DE88 3704 0044 0532 0130 00",
    "icon@2x.png", "git@github.com:owner/name.git", "@app.route", "user@localhost", "a @ b.com", "face::book",
    "https://host:8080/path", "http://a.b/c:d@e", "AKIA", "sk-learn", "hf_hub_download", "key-value", "eyJhbGciOi",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "secret"), [(kind, one) for kind, all in FOUND.items() for one in all])
def test_what_is_personal_is_replaced_whatever_stands_around_it_and_all_else_stays(kind, secret):
    for around in AROUND:
        assert REDACT(around.format(secret)) == around.format(f"[{kind.upper()}]"), around


@pytest.mark.parametrize("before", CALLED)
def test_a_number_after_a_word_for_a_phone_is_one(before):
    for number in ("555-0123", "98765 43210", "5550123", "13812345678"):
        assert REDACT(before.format(number)) == before.format("[PHONE]")


@pytest.mark.parametrize("text", LEFT)
def test_what_only_looks_like_it_stays(text):
    for around in ("{}", "x {} y", "({})."):
        assert REDACT(around.format(text)) == around.format(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4111 1111 1111 1111 12/27 123", "[CARD] 12/27 123"),
        ("+1-212-555-0123 45 people", "[PHONE] 45 people"),
        ("jane@corp.com, joe@corp.com", "[EMAIL], [EMAIL]"),
        ("mailto:jane@corp.com?subject=x", "mailto:[EMAIL]?subject=x"),
        ("@jane@social.host.org", "@[EMAIL]"),
        ("81.2.69.142:8080 81.2.69.0/24", "[IP]:8080 [IP]/24"),
        ("[2a00:1450::1]:443", "[[IP]]:443"),
        ("2a00:1450::1, 2a00:1450::2.", "[IP], [IP]."),
        ("https://jane:pa55w0rd@db/x", "https://[SECRET]@db/x"),
        ("postgres://u:p@10.0.0.1/db", "postgres://[SECRET]@10.0.0.1/db"),
        ("https://jane:jane@corp.com/", "https://[SECRET]/"),
        ("IBAN: GB82 WEST 1234 5698 7654 32 BIC", "IBAN: [IBAN] BIC"),
    ],
)
def test_a_match_ends_where_what_it_is_ends(text, expected):
    assert REDACT(text) == expected


def test_a_kind_that_is_not_asked_for_stays():
    text = "jane@corp.com 81.2.69.142 +49 30 1234567"
    assert make_redactor("email,ip")(text) == "[EMAIL] [IP] +49 30 1234567"
    assert make_redactor(["phone"])(text) == "jane@corp.com 81.2.69.142 [PHONE]"
    assert make_redactor(None)(text) == make_redactor("none")(text) == text
