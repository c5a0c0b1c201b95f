"""What rank 0 makes of what it hears and does not hear, and who may speak to it."""

import contextlib
import csv
import socket
import time

import pytest

from voxtile.errors import ConfigError
from voxtile.training.callbacks import rank_watch
from voxtile.training.callbacks.rank_channel import LIMIT, Address, Hub, Line, connected
from voxtile.training.callbacks.rank_watch import RankWatch, Watched
from voxtile.training.callbacks.stragglers import Stragglers


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(rank_watch.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def watched():
    made = Watched(3)
    for rank in (1, 2):
        made.hear(rank, {"pid": 70 + rank, "host": f"node{rank}"})
    return made


def state(step, *, waits, seconds=0.0):
    return {"step": step, "waits": waits, "seconds": seconds}


def test_silence_is_told_once_and_then_ends_the_run(clock, watched):
    clock[0] += 50
    assert watched.verdict(600) is None
    assert list(watched.news(60, state(0, waits=False))) == []
    watched.hear(1, state(4, waits=False))
    clock[0] += 20
    (said,) = watched.news(60, state(4, waits=False))
    assert said.startswith("the process of rank 2 (process id 72 on node2) has given no sign of life for 70 s")
    assert list(watched.news(60, state(4, waits=False))) == []
    clock[0] += 560
    watched.hear(1, state(4, waits=False))
    assert watched.verdict(600).startswith("the process of rank 2 (process id 72 on node2) has given no sign of life")
    assert watched.verdict(600).endswith("go on with --ckpt_path last, or raise ranks.end_after")


def test_nobody_is_silent_while_rank_0_itself_stood_still(clock, watched):
    clock[0] += 700
    watched.forgive(699)
    assert watched.verdict(600) is None
    assert list(watched.news(60, state(0, waits=False))) == []


def test_who_lives_but_waits_for_its_data_is_named_and_only_if_the_others_do_not(clock, watched):
    watched.hear(1, state(7, waits=True, seconds=80))
    watched.hear(2, state(7, waits=False, seconds=79))
    (said,) = watched.news(60, state(7, waits=False, seconds=79))
    assert said.startswith("the process of rank 1 (process id 71 on node1) waits for its data since 80 s, after step 7")
    watched.hear(1, state(8, waits=True, seconds=1))
    assert list(watched.news(60, state(7, waits=False))) == []
    for rank in (1, 2):  # nobody is behind: all wait, as before the first batch
        watched.hear(rank, state(8, waits=True, seconds=80))
    assert list(watched.news(60, state(8, waits=True, seconds=80))) == []


def test_a_lost_connection_is_a_death_unless_the_process_has_said_goodbye(clock, watched):
    watched.hear(1, {"bye": True})
    watched.connection(1, open_=False)
    assert watched.verdict(600) is None
    assert watched.staying
    watched.connection(2, open_=False)
    assert watched.verdict(600).startswith("the process of rank 2 (process id 72 on node2) is gone, so that all others")
    clock[0] += 10_000
    assert "rank 2" in watched.verdict(600)


def test_an_error_of_one_is_the_sentence_of_all(clock, watched):
    watched.hear(2, {"failed": "KeyError: 'x'"})
    watched.connection(2, open_=False)
    assert watched.verdict(600) == (
        "the process of rank 2 (process id 72 on node2) ended with: KeyError: 'x'; go on with --ckpt_path last"
    )


def received(hub, expected):
    """Messages of a hub, once there are as many."""
    found = []
    while len(found) < expected:
        found += hub.received()
        time.sleep(0.001)
    return found


@pytest.fixture
def hub():
    made = Hub.listening("nowhere.invalid", alone=True)
    yield made
    made.close()


def test_messages_pass_both_ways_and_a_closed_line_is_known(hub):
    line = connected(hub.address)
    line.send({"token": hub.address.token, "rank": 5, "pid": 1, "host": "h"})
    line.send({"step": 3})
    assert [(rank, "step" in message) for rank, message in received(hub, 2)] == [(5, False), (5, True)]
    hub.tell({"beat": True})
    while not (back := line.received()):
        time.sleep(0.001)
    assert back == [{"beat": True}]
    line.close()
    while hub.lines[5].open:
        hub.received()


@pytest.mark.parametrize(
    "first",
    [
        b'{"token": "guessed", "rank": 1}\n',
        '{"token": "gu\u00e9ssed", "rank": 1}\n'.encode(),
        b'{"token": "\\ud800", "rank": 1}\n',
        b"GET / HTTP/1.1\n",
        b"[]\n",
        b"7\n",
        b"[" * 60_000 + b"\n",
        b"x" * (1 << 18),
    ],
)
def test_a_stranger_is_cut_off_and_nobody_takes_its_place(hub, first):
    with socket.create_connection(("127.0.0.1", hub.address.port)) as stranger:
        stranger.setblocking(False)
        sent = 0
        while True:
            try:
                if sent < len(first):
                    sent += stranger.send(first[sent:])
                assert not hub.received()
                if stranger.recv(1) == b"":
                    break
            except BlockingIOError:
                continue
            except ConnectionError:
                break
    assert hub.lines == {}


def test_a_message_that_is_too_long_or_none_ends_the_line():
    for bad in (b"x" * (1 << 18), b"no message\n"):
        ours, theirs = socket.socketpair()
        line = Line(ours)
        theirs.setblocking(False)
        while bad and line.open:
            with contextlib.suppress(BlockingIOError):
                bad = bad[theirs.send(bad) :]
            assert line.received() == []
        while line.open:
            assert line.received() == []
        theirs.close()
        line.close()


def test_one_that_sends_without_end_is_read_a_piece_at_a_time():
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    theirs.setblocking(False)
    sent, line, turns = 0, Line(ours), []
    with contextlib.suppress(BlockingIOError):
        while sent < 5 * LIMIT:
            sent += theirs.send(b'{"a": 1}\n' * 1000)
    assert sent > 2 * LIMIT, "more than one turn holds"
    while sum(turns) < sent // 9:
        turns.append(len(line.received()))
    assert max(turns) * 9 <= 2 * LIMIT
    assert line.open
    theirs.close()
    line.close()


def test_strangers_are_taken_in_up_to_a_number(hub):
    strangers = [socket.create_connection(("127.0.0.1", hub.address.port)) for _ in range(300)]
    assert hub.received() == []
    assert len(hub._strangers) == 256
    for stranger in strangers:
        stranger.close()
    line = connected(hub.address)
    line.send({"token": hub.address.token, "rank": 1, "pid": 1, "host": "h"})
    assert received(hub, 1)[0][0] == 1, "whoever belongs to the run still comes in"
    line.close()


def test_the_address_says_how_to_reach_rank_0():
    hub = Hub.listening("head", alone=False)
    assert hub.address == Address("head", hub.listener.getsockname()[1], hub.address.token)
    assert len(hub.address.token) == 32
    hub.close()


def reports(step, *own, data=0.0):
    return [(rank, {"step": step, "own": one, "data": data, "whole": max(own)}) for rank, one in enumerate(own)]


def test_the_slowest_is_written_down_at_each_step_and_named_once(tmp_path):
    stragglers, hosts = Stragglers(4), {0: "a", 1: "a", 2: "b", 3: "b"}
    for rank, report in reports(50, 0.2, 0.21, 0.9, 0.19, data=0.6)[:-1]:
        stragglers.add(rank, report)
        assert list(stragglers.write(tmp_path, hosts)) == []  # one is missing yet
    stragglers.add(*reports(50, 0.2, 0.21, 0.9, 0.19, data=0.6)[-1])
    (said,) = stragglers.write(tmp_path, hosts)
    assert said.startswith(
        "all processes go at the pace of rank 2 (on b): 0.90 s a step of its own, 0.60 s of it waiting"
    )
    assert "median is 0.20 s" in said
    for step, own, told in (
        (100, (0.2, 0.2, 0.9, 0.2), 0),
        (150, (0.2, 0.2, 0.25, 0.2), 0),
        (200, (0.2, 0.2, 0.8, 0.2), 1),
    ):
        for rank, report in reports(step, *own):
            stragglers.add(rank, report)
        assert len(list(stragglers.write(tmp_path, hosts))) == told, step
    rows = list(csv.DictReader((tmp_path / "stragglers.csv").open()))
    assert [(row["step"], row["slowest_rank"], row["host"]) for row in rows] == [
        ("50", "2", "b"), ("100", "2", "b"), ("150", "2", "b"), ("200", "2", "b"),
    ]  # fmt: skip
    assert [row["own_s"] for row in csv.DictReader((tmp_path / "ranks.csv").open())] == [
        "0.2000",
        "0.2000",
        "0.8000",
        "0.2000",
    ]


def test_reports_that_never_become_whole_are_dropped(tmp_path):
    stragglers = Stragglers(2)
    for step in range(1000):
        stragglers.add(0, {"step": step, "own": 0.1, "data": 0.0, "whole": 0.1})
        assert list(stragglers.write(tmp_path, {0: "a"})) == []
    assert len(stragglers._reports) <= 20


@pytest.mark.parametrize("wrong", [{"note_after": 0}, {"note_after": 700}, {"end_after": 10}])
def test_times_that_do_not_go_together_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"^ranks: note_after .* no more than end_after"):
        RankWatch(**wrong)
