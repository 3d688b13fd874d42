"""Pages in a real browser, what a hostile text tries in them, and a check that nothing of it can run."""

import os
import re
import shutil
import signal
import subprocess
from html.parser import HTMLParser

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--no-default-browser-check", "--disable-extensions", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--metrics-recording-only",
)  # fmt: skip
PATIENCE = 25  # seconds for a page
LINKS = ("src", "href", "srcset", "action", "data", "poster", "background", "xlink:href", "formaction", "ping")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH (apt-get install chromium)")


def hostile(port, name):
    """Everything that a document might try, with a beacon in each."""
    here = f"http://127.0.0.1:{port}/{name}"
    return (
        f"<script>document.title='owned';fetch('{here}-script')</script><img src=\"{here}-img\" "
        f"onerror=\"document.title='owned'\"></style></title></textarea><style>body{{background:url({here}-css)}}"
        f"</style><link rel=stylesheet href={here}-link><iframe src='{here}-frame'></iframe><svg onload="
        f"\"document.title='owned'\"><a href=\"javascript:document.title='owned'\">x</a><!-- --><base href='{here}/'>"
        f"\"' onmouseover=alert(1) ' {{{{ 7*7 }}}} {{% raw %}} {{# c #}} \u202egnp\u2066 \x1b[31m\x00\u2028 &lt;b&gt; "
        f"<meta http-equiv=refresh content='0;url={here}-meta'>]]>{name}-end"
    )


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.styles, self.texts, self._in = [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self._in = tag
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        (self.styles if self._in == "style" else self.texts).append(data)

    def handle_endtag(self, tag):
        self._in = ""


def assert_harmless(page):
    """No element that runs, no attribute that listens, no address but within the page."""
    elements = Elements(page)
    tags = {tag for tag, _ in elements.found}
    assert not tags & {
        "script",
        "iframe",
        "img",
        "link",
        "base",
        "object",
        "embed",
        "form",
        "image",
        "use",
        "foreignobject",
    }
    for _, attributes in elements.found:
        assert not [name for name in attributes if name.startswith("on")]
        for name in LINKS:
            assert attributes.get(name, "#") is None or attributes.get(name, "#").startswith("#")
        assert "url(" not in (attributes.get("style") or "")
    assert not re.search(r"url\(|@import", "".join(elements.styles))
    refresh = [
        one for tag, one in elements.found if tag == "meta" and (one.get("http-equiv") or "").lower() == "refresh"
    ]
    assert not refresh
    return elements


def open_page(page, profile):
    """The elements of a page after its scripts had two seconds; a browser that hangs is ended with all it started."""
    flags = [*FLAGS, f"--user-data-dir={profile}", "--virtual-time-budget=2000", "--dump-dom"]
    command = [CHROMIUM, *flags, page.absolute().as_uri()]
    browser = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        found, said = browser.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(browser.pid, signal.SIGKILL)
        _, said = browser.communicate()
        pytest.fail(f"{CHROMIUM} gave no page within {PATIENCE} seconds: {said[-2000:].decode('utf-8', 'replace')}")
    assert browser.returncode == 0, said[-2000:].decode("utf-8", "replace")
    return found.decode("utf-8", "replace")
