"""Credentials: every format has an example that is found, and no pattern can be slow."""

import re
from types import ModuleType

import pytest

from curate.runtime.redaction import (
    accounts,
    addresses,
    emails,
    make_redactor,
    phones,
    redactor,
    secret_formats,
)
from curate.runtime.redaction.secret_formats import FORMATS

REDACT = make_redactor("secret")
A, HEX, UP = "a1B2" * 64, "0a1b" * 32, "AB23" * 16
EXAMPLES = {
    "AWS access key": f"AKIA{UP[:16]}",
    "AWS secret key": f'aws_secret_access_key = "{A[:40]}"',
    "GitHub token": f"ghp_{A[:36]}",
    "GitHub fine-grained token": f"github_pat_{A[:22]}_{A[:59]}",
    "GitLab token": f"glpat-{A[:20]}",
    "Slack token": f"xoxb-123456789012-{A[:24]}",
    "Slack webhook": f"hooks.slack.com/services/T0001/B0001/{A[:24]}",
    "Google API key": f"AIza{A[:35]}",
    "Google OAuth secret": f"GOCSPX-{A[:28]}",
    "Google OAuth token": f"ya29.{A[:60]}",
    "Stripe key": f"sk_live_{A[:24]}",
    "OpenAI key": f"sk-proj-{A[:48]}",
    "Anthropic key": f"sk-ant-api03-{A[:93]}",
    "OpenRouter key": f"sk-or-v1-{HEX[:64]}",
    "Hugging Face token": f"hf_{A[:34]}",
    "Replicate token": f"r8_{A[:37]}",
    "Groq key": f"gsk_{A[:52]}",
    "npm token": f"npm_{A[:36]}",
    "PyPI token": f"pypi-AgEIcHlwaS5vcmc{A[:100]}",
    "RubyGems key": f"rubygems_{HEX[:48]}",
    "Docker Hub token": f"dckr_pat_{A[:27]}",
    "SendGrid key": f"SG.{A[:22]}.{A[:43]}",
    "Mailgun key": f"key-{HEX[:32]}",
    "Twilio key": f"SK{HEX[:32]}",
    "Telegram bot token": f"123456789:AA{A[:33]}",
    "DigitalOcean token": f"dop_v1_{HEX[:64]}",
    "Shopify token": f"shpat_{HEX[:32]}",
    "Databricks token": f"dapi{HEX[:32]}",
    "Azure storage key": f"AccountKey={A[:86]}==",
    "HashiCorp Vault token": f"hvs.{A[:90]}",
    "Grafana token": f"glsa_{A[:32]}_{HEX[:8]}",
    "New Relic key": f"NRAK-{UP[:27]}",
    "Linear key": f"lin_api_{A[:40]}",
    "Notion token": f"ntn_{A[:46]}",
    "Postman key": f"PMAK-{HEX[:24]}-{HEX[:34]}",
    "age identity": f"AGE-SECRET-KEY-1{UP[:58]}",
    "password in a URL": "mysql://root:hunter2@db/x",
}
KEY = "-----BEGIN {0}PRIVATE KEY-----\r\nMIIEvQIBADANBg/+=\r\nabc\r\n-----END {0}PRIVATE KEY-----"
REPEATED = [
    "a", "a@", "@a.", "a.", "1 ", "1", "4111", "0", "01 ", "eyJ", "eyJa.", "-----BEGIN PRIVATE KEY-----", "+1", "+49 ",
    "(", "(0", "http://a:", "://a:", "AKIA", "1.", "2a00:", "2a00::", " -", "\n", "sk-", "GB82 ", "xox", "tel 1 ", "٣",
    "aws_secret_access_key = ", "12:AA", "a@b.co ", "[", "é",
]  # fmt: skip


@pytest.mark.parametrize("format", FORMATS, ids=lambda one: one.owner)
def test_every_format_has_a_source_and_an_example_that_is_found(format):
    assert format.source.startswith("https://")
    example = EXAMPLES[format.owner]
    assert any(begin in example for begin in format.begins)
    for around in ("{}", "k={}\n", "请{}谢", '"{}",'):
        found = REDACT.find(around.format(example))
        assert len(found) == 1 and format.pattern.search(example)
        hidden = around.format(example)[found[0].start : found[0].end]
        assert hidden in example and example.endswith((hidden, hidden + "@db/x", hidden + '"'))


@pytest.mark.parametrize("name", ["", "RSA ", "OPENSSH ", "EC "])
def test_a_private_key_is_hidden_with_its_lines_and_what_stands_around_stays(name):
    key = KEY.format(name)
    assert REDACT(f"a\r\n{key}\r\nb {key} c") == "a\r\n[SECRET]\r\nb [SECRET] c"


def test_a_private_key_without_an_end_is_hidden_as_far_as_it_looks_like_one():
    key = KEY.format("").partition("-----END")[0]
    assert REDACT(f"a {key}«b") == "a [SECRET]«b"


def test_a_web_token_is_hidden_whole_and_its_beginning_alone_is_none():
    token = f"eyJhbGciOiJIUzI1NiJ9.eyJ{A * 40}.{A}-_"
    assert REDACT(f"Bearer {token}, x") == "Bearer [SECRET], x"
    assert REDACT("eyJhbGciOiJIUzI1NiJ9 x") == "eyJhbGciOiJIUzI1NiJ9 x"


def list_patterns(module: ModuleType) -> list[re.Pattern[str]]:
    found = []
    for value in vars(module).values():
        found += [one for one in (value if isinstance(value, tuple) else [value]) if isinstance(one, re.Pattern)]
    return found


def count_steps(parsed: object, names: object) -> int:
    """The most characters that one repeat within others may try, where it may give characters back."""
    most = 1
    for name, value in parsed:
        if name in (names.MAX_REPEAT, names.MIN_REPEAT):
            most = max(most, value[1] * count_steps(value[2], names))
        elif name is names.POSSESSIVE_REPEAT:
            most = max(most, count_steps(value[2], names))
        elif name is names.SUBPATTERN:
            most = max(most, count_steps(value[3], names))
        elif name is names.BRANCH:
            most = max([most, *(count_steps(one, names) for one in value[1])])
    return most


def test_every_repeat_of_every_pattern_is_bounded_or_gives_nothing_back():
    from re import _constants, _parser

    patterns = [format.pattern for format in FORMATS]
    for module in (accounts, addresses, emails, phones, redactor, secret_formats):
        patterns += list_patterns(module)
    assert len(patterns) > 50
    for pattern in patterns:
        steps = count_steps(_parser.parse(pattern.pattern, pattern.flags), _constants)
        assert steps <= secret_formats.MOST_KEY, pattern.pattern


@pytest.mark.parametrize("part", REPEATED)
def test_a_hostile_text_of_a_hundred_kilobytes_is_looked_through(part):
    text = (part * (100_000 // len(part) + 1))[:100_000]
    found = make_redactor("default").find(text)
    assert all(span.end <= 100_000 for span in found)
