"""The result of ``decontaminate`` as lines for a terminal or a log file."""

from collections.abc import Sequence

from curate.runtime.console import WIDTH, format_clock, format_size
from curate.runtime.numbers import format_share, format_whole_percent
from curate.runtime.text import (
    LABEL,
    command,
    count_columns,
    count_fitting,
    escape_unprintable,
    fold_whitespace,
    quote_word,
    shorten,
    wrap_parts,
)
from curate.stages.decontaminate.report.highlights import Span, split_marked
from curate.stages.decontaminate.report.redacted import is_cut_after, is_cut_before, list_marks
from curate.stages.decontaminate.report.wording import (
    Hit,
    describe_excess,
    describe_languages,
    describe_method,
    list_funnel,
    list_rules,
    name_item,
    name_place,
)
from curate.stages.decontaminate.summary import BLIND, DecontaminationSummary, EvalSetReport

NAMED = 3
"""Unmatchable items of a set that are named."""
LEAD = 40
"""Columns before the first marked word."""
BREAK = 20
"""Characters of the longest word that is not broken at the end of a line."""
SHOWN = 2 * (WIDTH - LABEL) - BREAK
"""Columns of a text: two lines."""


def render_result(summary: DecontaminationSummary) -> str:
    """Return the result in lines of at most 100 columns (a path may make one longer), without colour."""
    blocks = [
        [*_render_scan(summary), *_render_funnel(summary)],
        _render_sets(summary.sets, list_rules(summary)),
        _render_canaries(summary),
        _render_hits("strongest hits", summary.strongest),
        _render_hits("weakest hits", summary.weakest),
        _render_end(summary),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _render_scan(summary: DecontaminationSummary) -> list[str]:
    octets, seconds = summary.counts["bytes"], summary.seconds
    parts = [f"{summary.counts['scanned']:,} documents", f"{format_size(octets)} of text"]
    parts += [f"{format_size(octets / seconds)}/s", format_clock(seconds)] if seconds else []
    languages = {*summary.languages} - {"en"}
    judged = wrap_parts("word tables", describe_languages(summary).split()) if languages else []
    return [*wrap_parts("looked through", [*parts, describe_method(summary)], "   "), *judged]


def _render_funnel(summary: DecontaminationSummary) -> list[str]:
    read = summary.counts["read"]
    rows = [("read", read, ""), *(("  " + name, number, note) for name, number, note in list_funnel(summary))]
    return [f"{name:<{LABEL}}{many:>11,}  {format_share(many, read):>7}   {note}".rstrip() for name, many, note in rows]


def _render_sets(sets: Sequence[EvalSetReport], shown: Sequence[str]) -> list[str]:
    names = ("items", "unmatchable", "items hit", "documents", "variants", "review", *shown)
    widths = [6, 12, 10, 10, 9, 7, *(len(rule) + 1 for rule in shown)]
    wide = WIDTH - sum(widths)
    lines = [f"{'eval set':<{wide}}" + "".join(f"{name:>{each}}" for name, each in zip(names, widths, strict=True))]
    for one in sets:
        name = shorten(fold_whitespace(one.name), wide - 1)
        rules = (one.rules.get(rule, 0) for rule in shown)
        numbers = [one.items, len(one.unmatchable), one.items_hit, one.documents, one.variants, one.review, *rules]
        row = "".join(f"{number:>{each},}" for number, each in zip(numbers, widths, strict=True))
        lines.append(name + " " * (wide - count_columns(name)) + row)
    return [*lines, *(line for one in sets if one.unmatchable for line in _render_unmatchable(one))]


def _render_unmatchable(one: EvalSetReport) -> list[str]:
    more = len(one.unmatchable) - NAMED
    ids = ", ".join(shorten(fold_whitespace(name), LEAD) for name in one.unmatchable[:NAMED])
    text = f"too short or too common to be searched for, in {shorten(fold_whitespace(one.name), LEAD)}: {ids}"
    return wrap_parts("unmatchable", (text + (f" and {more:,} more" if more > 0 else "")).split())


def _render_canaries(summary: DecontaminationSummary) -> list[str]:
    planted = sum(one.planted for one in summary.recall)
    what = f"found of eval items planted in {planted:,} copies of your documents, as they are and edited;"
    recall = [f"{one.kind} {one.found:,}/{one.planted:,}" for one in summary.recall]
    notes = [line for note in summary.notes for line in wrap_parts("note", fold_whitespace(note).split())]
    return [
        *wrap_parts("canaries", recall, "   "),
        *wrap_parts("", what.split()),
        *wrap_parts("", BLIND.split()),
        *notes,
    ]


def _render_hits(label: str, hits: Sequence[Hit]) -> list[str]:
    lines = [label] if hits else []
    for hit in hits:
        figures = [
            fold_whitespace(hit["rule"]),
            f"coverage {format_whole_percent(hit['coverage'])}",
            f"{hit['bits']:,.0f} bits",
        ]
        names = [
            shorten(fold_whitespace(name), WIDTH - LABEL) for name in (name_item(hit), name_place(hit), hit["id"] or "")
        ]
        parts = [names[0], *figures, *(name for name in names[1:] if name)]
        lines += wrap_parts("", parts, "   ", 2)
        in_document, in_item = list_marks(hit)
        before, text = len(hit["before"]), hit["before"] + hit["matched_text"] + hit["after"]
        moved = [(first + before, last + before) for first, last in in_document]
        excerpt = make_excerpt(text, moved, is_cut_before(hit), not is_cut_after(hit))
        lines += _render_text("    document", excerpt)
        lines += _render_text("    eval item", make_excerpt(hit["eval_text"], in_item, False, True))
    return lines


def make_excerpt(text: str, spans: Sequence[Span], begun: bool, ended: bool) -> str:
    """Return SHOWN columns of a text from shortly before its first marked word, the marked words in ⟦ ⟧.

    ``begun`` says that more text comes before, ``ended`` that none follows.
    """
    first = spans[0][0] if spans else 0
    lead, rest = fold_whitespace(text[:first]), split_marked(text, spans, first, len(text))
    if count_columns(lead) > LEAD:
        kept = lead[-count_fitting(lead[::-1], LEAD) :]
        lead, begun = kept.partition(" ")[2] or kept, True
    marked = "".join(
        f"⟦{fold_whitespace(piece.text)}⟧" if piece.kind == "mark" else fold_whitespace(piece.text) for piece in rest
    )
    complete = f"{'… ' * begun}{lead}{marked}{' …' * (not ended)}".strip()
    shown = shorten(complete, SHOWN)
    return shown + "⟧" * (shown != complete and shown.rfind("⟦") > shown.rfind("⟧"))


def _render_text(label: str, text: str) -> list[str]:
    """Return lines of a text after a label, broken between words, and within words of more than BREAK characters."""
    lines = []
    while count_fitting(text, WIDTH - LABEL) < len(text):
        most = count_fitting(text, WIDTH - LABEL)
        end = text.rfind(" ", most - BREAK, most + 1)
        end = end if end > 0 else most
        lines.append(text[:end])
        text = text[end:].lstrip()
    return [f"{label if index == 0 else '':<{LABEL}}{line}" for index, line in enumerate([*lines, text])]


def _render_end(summary: DecontaminationSummary) -> list[str]:
    """Return the verdict, a question where very many documents are contaminated, and the next commands."""
    lines = _render_verdict(summary) if summary.verified or not summary.counts["contaminated"] else []
    question = describe_excess(summary)
    lines += wrap_parts("question", question.split()) if question else []
    return lines if summary.verified else [*lines, *_render_next(summary)]


def _render_verdict(summary: DecontaminationSummary) -> list[str]:
    counts, where = summary.counts, fold_whitespace(summary.corpus)
    sought = sum(one.items - len(one.unmatchable) for one in summary.sets)
    text = f"clean: none of {counts['scanned']:,} documents of {where} contains any of {sought:,} eval items"
    text += f"; {counts['variant']:,} have one with other numbers" if counts.get("variant") else ""
    text += f"; {counts['review']:,} are for review" if counts["review"] else ""
    varied = counts.get("variant", 0) if summary.variants == "drop" else 0
    if varied:
        text = f"{varied:,} of {counts['scanned']:,} documents of {where} still have eval items with other numbers"
    if counts["contaminated"]:
        text = f"{counts['contaminated']:,} of {counts['scanned']:,} documents of {where} still contain eval items"
        text += f", and {varied:,} have them with other numbers" if varied else ""
    return wrap_parts("verdict", text.split())


def _render_next(summary: DecontaminationSummary) -> list[str]:
    lines = [f"open {quote_word(summary.report)}   to judge what was found"] if summary.report else []
    if summary.score_command:
        lines += [summary.score_command, "(without a model: --model none)"]
    else:
        lines += [command(words, summary.run) for words in ("filter --dry-run", "status", "export out/")]
    return [("next: " if number == 0 else "      ") + escape_unprintable(line) for number, line in enumerate(lines)]
