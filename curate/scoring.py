"""The verb ``score``: one row of sums for every document of a corpus, written slice by slice."""

from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.errors import Interrupted, ModelError, UsageError

if TYPE_CHECKING:
    from curate.console import Progress
    from curate.corpus import Corpus, Documents
    from curate.likelihood import Likelihoods, Passage
    from curate.reference import ReferenceModel
    from curate.runs import Run

LARGER = "HuggingFaceTB/SmolLM2-135M"  # what to name for real work on a laptop
SLICE_SECONDS = 30  # of forward pass on a CPU that a slice is sized for: what a kill may cost


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """What a corpus looked like to its reference model. Sums are over the documents whose status is ``ok``."""

    run: str
    model: str
    documents: int
    tokens: int
    bytes: int
    perplexity: float | None  # token-weighted: exp of the corpus' nats over its tokens
    mean_perplexity: float | None  # the mean of the documents' perplexities, another number
    bits_per_byte: float | None
    quantiles: dict[str, float]
    histogram: dict[str, list[float]]  # edges (n + 1) and counts (n), evenly spaced in the logarithm
    not_scored: dict[str, int]
    truncated: int
    seconds: float
    tokens_per_second: float | None
    padding: float | None  # share of computed places that were padding
    profile: dict[str, Any] | None = None  # with --profile, where the time went (``curate.stopwatch.describe``)

    @property
    def exit_code(self) -> int:
        """3 when some rows could not be read, else 0."""
        return 3 if self.not_scored.get("unreadable") else 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def render(self) -> str:
        """The summary as a person wants it, in at most 100 columns."""
        from curate import statistics
        from curate.console import count, size

        tokens = f"{count(self.tokens)} tokens   " if self.model != "none" else ""
        lines = [f"{self.documents:,} documents   {tokens}{size(self.bytes)} of text"]
        if self.perplexity is not None:
            lines += [
                f"perplexity  {self.perplexity:.4g} token-weighted, {self.mean_perplexity:.4g} mean of documents     "
                f"bits per byte {self.bits_per_byte:.3f}",
                "            " + "".join(f"{share:>9}" for share in self.quantiles),
                "perplexity  " + "".join(f"{value:>9.4g}" for value in self.quantiles.values()),
            ]
            bars = statistics.sparkline(self.histogram["counts"])
            low, high = self.histogram["edges"][0], self.histogram["edges"][-1]
            lines.append(f"            {bars}      log scale, {low:.3g} … {high:.4g}")
        lines += self._left_out()
        if self.tokens_per_second:
            from curate.console import clock

            lines.append(f"speed       {count(self.tokens_per_second)} tokens/s, {clock(self.seconds)}")
        if self.profile is not None:
            from curate import stopwatch

            lines += stopwatch.render(self.profile)
        option = "" if self.run == "curated" else f" --run {self.run}"
        if self.perplexity is None:
            return "\n".join([*lines, "", f"next: curate decontaminate EVALS{option}", f"      curate dedup{option}"])
        lines += ["", f"next: curate filter --dry-run{option}     see what thresholds would keep"]
        lines += [f"      curate decontaminate EVALS{option}  take eval items out first"]
        return "\n".join(lines)

    def _left_out(self) -> list[str]:
        found = []
        if self.not_scored:
            reasons = ", ".join(f"{number:,} {status}" for status, number in self.not_scored.items())
            where = f" ({self.run}/unreadable.jsonl)" if "unreadable" in self.not_scored else ""
            found.append(f"not scored  {reasons}{where}")
        if self.truncated:
            found.append(f"truncated   {self.truncated:,} documents were cut off by --max-tokens or the convention")
        return found


