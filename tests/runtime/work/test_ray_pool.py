"""A pool of Ray's workers: each item is done once more where a worker dies, and what fails is named."""

import os
import signal
import socket
import time

import pytest

ray = pytest.importorskip("ray")

from curate.errors import CorpusError, EngineError, UsageError  # noqa: E402
from curate.runtime.work import ray_cluster, ray_scheduler, ray_worker  # noqa: E402
from curate.runtime.work.engines import EngineOptions, choose_engine, open_pool  # noqa: E402
from curate.runtime.work.ray_cluster import count_workers  # noqa: E402
from curate.runtime.work.ray_pool import RayPool  # noqa: E402

TIMEOUT = 120


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """One small cluster for all tests: what is connected already is used by pools."""
    import sys

    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    handlers = ray_cluster.list_handlers()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80_000_000)
    ray_cluster.restore_handlers(handlers)
    ray_cluster.silence_ray()
    yield
    ray.shutdown()


@pytest.fixture
def pool():
    with open_pool(EngineOptions(workers=2)) as opened:
        yield opened


def double(shared, item):
    return shared["factor"] * item


def note_process(folder, item):
    (folder / f"{item}.{os.getpid()}.{time.monotonic_ns()}").touch()
    return os.getpid()


def kill_once(folder, item):
    """Die at the first attempt of an item that is odd."""
    mark = folder / f"{item}.tried"
    if item % 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def always_die(folder, item):
    with open(folder / "deaths", "a") as handle:
        handle.write(".")
    os.kill(os.getpid(), signal.SIGKILL)


def fail(folder, item):
    with open(folder / "failures", "a") as handle:
        handle.write(".")
    raise ZeroDivisionError(f"item {item} cannot be done")


def refuse(folder, item):
    with open(folder / "refusals", "a") as handle:
        handle.write(".")
    raise CorpusError("the column is missing", "--text-field NAME")


def advance(folder, item):
    ray_worker.PROGRESS.advance(documents=item, tokens=10 * item, done_bytes=100)
    if item > 1:
        time.sleep(2.5)
        ray_worker.PROGRESS.advance(documents=1)


def test_items_are_done_by_several_workers_and_what_they_share_travels_once_to_each(pool, tmp_path):
    kept = pool.keep({"factor": 3})
    assert [each.result(TIMEOUT) for each in [pool.submit(double, kept, item) for item in range(20)]] == [
        3 * item for item in range(20)
    ]
    folder = pool.keep(tmp_path)
    processes = {each.result(TIMEOUT) for each in [pool.submit(note_process, folder, item) for item in range(20)]}
    assert 1 <= len(processes) <= 2 and os.getpid() not in processes
    assert len(list(tmp_path.iterdir())) == 20
    with pool.start_workers(double, {"factor": 5}, 2) as work:
        assert [work(item) for item in (1, 2)] == [5, 10]


def test_a_worker_that_dies_is_replaced_and_its_item_done_again(pool, tmp_path):
    kept = pool.keep(tmp_path)
    futures = [pool.submit(kill_once, kept, item) for item in range(6)]
    assert [each.result(TIMEOUT) for each in futures] == list(range(6))
    assert pool.connect().replaced == 3 and len(list(tmp_path.iterdir())) == 3


def test_an_item_that_kills_every_worker_is_named_in_the_end(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_scheduler, "MOST_DEATHS", 2)
    future = pool.submit(always_die, pool.keep(tmp_path), 0)
    with pytest.raises(EngineError, match="2 workers died over it, one after another"):
        future.result(TIMEOUT)
    assert (tmp_path / "deaths").read_text() == ".."
    assert pool.submit(double, pool.keep({"factor": 2}), 4).result(TIMEOUT) == 8, "the others go on"


def test_an_item_that_raises_is_tried_three_times_and_an_error_of_the_user_once(pool, tmp_path):
    kept = pool.keep(tmp_path)
    with pytest.raises(ZeroDivisionError, match="item 7 cannot be done") as failed:
        pool.submit(fail, kept, 7).result(TIMEOUT)
    assert (tmp_path / "failures").read_text() == "..."
    assert any("in fail" in note for note in failed.value.__notes__), "with the traceback of the worker"
    with pytest.raises(CorpusError, match="the column is missing") as refused:
        pool.submit(refuse, kept, 0).result(TIMEOUT)
    assert refused.value.hint == "--text-field NAME" and (tmp_path / "refusals").read_text() == "."


