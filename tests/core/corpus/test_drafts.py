"""Files under construction: nothing of a dead process stays once somebody writes the same file or folder again."""

import multiprocessing
import os
import signal
import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from voxtile.corpus import drafts
from voxtile.corpus.drafts import draft, draft_folder, only_writer, remove_dead_folder
from voxtile.corpus.identity import KeyMap
from voxtile.corpus.storage import StorageError, publish_all, set_room_aside, write_atomically
from voxtile.engine.commit import remove_leftovers
from voxtile.errors import ConfigError


def _die_writing(path, ready):
    def fill(temporary):
        temporary.write_bytes(b"half")
        ready.set()
        time.sleep(60)

    publish_all([(path, fill)])


def _die_building(path, ready):
    with draft_folder(path) as building:
        (building / "part").write_text("half")
        ready.set()
        time.sleep(60)


@pytest.fixture
def started():
    """Start a process that writes and waits; it ends with the test."""
    processes = []

    def start(target, path):
        context = multiprocessing.get_context("fork")
        ready = context.Event()
        processes.append(context.Process(target=target, args=(path, ready)))
        processes[-1].start()
        assert ready.wait(60)
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.join()


def _kill(process):
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def test_the_next_writer_takes_over_what_a_killed_one_left(started, tmp_path):
    path = tmp_path / ".export.json"
    _kill(started(_die_writing, path))
    assert len(list(tmp_path.iterdir())) == 1
    write_atomically(path, b"whole")
    assert [entry.name for entry in tmp_path.iterdir()] == [".export.json"]
    assert path.read_bytes() == b"whole"


def test_a_living_writer_is_not_disturbed(started, tmp_path, monkeypatch):
    monkeypatch.setattr(drafts, "PATIENCE_S", 0.2)
    process = started(_die_writing, tmp_path / "file")
    with pytest.raises(StorageError, match="another process has been writing"):
        write_atomically(tmp_path / "file", b"whole")
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [b"half"]
    _kill(process)
    write_atomically(tmp_path / "file", b"whole")
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [b"whole"]


def test_folders_of_the_dead_are_removed_and_those_of_the_living_are_not(started, tmp_path):
    path = tmp_path / "view[1]"
    _kill(started(_die_building, path))
    living = started(_die_building, path)
    assert len(list(tmp_path.iterdir())) == 1  # the second has removed what the first left
    with draft_folder(path) as building:
        assert len(list(tmp_path.iterdir())) == 2
        building.rename(path)
    _kill(living)
    with draft_folder(path):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["view[1]"]


@pytest.mark.parametrize("when", ["made", "opened"])
def test_a_folder_that_another_takes_for_a_dead_ones_before_it_is_locked_is_made_again(tmp_path, monkeypatch, when):
    module, name = (drafts.tempfile, "mkdtemp") if when == "made" else (drafts, "try_lock")
    real, calls = getattr(module, name), []

    def removed_then(*args, **kwargs):
        calls.append(1)
        found = real(*args, **kwargs) if when == "made" else None
        if len(calls) == 1:
            for left in tmp_path.glob(".view.*"):
                left.rmdir()
        return found if when == "made" else real(*args, **kwargs)

    monkeypatch.setattr(module, name, removed_then)
    with draft_folder(tmp_path / "view") as building:
        assert building.is_dir()
        remove_dead_folder(building)
        assert building.is_dir(), "it is ours"
    assert len(calls) >= 2


def test_a_folder_that_another_has_locked_to_remove_it_is_not_built_in(tmp_path, monkeypatch):
    real, held = drafts.tempfile.mkdtemp, []

    def locked_at_once(**options):
        folder = real(**options)
        if not held:
            held.append(os.open(folder, os.O_RDONLY))
            assert drafts.try_lock(held[0])
        return folder

    monkeypatch.setattr(drafts.tempfile, "mkdtemp", locked_at_once)
    with draft_folder(tmp_path / "view") as building:
        assert not os.path.samestat(os.fstat(held[0]), building.stat())
    os.close(held[0])


def out_of_turn(out, patience_s=0.0):
    with only_writer(out, patience_s):
        pass