def score(
    corpus: Annotated[list[str], typer.Argument(help="Files, folders, globs, URLs, or Hub datasets as NAME:SPLIT.")],
    model: Annotated[
        str, typer.Option(help="A local folder or Hub id of a causal language model; none: measure nothing.")
    ] = "builtin",
    run: Annotated[str, typer.Option(help="The run directory.")] = "curated",
    text_field: Annotated[
        str | None, typer.Option(help="The column with the text, or @SCHEMA of conversations (detected).")
    ] = None,
    id_field: Annotated[str | None, typer.Option(help="The column with the document's id.")] = None,
    limit: Annotated[int | None, typer.Option(help="Read the first so many documents.")] = None,
    sample: Annotated[float | None, typer.Option(help="Read this share of the documents, seeded, e.g. 0.01.")] = None,
    seed: Annotated[int, typer.Option(help="The seed of --sample.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    devices: Annotated[
        str | None, typer.Option(help="Several at once, a process for each: 0,1 or all (CUDA), or cpu,cpu.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="auto, fp32, bf16, fp16.")] = "auto",
    exact: Annotated[bool, typer.Option("--exact", help="fp32 throughout: 1e-5 nats a token, slower.")] = False,
    prefix: Annotated[str, typer.Option(help="The token read before each text: auto, bos, eos, none.")] = "auto",
    window: Annotated[int | None, typer.Option(help="Tokens read at a time (default: all the model can).")] = None,
    overlap: Annotated[int, typer.Option(help="Tokens that a later window re-reads without scoring them.")] = 0,
    window_prefix: Annotated[
        bool, typer.Option("--window-prefix", help="Put the prefix token first in every window.")
    ] = False,
    max_tokens: Annotated[int | None, typer.Option(help="Score the first so many tokens of a document.")] = None,
    convention: Annotated[
        str, typer.Option(help="Whose numbers to give: curate, lm-eval, evaluate, hf-guide.")
    ] = "curate",
    signals: Annotated[
        str, typer.Option(help="Extra columns: zlib_ratio, repeated_5grams, repeated_lines, max_nats; all; none.")
    ] = "zlib_ratio",
    carry: Annotated[
        str, typer.Option(help="Columns to keep beside the scores, for --within: auto (domain, source …), none, names.")
    ] = "auto",
    revision: Annotated[str | None, typer.Option(help="The revision of a Hub model.")] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let a Hub model run code of its own.")
    ] = False,
    compile: Annotated[
        str, typer.Option(help="Compile the model first: auto (on CUDA, where there is much to read), on, off.")
    ] = "auto",
    pack_tokens: Annotated[int | None, typer.Option(help="Tokens of a forward pass (default: chosen).")] = None,
    slice_bytes: Annotated[int | None, typer.Option(help="Text of a slice, the unit of resuming.")] = None,
    on_error: Annotated[str, typer.Option(help="A bad row: quarantine it and go on, or stop.")] = "quarantine",
    restart: Annotated[bool, typer.Option("--restart", help="Throw away the scores of this run and begin.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Print where the time went at the end.")] = False,
) -> ScoreSummary:
    """Score every document of a corpus by its perplexity under a reference model.

    Writes the scores table of the run: one row a document, with nats, tokens and bytes as sums. Started again, it
    goes on where it was; it refuses to mix scores of another corpus, model or reading (TableError). A row that cannot
    be read or scored keeps its place with a status and a reason.
    """
    from curate import carried, console, runs, scorebook, stopwatch
    from curate.corpus import open_corpus
    from curate.reference import Reading, load

    wanted_signals = choose_signals(signals)
    for name, value in {"limit": limit, "pack-tokens": pack_tokens, "slice-bytes": slice_bytes}.items():
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be at least 1, not {value}")
    place = runs.open_run(run, create=True)
    before = (None if restart else place.stage("score")) or {}
    read = open_corpus(
        corpus, text_field=text_field, id_field=id_field, limit=limit, sample=sample, seed=seed, on_error=on_error
    )
    console.say("reading", read.describe())
    names = carried.choose(read, carry)
    settled = before.get("made_from", {}).get("model", {})
    reading = Reading(
        dtype=dtype,
        exact=exact,
        device=device,
        prefix=prefix,
        window=window,
        overlap=overlap,
        window_prefix=window_prefix,
        max_tokens=max_tokens,
        convention=convention,
        pack_tokens=pack_tokens or (settled.get("pack_tokens") if settled.get("model") == model else None),
        revision=revision,
        trust_remote_code=trust_remote_code,
        compiled=settle_compiling(compile, settled if settled.get("model") == model else {}),
        text_bytes=0 if limit or max_tokens else int(sum(source.size or 0 for source in read.sources) * (sample or 1)),
    )
    if devices is not None and device != "auto":
        raise UsageError(f"--device {device} and --devices {devices} say different things", "leave one of them out")
    reference = load(model, reading, devices)
    announce(reference, devices)
    try:
        read = with_slices(read, slice_bytes or slice_for(reference))
        made_from = {
            "corpus": read.fingerprint(),
            "model": reference.identity,
            "parameters": {"signals": wanted_signals},
        }
        scorebook.begin(place, read, made_from, restart)
        with stopwatch.measuring() if profile else nullcontext() as watch:
            seconds = score_slices(place, read, reference, wanted_signals, runs.fingerprint(made_from), names)
    finally:
        getattr(reference, "close", lambda: None)()
    carried.settle(place, names, read.fingerprint())
    summary = summarise(place, reference.identity["model"], seconds, reference)
    kept = {name: getattr(summary, name) for name in ("perplexity", "mean_perplexity", "bits_per_byte", "quantiles")}
    scorebook.complete(place, read, made_from, kept)
    return summary if watch is None else replace(summary, profile=stopwatch.describe(watch))


def settle_compiling(wanted: str, settled: dict[str, Any]) -> str:
    """What ``--compile auto`` means: what the run began with, where it has begun, since it shows in the last digits."""
    if wanted != "auto" or "compiled" not in settled:
        return wanted
    return "on" if settled["compiled"] else "off"


def choose_signals(text: str) -> list[str]:
    """The signals that a user named, in the order of the table's columns."""
    from curate.tables import SIGNALS

    named = [name.strip() for name in text.split(",") if name.strip()]
    if named in (["all"], ["none"]):
        return list(SIGNALS) if named == ["all"] else []
    unknown = [name for name in named if name not in SIGNALS]
    if unknown:
        raise UsageError(f"--signals {unknown[0]} is unknown", f"any of {', '.join(SIGNALS)}; or all, or none")
    return [name for name in SIGNALS if name in named]


def announce(reference: "ReferenceModel", devices: str | None = None) -> None:
    """Say which model reads, on which devices where several were named, and what the self-check found."""
    from curate import console
    from curate.reference.checkpoint import BUILTIN, BUILTIN_TEXT

    identity = reference.identity
    if identity["model"] == "none":
        console.say("reference", "none: documents are counted and hashed, nothing is measured")
        return
    said = f"{identity['model']} ({console.count(reference.parameters)} parameters"
    if identity["model"] == BUILTIN:
        said += f", English, trained on {BUILTIN_TEXT}) — for real work name a larger one: --model {LARGER}"
    else:
        said += f", {identity['architecture']})"
    console.say("reference", said)
    if devices is not None:
        console.say("devices", ", ".join(worker.device for worker in getattr(reference, "workers", ())))
    console.say("self-check", getattr(reference, "check_line", ""))
    for note in getattr(reference, "notes", ()):
        console.say("", note)


def slice_for(reference: "ReferenceModel") -> int:
    """Bytes of text in a slice: some half a minute of work on a CPU, whole tens of megabytes on an accelerator.

    A function of the model's size and the device alone, so that a resumed run cuts the corpus in the same places.
    """
    if reference.identity["device"] != "cpu":
        return 64_000_000
    flops = 3e11 if reference.identity["dtype"] == "bf16" else 1e11
    tokens = SLICE_SECONDS * flops / (2 * max(reference.parameters, 1))
    return int(min(4_000_000, max(250_000, 4 * tokens)))


def with_slices(corpus: "Corpus", slice_bytes: int) -> "Corpus":
    """The same corpus, cut into slices of another size."""
    return replace(corpus, slice_bytes=slice_bytes)


def score_slices(
    place: "Run",
    corpus: "Corpus",
    reference: "ReferenceModel",
    signals: list[str],
    fingerprint: str,
    carry: tuple[str, ...] = (),
) -> float:
    """Score the slices that have no part yet, and write their parts.  → seconds of work

    What is carried of a slice is written before its part, so that a part that exists has it.
    """
    from curate import carried, console, crew, runs, scorerows, stopwatch, tables

    done = runs.done_slices(place, fingerprint)
    resumed = sum(mark.documents for marks in done.values() for mark in marks)
    if resumed:
        console.say("resuming", f"{resumed:,} documents are scored already")
    numbers = {source.name: number for number, source in enumerate(corpus.sources)}
    sizes = [source.size for source in corpus.sources]
    total = sum(size or 0 for size in sizes) if all(size is not None for size in sizes) else None
    finished = sum(
        source.size or 0 for source in corpus.sources if done.get(source.name) and done[source.name][-1].last
    )
    waiting: deque[tuple[Documents, list[int], list[Any]]] = deque()
    made_from = corpus.fingerprint() if carry else ""

    def write(documents: "Documents", scored: list[int], found: "Likelihoods", extra: list[Any]) -> None:
        with stopwatch.span("write"):
            table = scorerows.assemble(documents, scored, found, extra, signals)
            name = f"{numbers[documents.mark.file]:05d}-{documents.mark.number:06d}.parquet"
            note = {"made_from": fingerprint, "slice": asdict(documents.mark)}
            carried.write(place, carry, documents, name, made_from)
            tables.write_part(place.scores / name, table, note)
        unread = documents.read_bytes if not scored or not reference.parameters else 0
        progress.advance(documents=len(documents.rows), done_bytes=unread)

    with console.progress("scoring", total, finished) as progress:
        try:
            with crew.Behind() as behind:
                feed = passages(corpus, done, waiting, signals, carry, workers_for(reference))
                for found in reference.score(feed, lambda tokens, share: advance(progress, waiting, tokens, share)):
                    documents, scored, extra = waiting.popleft()
                    refuse_hopeless(found, reference)
                    behind.put(partial(write, documents, scored, found, extra))
        except KeyboardInterrupt:
            message = f"stopped after {resumed + progress.documents:,} documents; whole parts are kept"
            raise Interrupted(message, "the same command goes on from here") from None
        return progress.seconds


def workers_for(reference: "ReferenceModel") -> int:
    """Threads that compute signals: one where the model itself runs on this machine's cores, else some of them."""
    from curate import crew

    return 1 if reference.identity["device"] == "cpu" else min(8, crew.cores())


def passages(
    corpus: "Corpus",
    done: Any,
    waiting: deque[Any],
    signals: list[str],
    carry: tuple[str, ...] = (),
    workers: int = 1,
) -> "Iterator[list[Passage]]":
    """The scorable texts of each slice; what the part will need besides waits in ``waiting``, in the same order."""
    from curate import scorerows, stopwatch
    from curate.likelihood import Passage

    for documents in corpus.slices(done, columns=carry or "text"):
        scored = [row for row, status in enumerate(documents.statuses) if status == "ok"]
        with stopwatch.span("signals"):
            extra = scorerows.text_columns(documents, signals, workers)
        waiting.append((documents, scored, extra))
        yield [Passage(documents.texts[row] or "") for row in scored]


def advance(progress: "Progress", waiting: deque[Any], tokens: int, share: float) -> None:
    """Move the bar by one forward pass: the slice in hand is the oldest that waits."""
    octets = waiting[0][0].read_bytes if waiting else 0
    progress.advance(tokens=tokens, done_bytes=round(octets * share))


def refuse_hopeless(found: "Likelihoods", reference: "ReferenceModel") -> None:
    """A model that gives NaN for a whole slice of documents is broken, and going on would only fill a disk."""
    broken = sum(status == "not_finite" for status in found.status)
    if broken > 20 and broken == len(found.status):
        message = f"{reference.identity['model']} gave NaN or infinity for all {broken} documents of a slice"
        raise ModelError(message, "try --dtype fp32; if that does not help, the weights are damaged")


def summarise(place: "Run", model: str, seconds: float, reference: "ReferenceModel | None" = None) -> ScoreSummary:
    """Read the summary of a run off its scores table; the same table gives the same summary to the last bit."""
    from curate import scorebook, tables
    from curate.likelihood import bits_per_byte, perplexity

    sums = scorebook.sum_parts(place)
    source = tables.parquet_source(place.scores)
    others = (
        tables.connect()
        .execute(f"SELECT status, count(*) FROM {source} WHERE status <> 'ok' GROUP BY 1 ORDER BY 2 DESC, 1")
        .fetchall()
    )
    count, measured = int(sums["documents"]), sums["tokens"] > 0
    quantiles, histogram = scorebook.distribution(source) if measured else ({}, {"edges": [], "counts": []})
    computed, done = getattr(reference, "places", 0), getattr(reference, "tokens", 0)
    return ScoreSummary(
        run=str(place.path),
        model=model,
        documents=count,
        tokens=int(sums["tokens"]),
        bytes=int(sums["bytes"]),
        perplexity=float(perplexity(sums["nats"], sums["tokens"])) if measured else None,
        mean_perplexity=sums["perplexity"] / count if measured else None,
        bits_per_byte=float(bits_per_byte(sums["nats"], sums["scored_bytes"])) if measured else None,
        quantiles=quantiles,
        histogram=histogram,
        not_scored={status: int(number) for status, number in others},
        truncated=int(sums["truncated"]),
        seconds=seconds,
        tokens_per_second=done / seconds if done else None,
        padding=1 - done / computed if computed else None,
    )
