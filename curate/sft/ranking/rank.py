"""Datasets ranked for one base model: examples drawn, measured, compared, and shown."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from curate.errors import ModelError
from curate.reference.likelihood import perplexity
from curate.sft.ranking.summary import Dataset, Ranking

if TYPE_CHECKING:
    import pyarrow as pa

    from curate.reference.protocol import ScoringConfig
    from curate.sft.datasets import DrawnExample, InstructionSet
    from curate.sft.measuring.reader import ModelVariant
    from curate.sft.measuring.responses import ResponseReader
    from curate.sft.ranking.session import RankingSession
    from curate.sft.ranking.table import RankingTable


SHORT = {"ppl": "perplexity", "bpb": "bits_per_byte"}
AUDITED = 10  # examples of each dataset whose masks are compared with the template's own
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def compete(
    contest: "RankingSession",
    variants: "list[ModelVariant]",
    reading: "ScoringConfig",
    chat_model: str | None,
    until_separated: bool,
    examples: str | None,
) -> Ranking:
    """Measure under the first variant, for the ranking; then under the others, to compare; and write all down."""
    from curate.sft.measuring.reader import open_reader
    from curate.sft.ranking import chat_comparison, example_runs, files
    from curate.sft.ranking.table import compare_measures, compare_tables

    reader = open_reader(variants[0], reading, contest.wanted)
    announce(reader)
    audit(contest, reader)
    tables, table = settle(contest, reader, until_separated)
    runs = example_runs.write_all(contest, reader, tables, examples) if examples else ()
    shown = {variants[0]: title(variants[0], variants)}
    others = {}
    for variant in variants[1:]:
        other = open_reader(variant, reading, contest.wanted)
        announce(other)
        shown[variant] = title(variant, variants)
        others[shown[variant]] = contest.rank(contest.measure(other))
    names = shown[variants[0]]
    ranking = Ranking(
        model=variants[0].model,
        template=reader.template.name,
        by=contest.wanted.by,
        turns=contest.wanted.turns,
        end_of_turn=contest.wanted.end_of_turn,
        sample=contest.wanted.sample,
        seed=contest.wanted.seed,
        draws=contest.wanted.draws,
        out=str(contest.book.path),
        datasets=tuple(describe(contest, one, tables[one.name]) for one in contest.sets),
        table=table,
        compared=tuple(compare_tables(table, other, (names, name)) for name, other in others.items()),
        definitions=tuple(compare_measures(table)) if len(table.names) > 1 else (),
        others=others,
        chat_model=chat_model,
        readings=chat_comparison.read(contest, reader, chat_model, reading) if chat_model else (),
        identity=reader.reference.identity,
        runs=runs,
    )
    files.write(contest.book, ranking)
    return ranking


def settle(
    contest: "RankingSession", reader: "ResponseReader", until_separated: bool
) -> "tuple[dict[str, pa.Table], RankingTable]":
    """Measure and rank; with ``until_separated`` again with more examples while that may help."""
    from curate.runtime import console

    tables = contest.measure(reader)
    table = contest.rank(tables)
    while until_separated and contest.grow(table):
        close = [f"{pair.better} and {pair.worse}" for pair in table.pairs if not pair.separated]
        console.say("not apart", f"{', '.join(close[:4])}{', …' if len(close) > 4 else ''}: drawing more")
        tables = contest.measure(reader)
        table = contest.rank(tables)
    return tables, table


def announce(reader: "ResponseReader") -> None:
    """Say which model reads, in which template."""
    from curate.reference import announce as reference_announce
    from curate.runtime.console import say

    reference_announce.announce(reader.reference)
    ends = "" if reader.template.end_of_turn else "; the end of turn is not scored"
    say("template", f"{reader.template.name}{ends}")


def audit(contest: "RankingSession", reader: "ResponseReader") -> None:
    """Where the template marks what the assistant generates, say how far our mask is its own; warn where not."""
    from curate.runtime import console
    from curate.sft.measuring.show_mask import audit_drawn, describe_audit

    drawn = [one for name in contest.drawn for one in contest.drawn[name].examples[:AUDITED]]
    try:
        found = audit_drawn(reader, drawn)
    except ModelError as error:
        console.warn(f"the template's own mask cannot be compared: {error.message}")
        return
    if found is None:
        return
    said = describe_audit(found)
    console.say("mask audit", said)
    if found.theirs or found.ours:
        console.warn(
            "the template's own mask is another than ours; a trainer with assistant_only_loss would use its own"
        )


def title(variant: "ModelVariant", variants: "list[ModelVariant]") -> str:
    """What tells a variant from the others: its model, its template, or both."""
    parts = []
    if len({one.model for one in variants}) > 1:
        parts.append(variant.model)
    if len({one.template for one in variants}) > 1:
        parts.append(f"template {variant.template}")
    return ", ".join(parts) or variant.model


def describe(contest: "RankingSession", one: "InstructionSet", table: "pa.Table") -> Dataset:
    """What was read and measured of a dataset, and a few of its examples."""
    import numpy as np
    import pyarrow.compute as pc

    from curate.sft.ranking import session
    from curate.sft.ranking.rank import choose_examples

    found = contest.drawn[one.name]
    ok = table.filter(pc.equal(table["status"], "ok"))
    tokens = ok["tokens"].to_numpy()
    return Dataset(
        name=one.name,
        data=" ".join(one.corpus.paths),
        schemas=found.schemas,
        rows=found.rows,
        available=found.available,
        drawn=len(found.examples),
        refused={reason: tally.count for reason, tally in found.refused.items()},
        unreadable={reason: tally.count for reason, tally in found.unreadable.items()},
        not_scored=dict(session.count_reasons(table).most_common()),
        notes=session.count_notes(table),
        long=int((ok["windows"].to_numpy() > 1).sum()),
        prompt_tokens=float(ok["prompt_tokens"].to_numpy().mean()) if ok.num_rows else float("nan"),
        lengths={f"{share:.0%}": float(np.quantile(tokens, share)) for share in QUANTILES} if ok.num_rows else {},
        examples=choose_examples(found.examples, ok),
    )


SHARES = (0.1, 0.5, 0.9)  # of the examples, by the perplexity of their answers
ASKED, ANSWERED = 400, 600  # characters shown


def choose_examples(drawn: "Sequence[DrawnExample]", measured: pa.Table) -> tuple[dict[str, Any], ...]:
    """The examples at a few quantiles of response perplexity, from the lowest on."""
    if not measured.num_rows:
        return ()
    found = perplexity(measured["nats"].to_numpy(), measured["tokens"].to_numpy())
    order = np.argsort(found, kind="stable")
    places = dict.fromkeys(int(order[round(share * (len(order) - 1))]) for share in SHARES)
    by_key = {(one.file, one.row, one.part): one for one in drawn}
    rows = measured.take(list(places)).to_pylist()
    return tuple(_show(by_key[row["file"], row["row"], row["part"]], row) for row in rows)


def _show(one: "DrawnExample", row: dict[str, Any]) -> dict[str, Any]:
    turns = one.example.turns
    last = max(at for at, turn in enumerate(turns) if turn.role == "assistant")
    asked = "\n\n".join(f"{turn.role}: {turn.text}" if last > 1 else turn.text for turn in turns[:last])
    nats, tokens, alone = row["nats"], row["tokens"], row["unconditional_nats"]
    return {
        "place": f"{one.file}, row {one.row}",
        "id": one.id,
        "asked": _cut_front(asked, ASKED),
        "answered": _cut(turns[last].text, ANSWERED),
        "tokens": tokens,
        "perplexity": float(perplexity(nats, tokens)),
        "unconditional_perplexity": float(perplexity(alone, tokens)),
        "ifd_ppl": float(np.exp((nats - alone) / tokens)),
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + " …"


def _cut_front(text: str, most: int) -> str:
    """The end of what was asked, since the question stands there."""
    return text if len(text) <= most else "… " + text[-most:]
