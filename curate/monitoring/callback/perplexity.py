"""``curate.PerplexityCallback``: the perplexity of held-out text, by domain, while a model is trained."""

import os
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoTokenizer, TrainerCallback

from curate.errors import CurateError, Interrupted, ModelError, UsageError
from curate.monitoring.callback.evaluate import DocumentSums, HeldOutCorpus, choose_corpus, read_sums, score_corpus
from curate.monitoring.callback.flags import FLAGS, TrainingFlag, find_flags
from curate.monitoring.callback.history import make_history
from curate.monitoring.callback.series import Evaluation, TrainingSeries, open_series
from curate.monitoring.callback.trainer_log import log_metrics, name_metrics
from curate.reference.causal import CausalReference
from curate.reference.checkpoints.tokenizer import TextEncoder
from curate.reference.checks.self_check import SelfCheck
from curate.reference.likelihood import bits_per_byte, perplexity
from curate.reference.live.twin import keep_random_states
from curate.reference.live.unwrap import unwrap_model
from curate.reference.live.wrap import LiveModel, wrap_model
from curate.reference.protocol import ScoringConfig
from curate.rundir.run import open_run
from curate.runtime import console
from curate.runtime.choices import Dtype, Prefix, check_choice
from curate.runtime.disk.filenames import expand_home

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""What ``curate score`` takes as CORPUS: files, folders, globs, URLs, Hub datasets; one or several."""


class PerplexityCallback(TrainerCallback):
    """Score held-out text with the model in training: before the first step, every N steps, and after the last.

        trainer = Trainer(model, arguments, callbacks=[curate.PerplexityCallback("heldout/", every=500, save="runs/x")])

    Each evaluation writes a run directory, ``runs/x/step-00000500``, with the tables of ``curate score``, which
    ``status``, ``report``, ``explain`` and ``filter`` read. The model is the live one: its weights are neither loaded
    nor copied, and it comes back as it was, with the same random numbers to come, so that the training is the one that
    it would be without. Numbers are those of ``curate score CORPUS --model DIR`` after ``trainer.save_model(DIR)``, in
    the dtype of the weights. Training with ``bf16=True`` or ``fp16=True`` keeps float32 weights: ``dtype="bf16"``
    scores a rounded copy of them, which is faster on a GPU.

    ``runs/x/series.json`` has the sums of every evaluation by domain, and the flags plateau, overfit and leak with the
    step at which each began (``curate.monitoring.callback.flags`` defines them). Metrics go through the trainer to its
    history and to whatever it reports to: ``eval_curate/perplexity``, ``eval_curate/bits_per_byte``,
    ``eval_curate/perplexity/DOMAIN``, ``eval_curate/overfit`` (0 or 1) …; of several corpora
    ``eval_curate/NAME/perplexity``.

    Works with the Trainer of transformers and with those of TRL, with LoRA and its kin, and with compiled models, whose
    layers are scored as they are written. In a distributed training process 0 scores and the others wait: see that
    ``ddp_timeout`` allows it. Sharded weights (FSDP, ZeRO-3, tensor parallelism) and prompt tuning are refused.

    Parameters
    ----------
    corpus
        What ``curate score`` takes: files, folders, globs, URLs or Hub datasets. Or a dict of names to such, each of
        which has a series of its own, in ``SAVE/NAME/step-…``.
    within
        The column of the domains; ``auto``: the first of domain, source … that the documents have; None: none.
    every
        Steps of the optimiser between two evaluations, at least 1.
    save
        The folder of the series; None: ``curate`` in the ``output_dir`` of the training. A training that goes on from a
        checkpoint goes on with it; a folder of anything else is refused.
    tokenizer
        A tokenizer, or the name or folder of one; None: the one that the trainer has as its ``processing_class``.
    limit, sample, seed, text_field, id_field
        Which documents are read, and which columns, as in ``curate score``; ``limit`` and ``sample`` hold for each
        corpus.
    window, overlap, truncate, prefix
        How a document is read, as in ``curate score``.
    dtype
        The dtype to score in; ``auto``: that of the weights.
    carry, signals
        Columns next to the scores, as in ``curate score``.
    name
        What the model is called in the tables, as in ``live:NAME@500``; None: the last part of its name.
    plateau_evaluations, plateau_tolerance
        Over how many evaluations, at least 3, a plateau extends, and the change of perplexity, as a share, that counts
        as none.
    at_start
        Whether to score before the first step.
    on_error
        What an evaluation that fails does: ``warn`` prints why, records it and trains on; ``stop`` ends the training.
        Mistakes that show before the first step always end it.
    restart
        Drop the series that ``save`` has.

    Raises UsageError for options that are not allowed; the rest shows when the training begins.
    """

    def __init__(
        self,
        corpus: Paths | Mapping[str, Paths],
        within: str | None = "auto",
        every: int = 500,
        save: str | os.PathLike[str] | None = None,
        tokenizer: Any = None,
        *,
        limit: int | None = None,
        sample: float | None = None,
        seed: int = 0,
        text_field: str | None = None,
        id_field: str | None = None,
        window: int | None = None,
        overlap: int = 0,
        truncate: int | None = None,
        prefix: Prefix = "auto",
        dtype: Dtype = "auto",
        carry: str = "auto",
        signals: str = "zlib_ratio",
        name: str | None = None,
        plateau_evaluations: int = 5,
        plateau_tolerance: float = 0.01,
        at_start: bool = True,
        on_error: Literal["warn", "stop"] = "warn",
        restart: bool = False,
    ) -> None:
        check_choice("on_error", on_error, ("warn", "stop"))
        for option, value, least in (("every", every, 1), ("plateau_evaluations", plateau_evaluations, 3)):
            if not isinstance(value, int) or value < least:
                raise UsageError(f"{option} must be a number of at least {least}, not {value!r}", f"{option}={least}")
        if not plateau_tolerance > 0:
            raise UsageError(f"plateau_tolerance must be above 0, not {plateau_tolerance}", "plateau_tolerance=0.01")
        self._corpora = list_corpora(corpus)
        self._options = {
            "limit": limit, "sample": sample, "seed": seed, "text_field": text_field, "id_field": id_field,
        }  # fmt: skip
        self._columns = (within, carry, signals)
        self._config = ScoringConfig(dtype=dtype, prefix=prefix, window=window, overlap=overlap, max_tokens=truncate)
        self._every, self._save, self._tokenizer, self._name = every, save, tokenizer, name
        self._plateau = (plateau_evaluations, plateau_tolerance)
        self._at_start, self._stops, self._restart = at_start, on_error == "stop", restart
        self._held_out: list[HeldOutCorpus] = []
        self._live: LiveModel | None = None
        self._series: TrainingSeries | None = None
        self._check: SelfCheck | None = None
        self._sums: dict[tuple[str | None, int], DocumentSums] = {}
        self._last_step: int | None = None

    @property
    def series(self) -> TrainingSeries | None:
        """What was measured so far; None before the training begins, and in processes that do not score."""
        return self._series

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, processing_class: Any = None, **kwargs: Any
    ) -> None:
        """Check everything that can be wrong, and score the model as the training finds it."""
        if state.is_world_process_zero:
            self._begin(args, state, model, processing_class)
        if self._at_start:
            self._evaluate(args, state, control)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Score the model every N steps, and after the last one."""
        if state.global_step % self._every == 0 or state.global_step >= state.max_steps:
            self._evaluate(args, state, control)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Score the model where the training ended early, unless it has gone back to its best weights."""
        if state.global_step != self._last_step and not args.load_best_model_at_end:
            self._evaluate(args, state, control)

    def _begin(self, args: Any, state: Any, model: Any, processing_class: Any) -> None:
        unwrapped = unwrap_model(model)
        tokenizer = choose_tokenizer(self._tokenizer, processing_class)
        named = Path(str(getattr(unwrapped.config, "_name_or_path", ""))).name or type(unwrapped).__name__
        self._live = LiveModel(model, TextEncoder(tokenizer), tokenizer, self._name or named, self._config)
        self._held_out = [
            choose_corpus(name, paths, self._options, *self._columns) for name, paths in self._corpora.items()
        ]
        folder = expand_home(self._save) if self._save is not None else Path(args.output_dir) / "curate"
        self._check, self._sums, self._last_step = None, {}, None
        self._series = open_series(folder, secrets.token_hex(8), self._describe(), state.global_step, self._restart)

    def _describe(self) -> dict[str, Any]:
        """Return what must be the same at every step of a series, JSON-able."""
        assert self._live is not None
        corpora = {
            corpus.name or "": {"paths": list(corpus.paths), "within": corpus.within} for corpus in self._held_out
        }
        config = self._config
        scoring = {name: getattr(config, name) for name in ("dtype", "prefix", "window", "overlap", "max_tokens")}
        return {"corpora": corpora, "reading": self._options, "scoring": scoring, "tokenizer": self._live.encoder.name}

    def _evaluate(self, args: Any, state: Any, control: Any) -> None:
        """Score all corpora where this process is the first; the others wait for it."""
        self._last_step = state.global_step
        if state.is_world_process_zero and self._series is not None:
            with keep_random_states():
                self._evaluate_all(args, state, control)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.barrier()

    def _evaluate_all(self, args: Any, state: Any, control: Any) -> None:
        assert self._live is not None and self._series is not None
        step = state.global_step
        try:
            reference, self._check = wrap_model(self._live, step, self._check)
        except Exception as error:
            self._note_failure(None, step, error)
            return
        for corpus in self._held_out:
            try:
                self._score(corpus, reference, args, state, control)
            except Interrupted:
                raise KeyboardInterrupt from None
            except Exception as error:
                self._note_failure(corpus.name, step, error)

    def _score(self, corpus: HeldOutCorpus, reference: CausalReference, args: Any, state: Any, control: Any) -> None:
        """Score a corpus, and log, keep and judge what it came to."""
        series, step = self._series, int(state.global_step)
        assert series is not None
        began, path = time.monotonic(), series.locate_run(corpus.name, step)
        summary, sums = score_corpus(corpus, path, reference, self._config)
        self._sums[corpus.name, step] = sums
        losses = [each["loss"] for each in state.log_history if "loss" in each]
        nats, tokens, octets = (float(each.sum()) for each in (sums.nats_N, sums.tokens_N, sums.bytes_N))
        evaluation = Evaluation(
            step=step,
            corpus=corpus.name,
            run=path.relative_to(series.folder).as_posix(),
            weights=str(reference.identity["weights"]),
            documents=summary.documents,
            nats=nats,
            scored_tokens=int(tokens),
            scored_bytes=int(octets),
            perplexity=float(perplexity(nats, tokens)),
            bits_per_byte=float(bits_per_byte(nats, octets)),
            domains=sums.sum_domains(),
            epoch=state.epoch,
            train_loss=losses[-1] if losses else None,
            seconds=time.monotonic() - began,
        )
        series.put(evaluation)
        flags = self._find_flags(corpus, state)
        self._raise_flags(corpus.name, step, flags)
        series.write()
        up = {flag.flag for flag in flags}
        log_metrics(args, state, control, name_metrics(evaluation, {name: name in up for name in FLAGS}))

    def _find_flags(self, corpus: HeldOutCorpus, state: Any) -> list[TrainingFlag]:
        """Return the flags that are up; reads the tables of evaluations before the training was resumed."""
        assert self._series is not None
        evaluations = self._series.list_evaluations(corpus.name, state.global_step)
        for each in evaluations:
            if (corpus.name, each.step) not in self._sums:
                run = open_run(self._series.folder / each.run)
                self._sums[corpus.name, each.step] = read_sums(run, None)
        sums = {each.step: self._sums[corpus.name, each.step] for each in evaluations}
        history = make_history(sums, state.log_history)
        return [] if history is None else find_flags(history, *self._plateau)

    def _raise_flags(self, corpus: str | None, step: int, flags: Sequence[TrainingFlag]) -> None:
        """Keep and print the flags that were not up before."""
        assert self._series is not None
        known = {(each["flag"], each["corpus"]) for each in self._series.flags}
        for flag in flags:
            if (flag.flag, corpus) not in known:
                record = {"flag": flag.flag, "corpus": corpus, "began": flag.began, "found": step, "text": flag.text}
                self._series.flags.append(record)
                of = "" if corpus is None else f", {corpus}"
                announce(flag.flag, f"since step {flag.began:,}{of}: {flag.text}")

    def _note_failure(self, corpus: str | None, step: int, error: Exception) -> None:
        """Record and print that an evaluation failed, or raise its error with ``on_error="stop"``."""
        assert self._series is not None
        if self._stops:
            raise error
        what = error.message if isinstance(error, CurateError) else f"{type(error).__name__}: {error}"
        hint = f" ({error.hint})" if isinstance(error, CurateError) and error.hint else ""
        announce("not scored", f"at step {step:,}: {what}{hint}; the training goes on")
        self._series.failures.append({"step": step, "corpus": corpus, "error": what})
        try:
            self._series.write()
        except CurateError as failure:  # a full disk, most likely: the training is worth more
            announce("not written", failure.message)


def list_corpora(corpus: Paths | Mapping[str, Paths]) -> dict[str | None, list[str]]:
    """Return the paths of each corpus by its name, None for one without. Raises UsageError where there are none."""
    named: Mapping[Any, Paths] = corpus if isinstance(corpus, Mapping) else {None: corpus}
    corpora = {
        name: [os.fspath(paths)] if isinstance(paths, str | os.PathLike) else [os.fspath(path) for path in paths]
        for name, paths in named.items()
    }
    if not corpora or not all(corpora.values()) or "" in corpora:
        raise UsageError("no corpus is named", 'PerplexityCallback("heldout.jsonl")')
    return corpora


def choose_tokenizer(tokenizer: Any, processing_class: Any) -> Any:
    """Return the tokenizer to read with: the one that was named, else that of the trainer.

    Raises ModelError where there is none, or where it cannot be loaded.
    """
    if isinstance(tokenizer, str | os.PathLike):
        try:
            return AutoTokenizer.from_pretrained(os.fspath(tokenizer))
        except Exception as error:  # transformers raises OSError, ValueError, json errors …
            raise ModelError(f"tokenizer={os.fspath(tokenizer)!r} cannot be loaded: {error}") from error
    found = tokenizer if tokenizer is not None else processing_class
    found = getattr(found, "tokenizer", found)
    if not hasattr(found, "bos_token_id") or not callable(found):
        message = "the trainer has no tokenizer" if found is None else f"{type(found).__name__} is no tokenizer"
        raise ModelError(message, "Trainer(…, processing_class=tokenizer), or PerplexityCallback(…, tokenizer=…)")
    return found


def announce(label: str, text: str) -> None:
    """Print a line for the user, whose training prints others, even where messages are turned off."""
    before = console.is_enabled()
    console.enable()
    try:
        console.say(label, text)
    finally:
        console.enable(before)
