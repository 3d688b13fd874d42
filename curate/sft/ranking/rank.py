"""A ranking of datasets for one base model, from loading the model to the written files.

RankingSession (samples) → open_reader → measure → rank → Ranking → ranking.json, ranking.parquet, ranking.html
"""

from collections.abc import Sequence

import pyarrow as pa

from curate.errors import ModelError
from curate.reference import announce as reference_announce
from curate.reference.protocol import ScoringConfig
from curate.runtime import console
from curate.runtime.redaction import Redactor
from curate.sft.measuring.mask_audit import audit_examples, describe_audit
from curate.sft.measuring.reader import ModelVariant, open_reader
from curate.sft.measuring.responses import ResponseReader
from curate.sft.ranking import chat_comparison, example_runs, files
from curate.sft.ranking.dataset_report import describe_dataset
from curate.sft.ranking.session import RankingSession
from curate.sft.ranking.summary import Ranking
from curate.sft.ranking.table import RankingTable, compare_measures, compare_tables

AUDITED = 10
"""Examples of each dataset whose masks are compared with the template's."""


def rank_datasets(
    session: RankingSession,
    variants: Sequence[ModelVariant],
    reading: ScoringConfig,
    chat_model: str | None,
    until_separated: bool,
    examples: str | None,
    redactor: Redactor,
) -> Ranking:
    """Rank under the first variant, then under the others to compare, and write the files of the ranking.

    ``examples`` is a folder for a run of each dataset; ``redactor`` is for the examples that are shown. Raises
    CorpusError where a dataset cannot be written as a run, before anything is measured; ModelError where not one
    example of a dataset can be scored; and what ``open_reader`` raises.
    """
    options = session.options
    corpora = example_runs.open_run_corpora(session, examples) if examples else {}
    reader = open_reader(variants[0], reading, options)
    announce_reader(reader)
    audit_masks(session, reader, redactor)
    name_to_responses, table = measure_and_rank(session, reader, until_separated)
    runs = example_runs.write_example_runs(session, reader, name_to_responses, corpora, examples) if examples else ()
    title = name_variant(variants[0], variants)
    others = {}
    for variant in variants[1:]:
        other = open_reader(variant, reading, options)
        announce_reader(other)
        others[name_variant(variant, variants)] = session.rank(session.measure(other))
    ranking = Ranking(
        model=variants[0].model,
        template=reader.template.name,
        by=options.by,
        turns=options.turns,
        end_of_turn=options.end_of_turn,
        sample=options.sample,
        seed=options.seed,
        draws=options.draws,
        out=str(session.cache.path),
        datasets=tuple(
            describe_dataset(dataset, session.samples[dataset.name], name_to_responses[dataset.name], redactor)
            for dataset in session.datasets
        ),
        table=table,
        compared=tuple(compare_tables(table, other, (title, name)) for name, other in others.items()),
        definitions=tuple(compare_measures(table)) if len(table.names) > 1 else (),
        others=others,
        chat_model=chat_model,
        readings=chat_comparison.read_three_ways(session, reader, chat_model, reading) if chat_model else (),
        identity=reader.reference.identity,
        apart=options.apart,
        set_aside=options.set_aside,
        runs=runs,
        redaction=redactor.choice.spell() if redactor else None,
    )
    files.write_ranking(session.cache.path, ranking)
    return ranking


def measure_and_rank(
    session: RankingSession, reader: ResponseReader, until_separated: bool
) -> tuple[dict[str, pa.Table], RankingTable]:
    """Measure and rank; with ``until_separated`` again with larger samples while these may separate neighbours.

    What is claimed at the last look holds over all the looks that there might have been.
    """
    if until_separated:
        session.plan_looks()
    name_to_responses = session.measure(reader)
    table = session.rank(name_to_responses)
    while until_separated and session.grow(table):
        close = [f"{pair.better} and {pair.worse}" for pair in table.pairs if not pair.separated]
        listed = f"{', '.join(close[:4])}{', …' if len(close) > 4 else ''}"
        console.say("not apart", f"{listed}: drawing more, look {session.look} of at most {session.looks}")
        name_to_responses = session.measure(reader)
        table = session.rank(name_to_responses)
    return name_to_responses, table


def announce_reader(reader: ResponseReader) -> None:
    """Print the model, its self-check, and the template."""
    reference_announce.announce_reference(reader.reference)
    ends = "" if reader.template.end_of_turn else "; the end of turn is not scored"
    console.say("template", f"{reader.template.name}{ends}")


def audit_masks(session: RankingSession, reader: ResponseReader, redactor: Redactor) -> None:
    """Print how far a template's ``{% generation %}`` mask agrees with ours, and warn where it does not."""
    examples = [drawn for sample in session.samples.values() for drawn in sample.examples[:AUDITED]]
    try:
        audit = audit_examples(reader, examples)
    except ModelError as error:
        console.warn(f"the template's own mask cannot be compared: {error.message}")
        return
    if audit is None:
        return
    console.say("mask audit", describe_audit(audit, redactor))
    if audit.theirs or audit.ours:
        console.warn("the template's own mask differs from ours; a trainer with assistant_only_loss would use its own")


def name_variant(variant: ModelVariant, variants: Sequence[ModelVariant]) -> str:
    """Return what distinguishes a variant from the others: its model, its template, or both."""
    parts = []
    if len({each.model for each in variants}) > 1:
        parts.append(variant.model)
    if len({each.template for each in variants}) > 1:
        parts.append(f"template {variant.template}")
    return ", ".join(parts) or variant.model