def test_workers_say_how_far_they_are(pool, tmp_path):
    told = []
    pool.connect().on_progress = lambda documents, tokens, done_bytes: told.append((documents, tokens, done_bytes))
    kept = pool.keep(tmp_path)
    for future in [pool.submit(advance, kept, item) for item in (1, 2)]:
        future.result(TIMEOUT)
    time.sleep(0.1)
    assert [sum(each) for each in zip(*told, strict=True)] == [4, 30, 200] and pool.connect().tokens == 30
    assert len(told) >= 3, "the long item was asked while it ran"


def test_a_pool_that_is_closed_knows_its_tokens_and_starts_no_other_cluster():
    pool = RayPool(EngineOptions(workers=1))
    assert pool.tokens == 0
    pool.close()
    assert pool.tokens == 0
    with pytest.raises(RuntimeError, match="the pool is closed"):
        pool.connect()


def name_process():
    return os.getpid()


def cannot_start():
    raise CorpusError("no model is there", "--model NAME")


def test_the_first_worker_says_what_it_prepared(pool):
    assert pool.open_first(name_process) != os.getpid()


def test_what_the_first_worker_raises_is_raised_at_once(monkeypatch):
    warned = []
    monkeypatch.setattr(ray_scheduler.console, "warn", warned.append)
    with open_pool(EngineOptions(workers=2)) as pool, pytest.raises(CorpusError, match="no model is there"):
        pool.open_first(cannot_start)
    assert not warned, "the others would fail the same way"


def test_a_worker_that_would_work_differently_is_left_out_and_the_others_go_on(pool, tmp_path, monkeypatch):
    warned = []
    monkeypatch.setattr(ray_scheduler.console, "warn", warned.append)
    first = pool.open_first(name_process)

    def accept(process):
        raise CorpusError(f"process {process} is of another kind")

    pool.open_others(name_process, accept)
    time.sleep(3)
    assert not warned, "who is prepared waits until there is work"
    kept = pool.keep(tmp_path)
    assert {pool.submit(note_process, kept, item).result(TIMEOUT) for item in range(4)} == {first}
    deadline = time.monotonic() + TIMEOUT
    while not warned and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(warned) == 1 and "is left out: process" in warned[0] and pool.count == 1


def test_where_the_last_worker_is_left_out_every_item_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_scheduler, "__version__", "0.0.0")
    with open_pool(EngineOptions(workers=1)) as pool:
        kept = pool.keep(tmp_path)
        for _ in range(2):
            with pytest.raises(EngineError, match=r"curate .* is installed there, and 0\.0\.0 here"):
                pool.submit(note_process, kept, 0).result(TIMEOUT)


@pytest.mark.parametrize(
    ("options", "total", "gpu", "count"),
    [
        ({}, {"CPU": 6.0}, False, 6),
        ({"cpus_per_worker": 4}, {"CPU": 6.0}, False, 1),
        ({"cpus_per_worker": 8}, {"CPU": 6.0}, False, 1),
        ({}, {"CPU": 64.0, "GPU": 8.0}, True, 8),
        ({}, {"CPU": 64.0, "GPU": 8.0}, False, 64),
        ({"gpus_per_worker": 0.5}, {"CPU": 64.0, "GPU": 8.0}, False, 16),
        ({"workers": 3}, {"CPU": 64.0, "GPU": 8.0}, True, 3),
    ],
)
def test_as_many_workers_as_fit_unless_the_user_says(options, total, gpu, count):
    assert count_workers(EngineOptions(**options), total, gpu) == count


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"engine": "local", "address": "auto"}, "--address has no effect without --engine ray"),
        ({"engine": "local", "gpus_per_worker": 1}, "--gpus-per-worker has no effect"),
        ({"engine": "ray", "workers": 0}, "--workers must be at least 1"),
        (
            {"engine": "ray", "address": "http://x"},
            "--address must be auto, HOST:PORT or ray://HOST:PORT, not http://x",
        ),
        ({"engine": "ray", "address": "head"}, "--address must be auto, HOST:PORT or ray://HOST:PORT, not head"),
        ({"engine": "ray", "gpus_per_worker": 2}, "--gpus-per-worker must be from 0 to 1"),
        ({"engine": "ray", "cpus_per_worker": 0.5}, "--cpus-per-worker must be at least 1"),
    ],
)
def test_options_that_an_engine_cannot_keep_are_refused(given, message):
    with pytest.raises(UsageError, match=message):
        choose_engine(**{"address": None, **given})
    assert choose_engine("local", None) is None


