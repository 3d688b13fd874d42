"""The callback in real trainings: it changes nothing, writes runs that verbs read, logs, and goes on after a stop."""

import json
import shutil

import numpy as np
import pytest
from helpers.live_trainings import TEXTS, list_losses, make_arguments, make_trainer, watch, write_held_out
from helpers.models import build, tokenizer
from transformers import TrainerCallback

import curate
from curate.errors import CorpusError, ModelError, TableError, UsageError
from curate.monitoring.callback.series import read_series
from curate.reference.live import wrap
from curate.rundir import parquet
from curate.rundir.run import open_run


class Listener(TrainerCallback):
    """A service that a trainer reports to."""

    def __init__(self):
        self.logs = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.logs.append((state.global_step, dict(logs)))


@pytest.fixture(scope="module", autouse=True)
def checked_once():
    """The self-check of each kind of model is made once: these trainings are of two."""
    checks, check = {}, wrap.check_or_recall

    def check_once(checkpoint, runner, *args, **options):
        kind = type(checkpoint.model).__name__
        checks[kind] = checks.get(kind) or check(checkpoint, runner, *args, **options)
        return checks[kind]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wrap, "check_or_recall", check_once)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished training of 6 steps, scored every 2, and its folder; the model drops out, so that it draws numbers."""
    folder = tmp_path_factory.mktemp("trained")
    callback, listener = watch(write_held_out(folder), folder / "series"), Listener()
    trainer = make_trainer(folder / "out", callback, listener, kind="gpt2")
    trainer.train()
    trainer.save_model(folder / "final")
    return folder, trainer, callback, listener


def read_scores(run):
    return parquet.read_table(next(open_run(run).scores.glob("*.parquet")))


def test_its_runs_are_the_steps_of_a_series_that_compare_reads(trained):
    folder, _, callback, _ = trained
    steps = sorted((folder / "series").glob("step-*"))
    found = curate.compare(steps, time=True, within="domain")
    assert found.series.paired and found.series.steps == tuple(step.name for step in steps)
    logged = [each.perplexity for each in callback.series.evaluations]
    assert found.series.all.levels == pytest.approx(logged, rel=1e-9)
    assert found.series.groups and found.series.all.change_high < 0


def test_a_training_is_the_same_with_and_without_the_callback(trained, tmp_path):
    _, watched, _, _ = trained
    plain = make_trainer(tmp_path, kind="gpt2")
    plain.train()
    assert list_losses(plain) == list_losses(watched) and len(list_losses(plain)) == 6
    for mine, theirs in zip(plain.model.parameters(), watched.model.parameters(), strict=True):
        assert mine.detach().numpy().tobytes() == theirs.detach().numpy().tobytes()


def test_every_evaluation_is_a_run_with_the_tables_of_score(trained, tmp_path):
    folder, _, callback, _ = trained
    names = sorted(path.name for path in (folder / "series").iterdir() if path.is_dir() and path.name[0] != ".")
    assert names == [f"step-{step:08d}" for step in (0, 2, 4, 6)]
    corpus, final = folder / "heldout.jsonl", str(folder / "final")
    curate.score(str(corpus), model=final, run=str(tmp_path / "run"), dtype="fp32", window=32)
    live, scored = read_scores(folder / "series" / names[-1]), read_scores(tmp_path / "run")
    assert live.schema.equals(scored.schema)
    for name in scored.column_names:
        if name in ("nats", "perplexity", "bits_per_byte", "first_nats", "max_nats"):
            mine, theirs = (table[name].to_numpy().astype(float) for table in (live, scored))
            np.testing.assert_allclose(mine, theirs, rtol=1e-5)
        else:
            assert live[name].to_pylist() == scored[name].to_pylist()
    assert [each.step for each in callback.series.evaluations] == [0, 2, 4, 6]
    assert callback.series.evaluations[-1].domains.keys() == {"prose", "numbers"}


def test_identities_differ_over_steps_in_the_weights_alone(trained):
    folder, _, _, _ = trained
    identities = [
        open_run(path).stage("score")["made_from"]["model"] for path in sorted((folder / "series").glob("step-*"))
    ]
    for name in identities[0]:
        values = {json.dumps(identity[name]) for identity in identities}
        assert len(values) == (4 if name in ("model", "weights", "live") else 1), name


def test_verbs_read_such_a_run_and_none_loads_its_model(trained, tmp_path):
    run = str(shutil.copytree(trained[0] / "series" / "step-00000004", tmp_path / "run"))
    assert "live:GPT2LMHeadModel@4" in curate.status(run=run).render()
    assert "perplexity" in curate.explain("d3", run=run).render()
    curate.filter(run=run, keep="middle", within="domain")
    curate.report(run=run)
    corpus = str(trained[0] / "heldout.jsonl")
    with pytest.raises(TableError, match="these scores were made with live:"):
        curate.score(corpus, run=run)
    with pytest.raises(ModelError, match="scored in training, at step 4"):
        curate.score(corpus, model="live:GPT2LMHeadModel@4", run=str(tmp_path / "other"))


def test_metrics_reach_the_history_and_the_services_and_no_log_of_the_training_is_lost(trained):
    _, trainer, callback, listener = trained
    steps = [one["step"] for one in trainer.state.log_history if "eval_curate/perplexity" in one]
    assert steps == [0, 2, 4, 6]
    assert [step for step, logs in listener.logs if "eval_curate/perplexity" in logs] == steps
    assert [step for step, logs in listener.logs if "loss" in logs] == [1, 2, 3, 4, 5, 6]
    (last,) = (logs for step, logs in listener.logs if step == 6 and "eval_curate/perplexity" in logs)
    evaluation = callback.series.evaluations[-1]
    assert last["eval_curate/perplexity"] == evaluation.perplexity == pytest.approx(
        np.exp(evaluation.nats / evaluation.scored_tokens)
    )  # fmt: skip
    sums = evaluation.domains["numbers"]
    assert last["eval_curate/perplexity/numbers"] == pytest.approx(np.exp(sums.nats / sums.scored_tokens))
    assert {f"eval_curate/{name}" for name in ("plateau", "overfit", "leak", "bits_per_byte")} <= last.keys()


def test_a_resumed_training_goes_on_with_its_series(tmp_path):
    corpus, save = write_held_out(tmp_path), tmp_path / "series"
    make_trainer(tmp_path / "out", watch(corpus, save), steps=4, save_strategy="steps", save_steps=3).train()
    before = read_series(save)
    again = watch(corpus, save)
    make_trainer(tmp_path / "out", again, steps=6).train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-3"))
    after = read_series(save)
    assert [each.step for each in after.evaluations] == [0, 2, 3, 4, 6]
    assert after.training == before.training
    assert after.evaluations[1] == before.evaluations[1]
    assert after.evaluations[3].seconds != before.evaluations[2].seconds  # measured again


def test_a_folder_of_anything_else_is_refused_before_the_first_step(tmp_path):
    corpus = write_held_out(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds notes.txt, and no series.json"):
        make_trainer(tmp_path / "out", watch(corpus, tmp_path / "mine")).train()
    make_trainer(tmp_path / "out", watch(corpus, tmp_path / "series"), steps=2).train()
    with pytest.raises(UsageError, match="another training, up to step 2"):
        make_trainer(tmp_path / "out", watch(corpus, tmp_path / "series")).train()
    make_trainer(tmp_path / "out", watch(corpus, tmp_path / "series", restart=True), steps=1).train()
    assert [each.step for each in read_series(tmp_path / "series").evaluations] == [0, 1]


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [('{"text": ""}\n', None, ""), ("", CorpusError, "heldout"), ('{"n": 1}\n', CorpusError, "text")],
)
def test_a_corpus_without_text_ends_the_training_before_it_begins_where_that_shows(tmp_path, text, error, match):
    """A column of empty texts shows only when it is scored: then the training goes on."""
    corpus = tmp_path / "heldout.jsonl"
    corpus.write_text(text)
    callback = watch(corpus, tmp_path / "series")
    trainer = make_trainer(tmp_path / "out", callback, steps=1)
    if error is not None:
        with pytest.raises(error, match=match):
            trainer.train()
        return
    trainer.train()
    assert [each["step"] for each in callback.series.failures] == [0, 1]


class Remover(TrainerCallback):
    def __init__(self, path):
        self.path = path

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 1:
            self.path.unlink()


def test_an_evaluation_that_fails_is_recorded_and_the_training_goes_on(tmp_path, capsys):
    corpus = write_held_out(tmp_path)
    callback = watch(corpus, tmp_path / "series")
    trainer = make_trainer(tmp_path / "out", callback, Remover(corpus), steps=3)
    trainer.train()
    assert trainer.state.global_step == 3
    failures = read_series(tmp_path / "series").failures
    assert [each["step"] for each in failures] == [2, 3] and "heldout.jsonl" in failures[0]["error"]
    assert "not scored" in capsys.readouterr().err
    corpus = write_held_out(tmp_path)
    callback = watch(corpus, tmp_path / "other", on_error="stop")
    with pytest.raises(CorpusError):
        make_trainer(tmp_path / "out", callback, Remover(corpus), steps=3).train()


def test_a_corpus_that_fails_leaves_the_others_alone(tmp_path):
    corpus, other = write_held_out(tmp_path), tmp_path / "empty.jsonl"
    other.write_text('{"text": ""}\n')
    callback = watch({"bad": other, "good": corpus}, tmp_path / "series", at_start=False)
    make_trainer(tmp_path / "out", callback, steps=1).train()
    assert [(each.corpus, each.step) for each in callback.series.evaluations] == [("good", 1)]
    assert [(each["corpus"], each["step"]) for each in callback.series.failures] == [("bad", 1)]


def test_several_corpora_have_a_series_each(tmp_path):
    corpus = write_held_out(tmp_path)
    callback = watch({"a": corpus, "b/../c": corpus}, tmp_path / "series", within=None, limit=4)
    trainer = make_trainer(tmp_path / "out", callback, steps=2)
    trainer.train()
    runs = sorted(path.relative_to(tmp_path / "series").as_posix() for path in (tmp_path / "series").rglob("run.json"))
    assert runs == [f"{name}/step-0000000{step}/run.json" for name in ("a", "b%2F..%2Fc") for step in (0, 2)]
    logged = next(one for one in trainer.state.log_history[::-1] if "eval_curate/b_.._c/perplexity" in one)
    assert logged["eval_curate/b_.._c/perplexity"] == callback.series.evaluations[-1].perplexity
    assert {each.documents for each in callback.series.evaluations} == {4}


def test_a_trainer_without_a_tokenizer_is_refused_with_the_way_out(tmp_path):
    corpus = write_held_out(tmp_path)
    trainer = make_trainer(tmp_path / "out", watch(corpus, tmp_path / "series"), steps=1)
    trainer.processing_class = trainer.callback_handler.processing_class = None
    with pytest.raises(ModelError, match="has no tokenizer") as caught:
        trainer.train()
    assert "tokenizer=" in caught.value.hint
    with pytest.raises(ModelError, match="cannot be loaded"):
        make_trainer(tmp_path / "out", watch(corpus, tmp_path / "series", tokenizer=str(tmp_path / "no"))).train()
    given = watch(corpus, tmp_path / "series", tokenizer=tokenizer())
    make_trainer(tmp_path / "out", given, steps=1).train()
    assert len(given.series.evaluations) == 2


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"every": 0}, "every must be"),
        ({"on_error": "ignore"}, "on_error must be"),
        ({"plateau_evaluations": 2}, "plateau_evaluations must be"),
        ({"plateau_tolerance": 0.0}, "plateau_tolerance must be"),
        ({"dtype": "fp8"}, "--dtype must be"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(options, match):
    with pytest.raises(UsageError, match=match):
        curate.PerplexityCallback("heldout.jsonl", **options)


def test_a_column_that_is_not_there_is_refused_before_the_first_step(tmp_path):
    callback = watch(write_held_out(tmp_path), tmp_path / "series", within="topic")
    with pytest.raises(UsageError, match="topic"):
        make_trainer(tmp_path / "out", callback).train()


def test_the_weights_of_the_last_step_are_scored_and_not_those_that_were_best(tmp_path):
    """``load_best_model_at_end`` puts other weights into the model before ``on_train_end``."""
    callback = watch(write_held_out(tmp_path), tmp_path / "series", every=100)
    make_trainer(tmp_path / "out", callback, steps=3).train()
    assert [each.step for each in callback.series.evaluations] == [0, 3]


def test_training_in_bf16_scores_the_float32_weights_that_it_keeps(tmp_path):
    callback = watch(write_held_out(tmp_path), tmp_path / "series")
    trainer = make_trainer(tmp_path / "out", callback, steps=2, bf16=True)
    trainer.train()
    run = open_run(tmp_path / "series/step-00000002")
    assert run.stage("score")["made_from"]["model"]["dtype"] == "fp32"
    plain = make_trainer(tmp_path / "plain", steps=2, bf16=True)
    plain.train()
    assert list_losses(plain) == list_losses(trainer)


def test_trl_trains_with_it_and_keeps_its_own_averages(tmp_path):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    def train(*callbacks):
        arguments = make_arguments(tmp_path / "out", 3).to_dict()
        names = ("output_dir", "max_steps", "per_device_train_batch_size", "learning_rate", "logging_steps", "seed")
        config = SFTConfig(
            **{name: arguments[name] for name in names}, max_length=24, use_cpu=True, report_to=[],
            save_strategy="no", disable_tqdm=True, bf16=False, activation_checkpointing=False,
        )  # fmt: skip
        data = Dataset.from_dict({"text": TEXTS})
        trainer = SFTTrainer(
            build("llama"), args=config, train_dataset=data, processing_class=tokenizer(), callbacks=list(callbacks)
        )
        trainer.train()
        return trainer

    callback = watch(write_held_out(tmp_path), tmp_path / "series")
    watched, plain = train(callback), train()
    assert [each.step for each in callback.series.evaluations] == [0, 2, 3] and not callback.series.failures
    times = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos")
    logs = [
        [{name: value for name, value in one.items() if name not in times} for one in trainer.state.log_history]
        for trainer in (watched, plain)
    ]
    assert [one for one in logs[0] if "eval_curate/perplexity" not in one] == logs[1]
    assert "mean_token_accuracy" in logs[1][0]
