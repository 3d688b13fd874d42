"""Claims and the lock in an object store: hosts that share nothing else exclude one another."""

import json
import threading
from dataclasses import asdict, replace

import pytest

from curate.errors import BusyError, StorageError, TableError
from curate.runtime.disk import claims, store_claims
from curate.runtime.disk.mirrors import CLAIMS, Mirror, open_mirror
from curate.runtime.disk.object_store import ObjectStore
from curate.runtime.disk.store_claims import lock_store
from curate.runtime.disk.writers import Writer, this_writer

FOREIGN = Writer("0123456789", 12, "99")


@pytest.fixture
def mirror(memory_store):
    return open_mirror(f"{memory_store}/runs/one")


def make_host(mirror, folder):
    return Mirror(mirror.url, folder, ObjectStore(mirror.url), ())


def write_claim(mirror, writer, writes=("scores",), reads=()):
    """The claim of another process, in the store alone."""
    claim = replace(claims.make_claim("score", writes, reads), writer=writer, host="elsewhere")
    mirror.store.write(claims.name_stored(claim), json.dumps(asdict(claim)).encode())
    return claim


def write_lock(mirror, number, writer):
    holder = {"host": writer.host, "pid": writer.pid, "start": writer.start} if writer else {}
    mirror.store.write(f"{CLAIMS}/lock-{number:08d}", json.dumps(holder).encode())


def list_locks(mirror):
    return sorted(name for name in mirror.store.list(CLAIMS) if "lock-" in name)


@pytest.mark.parametrize("kind", ["memory_store", "bucket"])
def test_one_host_at_a_time_has_the_lock(kind, request, tmp_path, monkeypatch):
    found = request.getfixturevalue(kind)
    monkeypatch.setattr(store_claims, "PAUSES", (0.001, 0.01))
    url = f"{found if isinstance(found, str) else found.url}/run"
    store, inside = ObjectStore(url), []
    store.write("count", b"0")

    def add(number):
        mirror = Mirror(url, tmp_path / str(number), ObjectStore(url), ())
        for _ in range(4):
            with lock_store(mirror):
                inside.append(number)
                assert len(inside) == 1
                store.write("count", str(int(store.read("count")) + 1).encode())
                inside.remove(number)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read("count") == b"16"
    assert list_locks(Mirror(url, tmp_path, store, ())) == [f"{CLAIMS}/lock-00000016"]


def test_a_lock_is_free_that_was_given_back_or_whose_holder_is_gone(mirror, monkeypatch):
    monkeypatch.setattr(store_claims, "PATIENCE_SECONDS", 0.3)
    ended = replace(this_writer(), start="1")
    for number, writer in ((3, None), (5, ended)):
        write_lock(mirror, number, writer)
        with lock_store(mirror):
            assert list_locks(mirror) == [f"{CLAIMS}/lock-{number + 1:08d}"]
    for writer in (this_writer(), FOREIGN):
        write_lock(mirror, 9, writer)
        with pytest.raises(BusyError, match="is locked by another process"), lock_store(mirror):
            pass
    monkeypatch.setattr(store_claims, "LOCK_SECONDS", -1.0)
    with lock_store(mirror):
        assert list_locks(mirror) == [f"{CLAIMS}/lock-00000010"]
    mirror.store.write(f"{CLAIMS}/lock-00000011", b"no JSON")
    with lock_store(mirror):
        pass


def test_a_slow_one_that_takes_a_number_others_had_gives_it_back(mirror, tmp_path, monkeypatch):
    """It finds number 1 dead and sleeps, while others have number 2 and 3 and remove them; then 2 is free to create."""
    monkeypatch.setattr(store_claims, "PATIENCE_SECONDS", 0.3)
    write_lock(mirror, 1, replace(this_writer(), start="1"))
    slow, real, seen = make_host(mirror, tmp_path), ObjectStore.create, []

    def create(store, name, data):
        if store is slow.store and not seen and "lock-" in name:
            seen.append(name)
            with lock_store(mirror):
                pass
            write_lock(mirror, 3, FOREIGN)
            mirror.store.remove([name])
        return real(store, name, data)

    monkeypatch.setattr(ObjectStore, "create", create)
    with pytest.raises(BusyError), lock_store(slow):
        pass
    assert seen == [f"{CLAIMS}/lock-00000002"] and list_locks(mirror) == [f"{CLAIMS}/lock-00000003"]


def test_what_killed_processes_of_this_host_left_goes_with_the_next_lock(mirror):
    gone, here = replace(this_writer(), start="1"), this_writer()
    names = {
        who: f"{CLAIMS}/{what}-{who.host}-{who.pid}-{who.start}-77"
        for who, what in ((gone, "clock"), (here, "probe"), (FOREIGN, "clock"))
    }
    for name in names.values():
        mirror.store.write(name, b"")
    with lock_store(mirror):
        left = set(mirror.store.list(CLAIMS)) & set(names.values())
    assert left == {names[here], names[FOREIGN]}