def test_a_cluster_that_is_not_there_is_an_error_with_the_command_that_starts_one(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    refused = RuntimeError("could not connect")

    def init(**known):
        raise refused

    monkeypatch.setattr(ray, "init", init)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        open_port = listening.getsockname()[1]
        with pytest.raises(EngineError, match=r"no cluster of Ray at 127\.0\.0\.1:\d+: could not connect") as caught:
            ray_cluster.connect_ray(EngineOptions(address=f"127.0.0.1:{open_port}"))
    assert "ray start --head" in caught.value.hint
    monkeypatch.setattr(ray, "init", lambda **known: pytest.fail("Ray would try for minutes"))
    for address in (f"127.0.0.1:{open_port}", f"ray://127.0.0.1:{open_port}", "no-such-host.invalid:6379"):
        with pytest.raises(EngineError, match="no cluster of Ray at "):
            ray_cluster.connect_ray(EngineOptions(address=address))
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(EngineError, match="--engine ray") as caught:
        ray_cluster.connect_ray(EngineOptions())
    assert caught.value.hint == "pip install 'curate[ray]'"


def test_it_is_said_once_that_no_worker_is_there_and_what_it_would_need(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(ray_scheduler.console, "say", lambda label, text: told.append((label, text)))
    monkeypatch.setattr(ray_scheduler, "WAITING_SECONDS", 0.2)
    with open_pool(EngineOptions(workers=1, cpus_per_worker=64)) as pool:
        future = pool.submit(note_process, pool.keep(tmp_path), 0)
        time.sleep(3)
        assert not future.done()
    waiting = [text for label, text in told if label == "waiting"]
    assert len(waiting) == 1
    assert waiting[0].startswith("no worker is there: each needs CPU 64; free in the cluster: CPU ")
    assert future.cancelled() or future.exception() is not None


def test_a_worker_that_cannot_import_curate_is_left_out_with_the_command_that_installs_it():
    scheduler = ray_scheduler.WorkerScheduler(ray, 1, 0, 1)
    (slot,) = scheduler._slots = [ray_scheduler.PoolSlot(0)]
    died = RuntimeError("The actor died.\nModuleNotFoundError: No module named 'curate'")
    scheduler._replace_starting(slot, died)
    item = ray_scheduler.PoolItem(double, "key", [], 1)
    scheduler.put(item)
    with pytest.raises(EngineError, match="cannot import curate: ModuleNotFoundError") as caught:
        item.future.result(0)
    assert caught.value.hint.startswith("pip install 'curate[ray]==")


def test_where_ray_has_gone_every_item_fails_with_that_and_a_bug_keeps_its_traceback(monkeypatch):
    for raised, expected in ((ray.exceptions.RaySystemError("gone"), EngineError), (ZeroDivisionError(), None)):
        scheduler, item = ray_scheduler.WorkerScheduler(ray, 1, 0, 1), ray_scheduler.PoolItem(double, "key", [], 1)
        scheduler._queue.append(item)
        monkeypatch.setattr(ray_scheduler.WorkerScheduler, "_turn", lambda self, raised=raised: throw(raised))
        scheduler._serve()
        with pytest.raises(expected or ZeroDivisionError) as caught:
            item.future.result(0)
        assert expected is None or "Ray has gone" in caught.value.message


def throw(error):
    raise error
