"""The pages in docs/: their links lead somewhere, and their figures are those of the benchmarks."""

import re

import pytest
from helpers.paths import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))
LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")


def name_anchors(text: str) -> set[str]:
    """The anchors of a page as GitHub makes them from its headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_are_there(page):
    links = LINK.findall(page.read_text())
    for path, anchor in links:
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.is_file() and target.is_relative_to(ROOT), path
        assert not anchor or anchor in name_anchors(target.read_text()), path + anchor
    assert links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scripts_that_a_page_names_are_there(page):
    for script in re.findall(r"python ([\w/.]+\.py)", page.read_text()):
        assert (ROOT / script).is_file(), script


def test_the_figures_of_speed_are_those_of_the_benchmarks():
    page, measured = (ROOT / "docs/how-fast.md").read_text(), (ROOT / "benchmarks/README.md").read_text()
    tables = [line for line in page.splitlines() if line.startswith("| ")]
    figures = {figure for line in tables for figure in re.findall(r"\d+,\d{3}|\.\d{2} ×|\d\.\d{2} ×", line)}
    assert len(figures) > 15
    assert {figure for figure in figures if figure.lstrip("0") not in measured} == set()