def test_a_store_is_asked_once_whether_it_has_conditional_writes(mirror, monkeypatch):
    asked = []
    monkeypatch.setattr(ObjectStore, "check_conditional", lambda store, name: asked.append(name))
    for _ in range(3):
        with lock_store(mirror):
            pass
    assert len(asked) == 1


def test_a_claim_in_the_store_excludes_as_one_here_does(mirror):
    other = write_claim(mirror, FOREIGN)
    with claims.scope():
        with pytest.raises(BusyError, match=r"curate score is writing .*scores: pid 12 on elsewhere"):
            claims.hold_claim(mirror.root, "filter", ("filter.parquet",), ("scores",))
        claims.hold_claim(mirror.root, "filter", ("filter.parquet",))
        held = [name for name in mirror.store.list(CLAIMS) if name.startswith(f"{CLAIMS}/filter-")]
        assert len(held) == 1
    assert [each.claim for each in claims.list_writers(mirror.root)] == [other]
    assert held[0] not in mirror.store.list(CLAIMS), "it goes with the call"


def test_a_claim_whose_process_is_gone_is_taken_over(mirror, monkeypatch, capsys):
    gone = write_claim(mirror, replace(this_writer(), start="1"))
    silent = write_claim(mirror, FOREIGN)
    monkeypatch.setattr(claims, "DEAD_SECONDS", -1.0)
    with claims.scope():
        claims.hold_claim(mirror.root, "score", ("scores",))
    left = mirror.store.list(CLAIMS)
    assert claims.name_stored(gone) not in left and claims.name_stored(silent) not in left


def test_a_claim_that_the_store_kept_though_it_was_released_is_no_hindrance(mirror, monkeypatch):
    real = ObjectStore.remove

    def refuse(*_):
        raise StorageError("the network is gone")

    with claims.scope():
        held = claims.hold_claim(mirror.root, "score", ("scores",))
        monkeypatch.setattr(ObjectStore, "remove", refuse)
    monkeypatch.setattr(ObjectStore, "remove", real)
    assert claims.name_stored(held.claim) in mirror.store.list(CLAIMS)
    with claims.scope():
        claims.hold_claim(mirror.root, "score", ("scores",))
        assert claims.name_stored(held.claim) not in mirror.store.list(CLAIMS)


def test_a_claim_that_others_took_over_is_noticed(mirror, monkeypatch):
    monkeypatch.setattr(claims, "STORE_BEAT_SECONDS", -1.0)
    with claims.scope():
        held = claims.hold_claim(mirror.root, "score", ("scores",))
        before = mirror.store.read_time(claims.name_stored(held.claim))
        held.beat()
        assert mirror.store.read_time(claims.name_stored(held.claim)) > before
        held.check_held()
        mirror.store.remove([claims.name_stored(held.claim)])
        held.beat()
        assert claims.name_stored(held.claim) not in mirror.store.list(CLAIMS), "a beat does not bring it back"
        with pytest.raises(TableError, match="was taken over"):
            held.check_held()


def test_what_a_verb_claims_is_fetched_and_run_json_is_fetched_with_the_lock(mirror, tmp_path):
    other = make_host(mirror, tmp_path)
    for name in ("run.json", "scores/1", "hits/1", "filter.parquet"):
        other.store.write(name, b"{}")
    with claims.scope():
        claims.hold_claim(mirror.root, "filter", ("filter.parquet",), ("scores",))
        here = {path.relative_to(mirror.root).as_posix() for path in mirror.root.rglob("*") if path.is_file()}
        assert {name for name in here if not name.startswith(".")} == {"run.json", "scores/1", "filter.parquet"}
        other.store.write("run.json", b'{"now": 1}')
        with claims.lock_folder(mirror.root):
            assert (mirror.root / "run.json").read_bytes() == b'{"now": 1}'


def test_who_writes_is_seen_with_the_right_to_read_alone(mirror, monkeypatch):
    other = write_claim(mirror, FOREIGN)

    def refuse(*_):
        raise StorageError("Access Denied")

    monkeypatch.setattr(ObjectStore, "write", refuse)
    (found,) = claims.list_writers(mirror.root)
    assert found.claim == other and found.is_alive and found.silent < 60
    with claims.scope(), pytest.raises(StorageError, match="Access Denied"):
        claims.hold_claim(mirror.root, "score", ("hits",))


def test_where_the_store_refuses_nothing_stays_claimed(mirror, monkeypatch):
    def refuse(*_):
        raise StorageError("the network is gone")

    monkeypatch.setattr(ObjectStore, "write", refuse)
    with claims.scope(), pytest.raises(StorageError, match="the network is gone"):
        claims.hold_claim(mirror.root, "score", ("scores",))
    assert claims.list_claims(mirror.root) == []