def test_of_two_writers_of_a_folder_the_second_waits_or_is_told(tmp_path, monkeypatch):
    out = tmp_path / "new" / "report"
    with (
        only_writer(out),
        pytest.raises(ConfigError, match=r"another command writes into .*report' now; wait until it ends, or name"),
    ):
        out_of_turn(out)
    other = ExitStack()
    other.enter_context(only_writer(out))
    monkeypatch.setattr(
        drafts, "time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: other.close())
    )  # the other ends once somebody waits for it
    out_of_turn(out, 60)


def test_who_waits_for_another_process_says_what_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(drafts, "_MOMENT_S", 0.0)
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    drafts.wait_for_lock(first, "nobody is waited for")
    real = drafts.fcntl.flock

    def held_until_somebody_waits(handle, how):
        if how == drafts.fcntl.LOCK_EX:
            os.close(first)
        real(handle, how)

    monkeypatch.setattr(drafts.fcntl, "flock", held_until_somebody_waits)
    drafts.wait_for_lock(second, "another one makes it")
    assert capsys.readouterr().err == "note: another one makes it\n"
    assert not drafts.try_lock(os.open(tmp_path / "lock", os.O_RDWR)), "it is ours"


def test_a_run_leaves_the_verdict_that_a_server_writes_just_now(tmp_path):
    reviews, facts = tmp_path / "tables" / "reviews", tmp_path / "tables" / "facts"
    reviews.mkdir(parents=True)
    facts.mkdir()
    for folder in (reviews, facts):
        (folder / ".dead.parquet.tmp").write_bytes(b"half")
    with draft(reviews / "reviews-1.parquet") as temporary:
        temporary.write_bytes(b"a verdict")
        remove_leftovers(tmp_path)
        temporary.replace(reviews / "reviews-1.parquet")
    assert [path.name for path in (tmp_path / "tables").rglob("*") if path.is_file()] == ["reviews-1.parquet"]


def test_a_draft_that_is_not_renamed_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="no"), draft(tmp_path / "file"):
        raise ValueError("no")
    assert not list(tmp_path.iterdir())


def test_what_another_published_between_opening_and_locking_is_not_emptied(tmp_path, monkeypatch):
    path, real = tmp_path / "file", drafts.try_lock

    def lock_late(handle):
        monkeypatch.setattr(drafts, "try_lock", real)
        (tmp_path / ".file.tmp").write_bytes(b"of another")
        (tmp_path / ".file.tmp").rename(path)
        return real(handle)

    monkeypatch.setattr(drafts, "try_lock", lock_late)
    with draft(path) as temporary:
        assert path.read_bytes() == b"of another"
        assert temporary.read_bytes() == b""


def test_writers_of_the_same_file_wait_for_each_other(tmp_path):
    context = multiprocessing.get_context("fork")
    contents = [bytes([number]) * 50_000 for number in range(4)]

    def write(content):
        for _ in range(30):
            write_atomically(tmp_path / "file", content)

    processes = [context.Process(target=write, args=(content,)) for content in contents]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        if (tmp_path / "file").exists():
            assert (tmp_path / "file").read_bytes() in contents
    assert [process.exitcode for process in processes] == [0] * 4
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_new_key_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """A power cut that took the key away would take every pseudonym that was made with it."""
    synced, linked = set(), []
    fsync, link = os.fsync, os.link
    monkeypatch.setattr(os, "fsync", lambda handle: (fsync(handle), synced.add(os.fstat(handle).st_ino)))
    monkeypatch.setattr(
        os, "link", lambda old, new: (link(old, new), linked.append((new, os.stat(old).st_ino in synced)))
    )
    key = KeyMap(tmp_path / "corpus.sources.parquet")
    assert linked == [(key.path, True)]
    assert tmp_path.stat().st_ino in synced


def test_room_that_is_set_aside_is_there(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 20)
    before = path.stat().st_blocks
    set_room_aside(path)
    assert path.stat().st_size == 1 << 20
    assert before < path.stat().st_blocks
    assert path.stat().st_blocks * 512 >= 1 << 20
