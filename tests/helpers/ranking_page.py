"""The page of a ranking, parsed: its elements and the rows of its tables."""

from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "input", "line", "path"}
OPTIONAL = {"td", "th", "li", "dt", "dd"}  # whose end tags HTML lets be left out


class Tree(HTMLParser):
    """Checks that what is opened is closed, and keeps elements, the text of all, and the rows of tables."""

    def __init__(self, page):
        super().__init__()
        self.open, self.found, self.rows, self.styles, self.texts = [], [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in OPTIONAL:
            self._leave()
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in OPTIONAL:
            self._leave()
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        (self.styles if self.open[-1:] == ["style"] else self.texts).append(data)
        if "table" in self.open and self.rows and self.rows[-1] and "title" not in self.open:
            self.rows[-1][-1] += data

    def _leave(self):
        if self.open and self.open[-1] in OPTIONAL:
            self.open.pop()


def places_of(page):
    """The rows of the first table, by the name in them."""
    part = page[page.index('<tbody role="rowgroup">') : page.index("</tbody>")]
    rows = Tree(part.replace("<tbody", "<table", 1) + "</table>").rows
    return {row[1].strip(): row for row in rows}
