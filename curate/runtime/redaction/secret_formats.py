"""Credentials that are known by how they begin, private keys, and passwords in URLs.

Each format names its source: what the vendor writes of it or, where the vendor is silent, the scanner that knows it.
The patterns are ours. A credential has no check digit here: what looks like one is taken for one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MOST = 512
"""Characters of a credential behind its beginning; what is longer is none of these."""
LONE = "(?<![0-9A-Za-z])"
"""A letter or a digit before the beginning makes it a part of another word."""
GITLEAKS = "https://github.com/gitleaks/gitleaks/blob/master/config/gitleaks.toml"


@dataclass(frozen=True, slots=True)
class SecretFormat:
    """One kind of credential."""

    owner: str
    begins: tuple[str, ...]
    """Texts of which one is in every credential of the format: what is looked for first."""
    pattern: re.Pattern[str] = field(repr=False)
    """Its group, where it has one, is the credential, else all of it is."""
    source: str


def _define(owner: str, begins: str, pattern: str, source: str) -> SecretFormat:
    return SecretFormat(owner, tuple(begins.split()), re.compile(LONE + pattern), source)


WORD = f"[A-Za-z0-9]{{20,{MOST}}}"
URL_WORD = f"[A-Za-z0-9_\\-]{{20,{MOST}}}"

FORMATS = (
    _define(
        "AWS access key", "AKIA ASIA ABIA ACCA", "(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?![A-Za-z0-9])",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html",
    ),
    _define(
        "AWS secret key", "aws_ AWS_ SecretAccessKey secretAccessKey",
        "(?:aws_secret_access_key|AWS_SECRET_ACCESS_KEY|[sS]ecretAccessKey)[\"']?\\s{0,4}(?:=>|[=:])\\s{0,4}[\"']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])",
        "https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html",
    ),
    _define(
        "GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", f"gh[pousr]_[A-Za-z0-9]{{36,{MOST}}}",
        "https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github",
    ),
    _define(
        "GitHub fine-grained token", "github_pat_", f"github_pat_[A-Za-z0-9_]{{22,{MOST}}}",
        "https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github",
    ),
    _define(
        "GitLab token", "glpat- gldt- glrt- glcbt- glptt- glft- glsoat- glagent- gloas-",
        f"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas)-{URL_WORD}",
        "https://docs.gitlab.com/security/tokens/#token-prefixes",
    ),
    _define(
        "Slack token", "xox xapp-", f"(?:xox[abeoprs]|xapp)-[A-Za-z0-9\\-.]{{10,{MOST}}}",
        "https://docs.slack.dev/authentication/tokens",
    ),
    _define(
        "Slack webhook", "hooks.slack.com/",
        f"hooks\\.slack\\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{{20,{MOST}}}",
        "https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
    ),
    _define("Google API key", "AIza", "AIza[A-Za-z0-9_\\-]{35}(?![A-Za-z0-9_\\-])", GITLEAKS),
    _define("Google OAuth secret", "GOCSPX-", f"GOCSPX-{URL_WORD}", GITLEAKS),
    _define("Google OAuth token", "ya29.", f"ya29\\.[A-Za-z0-9_\\-.]{{20,{MOST}}}", GITLEAKS),
    _define(
        "Stripe key", "sk_live_ sk_test_ rk_live_ rk_test_ whsec_",
        f"(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9]{{16,{MOST}}}", "https://docs.stripe.com/keys",
    ),
    _define(
        "OpenAI key", "sk-proj- sk-svcacct- sk-admin- T3BlbkFJ",
        f"sk-(?:(?:proj|svcacct|admin)-{URL_WORD}|[A-Za-z0-9]{{20}}T3BlbkFJ[A-Za-z0-9]{{20}})", GITLEAKS,
    ),
    _define("Anthropic key", "sk-ant-", f"sk-ant-{URL_WORD}", GITLEAKS),
    _define("OpenRouter key", "sk-or-", f"sk-or-{URL_WORD}", "https://openrouter.ai/docs/api-reference/authentication"),
    _define("Hugging Face token", "hf_ api_org_", f"(?:hf|api_org)_[A-Za-z0-9]{{34,{MOST}}}",
            "https://huggingface.co/docs/hub/security-tokens"),
    _define("Replicate token", "r8_", "r8_[A-Za-z0-9]{37}(?![A-Za-z0-9])",
            "https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns"),
    _define("Groq key", "gsk_", "gsk_[A-Za-z0-9]{52}(?![A-Za-z0-9])",
            "https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns"),
    _define("npm token", "npm_", "npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])",
            "https://github.blog/changelog/2021-09-23-npm-has-a-new-access-token-format/"),
    _define("PyPI token", "pypi-", f"pypi-AgE[A-Za-z0-9_\\-]{{50,{MOST}}}", "https://pypi.org/help/#apitoken"),
    _define("RubyGems key", "rubygems_", "rubygems_[a-f0-9]{48}(?![a-f0-9])", GITLEAKS),
    _define("Docker Hub token", "dckr_pat_ dckr_oat_", f"dckr_[po]at_{URL_WORD}",
            "https://docs.docker.com/security/access-tokens/"),
    _define("SendGrid key", "SG.", f"SG\\.[A-Za-z0-9_\\-]{{16,{MOST}}}\\.[A-Za-z0-9_\\-]{{16,{MOST}}}", GITLEAKS),
    _define("Mailgun key", "key- pubkey-", "(?:pub)?key-[a-f0-9]{32}(?![a-f0-9])", GITLEAKS),
    _define("Twilio key", "SK", "SK[a-f0-9]{32}(?![A-Za-z0-9])", "https://www.twilio.com/docs/glossary/what-is-a-sid"),
    _define("Telegram bot token", ":AA", "[0-9]{8,10}:AA[A-Za-z0-9_\\-]{33}(?![A-Za-z0-9_\\-])",
            "https://core.telegram.org/bots/api#authorizing-your-bot"),
    _define("DigitalOcean token", "dop_v1_ doo_v1_ dor_v1_", "do[opr]_v1_[a-f0-9]{64}",
            "https://docs.digitalocean.com/reference/api/create-personal-access-token/"),
    _define("Shopify token", "shpat_ shpca_ shppa_ shpss_", "shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
            "https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens"),
    _define("Databricks token", "dapi", "dapi[a-f0-9]{32}(?:-[0-9])?(?![A-Za-z0-9])", GITLEAKS),
    _define("Azure storage key", "AccountKey=", "AccountKey=([A-Za-z0-9+/]{86}==)",
            "https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string"),
    _define("HashiCorp Vault token", "hvs. hvb. hvr.", f"hv[sbr]\\.{URL_WORD}",
            "https://developer.hashicorp.com/vault/docs/concepts/tokens"),
    _define("Grafana token", "glsa_ glc_", f"(?:glsa|glc)_[A-Za-z0-9+/_]{{32,{MOST}}}={{0,3}}", GITLEAKS),
    _define("New Relic key", "NRAK- NRII- NRJS-", "NR(?:AK|II|JS)-[A-Za-z0-9_\\-]{19,40}", GITLEAKS),
    _define("Linear key", "lin_api_ lin_oauth_", f"lin_(?:api|oauth)_{WORD}", GITLEAKS),
    _define("Notion token", "ntn_", f"ntn_{WORD}", GITLEAKS),
    _define("Postman key", "PMAK-", "PMAK-[a-f0-9]{24}-[a-f0-9]{34}", GITLEAKS),
    _define("age identity", "AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1[A-Z0-9]{58}", "https://github.com/C2SP/C2SP/blob/main/age.md"),
    SecretFormat(
        "password in a URL", ("://",),
        re.compile("://([^\\s/:@?#\"'<>\\[\\]]{0,128}:[^\\s/@\"'<>\\[\\]]{1,256})@(?=[A-Za-z0-9\\[])"),
        "https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1",
    ),
)  # fmt: skip
"""All formats but those that code reads: JSON web tokens and private keys."""

JWT = re.compile(r"(?<![A-Za-z0-9_\-.])eyJ[A-Za-z0-9_\-]++\.eyJ[A-Za-z0-9_\-]++\.[A-Za-z0-9_\-]*+")
"""Three parts in base64url, of which two are JSON objects (RFC 7519); each is read once, whatever its length."""
KEY_BEGINS = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
KEY_ENDS = re.compile(r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
"""RFC 7468 and RFC 4880's armour."""
MOST_KEY = 20_000
"""Characters of a key whose end is missing that are taken, as far as they look like one."""
KEY_BODY = re.compile(rf"(?:[A-Za-z0-9+/=:,.\-\s\\]){{0,{MOST_KEY}}}")


def find_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Yield the characters [start, end) of credentials."""
    for format in FORMATS:
        if any(begin in text for begin in format.begins):
            for match in format.pattern.finditer(text):
                yield match.span(format.pattern.groups)
    if "eyJ" in text:
        for match in JWT.finditer(text):
            yield match.span()
    if "PRIVATE KEY" in text:
        yield from _find_keys(text)


def _find_keys(text: str) -> Iterator[tuple[int, int]]:
    """Yield private keys with their first and last lines; where either is missing, what looks like a key beside it."""
    ends = [match.span() for match in KEY_ENDS.finditer(text)]
    done, number = 0, 0
    for begin in KEY_BEGINS.finditer(text):
        if begin.start() < done:
            continue
        while number < len(ends) and ends[number][0] < begin.end():
            number += 1
        if number < len(ends) and ends[number][1] - begin.start() <= MOST_KEY:
            done = ends[number][1]
        else:
            body = KEY_BODY.match(text, begin.end())
            done = body.end() if body is not None else begin.end()
        yield begin.start(), done
