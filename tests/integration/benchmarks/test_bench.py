"""The runner of comparisons: what is finished stays, what fails or is refused is said, and the page has all of it."""

import json
import subprocess
import sys

import pytest
from tests.benchmark_script import BENCHMARKS, benchmark_script

SCRIPT = """
import sys
sys.path.append({folder!r})
from bench.recording import record, record_figure
open({runs!r}, "a").write(sys.argv[1] + "\\n")
record("sorting", peer="bubbles", ratios=[3.0, 2.0, 8.0], ours=1.5, theirs=4.5, unit="ms", aim=2.5)
record("waiting", peer="bubbles", version="7", ratios=[0.5], spread=(0.4, 0.6), ours=2, theirs=1, unit="s", aim=0.9)
record_figure("memory", 120.0, unit="MB", aim=100)
record_figure("found", 97.0, unit="%", aim=95, least=True)
"""


@pytest.fixture(scope="module")
def run():
    return benchmark_script("run")


@pytest.fixture
def bench(run, tmp_path, monkeypatch):
    """Runs three scripts; what it says, and the states by name."""
    runs = tmp_path / "runs"
    (tmp_path / "good.py").write_text(SCRIPT.format(folder=str(BENCHMARKS), runs=str(runs)))
    (tmp_path / "bad.py").write_text("print('before')\nraise SystemExit('the disk is full')\n")
    comparison = run.Comparison
    monkeypatch.setattr(run, "HERE", tmp_path)
    monkeypatch.setattr(
        run,
        "COMPARISONS",
        (
            comparison("good", "good.py", ("short",), ("long",)),
            comparison("bad", "bad.py", ()),
            comparison("away", "good.py", ("short",), peer="dcm2niix", given=True),
            comparison("data", "good.py", ("short",), data=("no/such.npz",)),
            comparison("never-quick", "good.py", None),
        ),
    )

    def call(*words):
        status = 0
        try:
            run.main([*words, "--out", str(tmp_path / "out")])
        except SystemExit as error:
            status = error.code
        found = {p.stem: json.loads(p.read_text()) for p in (tmp_path / "out/results").glob("*.json")}
        return status, found, runs.read_text().split() if runs.exists() else []

    return call


def test_each_is_run_once_and_the_page_has_all(bench, tmp_path, monkeypatch, capsys):
    import bench.peers as peers  # of the folder benchmarks, which the script has put on the path

    monkeypatch.setattr(peers, "_run", lambda command, name: _refused(peers, name))
    monkeypatch.delenv("VOXTILE_TEST_DATA", raising=False)
    status, found, runs = bench("--quick")
    assert runs == ["short"]
    assert status.startswith("failed: bad; see ")
    assert {name: outcome["state"] for name, outcome in found.items()} == {
        "good": "finished", "bad": "failed", "away": "refused", "data": "refused",
    }  # fmt: skip
    assert found["bad"]["reason"] == "the disk is full"
    assert found["away"]["reason"] == "the peer dcm2niix cannot be installed (dcm2niix): no such thing"
    assert found["data"]["reason"] == "VOXTILE_TEST_DATA is not set, and it needs no/such.npz of that folder"
    assert "VOXTILE_TEST_DATA" in capsys.readouterr().out
    results = json.loads((tmp_path / "out/results.json").read_text())
    first, second = results["ratios"]
    assert first["ratio"] == {"median": 3.0, "low": 2.0, "high": 8.0}
    assert (first["name"], first["ours"], first["peer"], first["unit"]) == ("sorting", 1.5, "bubbles", "ms")
    assert {"version", "machine", "date", "rounds", "load", "aim", "script"} <= set(first)
    assert (second["ratio"], second["version"]) == ({"median": 0.5, "low": 0.4, "high": 0.6}, "7")
    page = (tmp_path / "out/index.html").read_text()
    for text in (
        "3.00×",
        "2.00 – 8.00",
        "aim 2.50 met",
        "aim 0.900 missed",
        "≤ 100 missed",
        "≥ 95.0 met",
        "the disk is full",
    ):
        assert text in page, text
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")

    assert bench("--quick")[2] == ["short"]  # what is finished stays, what failed is tried again
    assert bench("--quick", "--again", "good")[2] == ["short", "short"]
    assert bench("--only", "good")[2] == ["short", "short", "long"]  # another command
    assert bench("--only", "good")[2] == ["short", "short", "long"]


def _refused(peers, name):
    raise peers.PeerError(
        f"the peer {name} cannot be installed ({' '.join(peers.PEERS[name].packages)}): no such thing"
    )


def test_pips_own_words_are_told(run, tmp_path, monkeypatch):
    import bench.peers as peers

    def pip(command, **options):
        return subprocess.CompletedProcess(
            command, int("pip" in command), "", "noise\nERROR: No such distribution\nmore\n"
        )

    monkeypatch.setattr(peers.subprocess, "run", pip)
    with pytest.raises(
        peers.PeerError, match=r"^the peer dcm2niix cannot be installed \(dcm2niix\): ERROR: No such dist"
    ):
        peers.environment("dcm2niix", tmp_path)
    assert not (tmp_path / "dcm2niix" / peers.READY).exists()


def test_every_script_that_records_is_run_by_name(run):
    scripts = {each.script for each in run.COMPARISONS}
    recording = {
        p.name for p in BENCHMARKS.glob("*.py") if "bench.recording import" in p.read_text() and p.name != "run.py"
    }
    assert recording == scripts
    assert len({each.name for each in run.COMPARISONS}) == len(run.COMPARISONS)
    peers = sys.modules["bench.peers"].PEERS
    assert {each.peer for each in run.COMPARISONS} - {None} == set(peers)


def test_nothing_is_recorded_unasked(run, tmp_path, monkeypatch):
    from bench.recording import FOLDER, record_figure

    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    record_figure("x", 1.0, unit="s")
    assert list(tmp_path.iterdir()) == []


def test_figures_of_a_thousand_ranks_are_those_of_fewer_by_hand(run):
    ranks = benchmark_script("ranks")
    assert ranks.whole_epoch(8, 32) == (2**18 + 5) // 256 * 256
    options = type("Options", (), {"samples": 4_000_000, "ranks": 50, "batch": 32, "steps": 3, "shard": 1000})
    drawn, placed = (ranks.look(options, placed=placed) for placed in (False, True))
    name = "shards a rank opens in a step"
    assert placed[name]["mean"] < drawn[name]["mean"] <= 32
    assert placed["bytes of the most loaded rank over the mean"]["same"] == {"in a step": 1.0, "of all steps": 1.0}


def test_a_sparse_index_gives_the_rows_that_were_filled(run, tmp_path):
    petabyte = benchmark_script("petabyte")
    samples = 3 * 65_536 + 100
    petabyte.write_view(tmp_path / "view", samples)
    found = petabyte.measure("resumed", tmp_path / "view", samples)
    assert found["found"] > 32  # different pictures of 64, each of which was compared with its hash
