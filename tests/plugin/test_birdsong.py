"""A domain of sound recordings, written outside this repository by CONTRIBUTING.md: from its wheel, by the commands."""

import csv
import json
import wave
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.sweep(ci=True)  # the suite has test_plugins.py, test_new_domain.py and test_task_kinds.py
PACKAGE = Path(__file__).parent / "voxtile-birdsong"
RATE, HOP = 8000, 128  # samples a second, and a frame of a spectrogram
LENGTH = 0.8  # seconds of a call
REMARKS = {
    "trill": ("A fast trill of short notes.", "Short notes in quick succession.", "Rapid trill, many notes in a row."),
    "whistle": ("A long falling whistle.", "One whistle that falls slowly.", "Single clear note, falling."),
}


def trill(rng):
    """Notes of 30 ms near 3 kHz, 14 a second."""
    t = np.arange(int(LENGTH * RATE)) / RATE
    return np.sin(2 * np.pi * rng.uniform(2800, 3200) * t) * (np.sin(2 * np.pi * 14 * t) > 0.2)


def whistle(rng):
    """A glide from 2.6 to 1.6 kHz."""
    t = np.arange(int(LENGTH * RATE)) / RATE
    pitch = np.linspace(rng.uniform(2500, 2700), rng.uniform(1500, 1700), len(t))
    return np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.hanning(len(t))


def recorded(rng, call):
    """[N] a call somewhere in 1.5 s of wind, whose spectrum falls by 3 dB an octave, and the hum of the microphone."""
    count = int(1.5 * RATE)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    wind = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), count)
    sound = 0.02 * wind / wind.std() + 0.01 * np.sin(2 * np.pi * 100 * np.arange(count) / RATE)
    song = {"trill": trill, "whistle": whistle}[call](rng)
    start = rng.integers(0, count - len(song))
    sound[start : start + len(song)] += rng.uniform(0.1, 0.4) * song
    return sound, start / RATE


def write_recordings(folder, sites=40, each=3):
    """WAV files and recordings.csv, as people in the field leave them."""
    rows = []
    for site in range(sites):
        for number in range(each):
            rng = np.random.default_rng((site, number))
            call = list(REMARKS)[(site + number) % 2]
            sound, _ = recorded(rng, call)
            name = f"site-{site:02d}/{number}.wav"
            write_wav(folder / name, sound)
            rows.append([name, f"site-{site:02d}", call, str(rng.choice(REMARKS[call])), "2024-05-01T04:30:00"])
    with (folder / "recordings.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["file", "site", "call", "remark", "datetime"], *rows])


def write_wav(path, sound):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.rint(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def voxtile(installed, make_nursery, tmp_path_factory):
    """Runs the command with the plugin from its wheel, in a folder that was empty, each time in a new process."""
    folder = tmp_path_factory.mktemp("empty")
    imports = "import torch\nimport voxtile.cli.lightning\nimport voxtile.evaluation.command\nimport voxtile.cli.main"
    nursery = make_nursery(imports, "voxtile.cli.main.main(argv)", python=installed(PACKAGE))

    def run(*words, status=0):
        log = tmp_path_factory.mktemp("said") / "log"
        nursery.start(folder, words, said=log)
        ended, said = nursery.wait(), log.read_text()
        assert ended == status, said[-4000:]
        return said

    run.folder = folder
    return run


@pytest.fixture(scope="module")
def corpus(voxtile):
    write_recordings(voxtile.folder / "recordings")
    write_wav(voxtile.folder / "recordings" / "site-90" / "silence.wav", np.zeros(RATE))
    (voxtile.folder / "recordings" / "site-91").mkdir()
    (voxtile.folder / "recordings" / "site-91" / "notes.wav").write_text("battery empty")
    voxtile("convert", "wav", "recordings", "corpus", "--workers", "2", "--licence", "CC-BY-4.0", status=1)
    return voxtile.folder / "corpus"


@pytest.fixture(scope="module")
def checkpoint(voxtile, corpus):
    voxtile("fit", "-c", "birdsong/birdsong", "--data.corpus", "corpus", "--trainer.accelerator", "cpu")
    [found] = voxtile.folder.glob("runs/birdsong/version_0/checkpoints/last.ckpt")
    return found


def test_it_is_listed_with_what_it_offers(voxtile):
    said = voxtile("domains")
    assert "birdsong: sound recordings of birds: WAV files" in said
    assert "birdsong/calls, birdsong/which-call" in said
    assert "two-alternatives" in said.rpartition("kinds of tasks: ")[2]


def test_recordings_become_a_corpus_and_bad_ones_a_row_each(voxtile, corpus):
    rows = pq.read_table(corpus / "tables" / "samples").to_pylist()
    assert len(rows) == 120
    assert {tuple(row["shape"]) for row in rows} == {(129, 94)}
    assert {(row["units"], row["modality"], row["licence"]) for row in rows} == {("dB", "AUDIO", "CC-BY-4.0")}
    ledger = {row["source"]: row for row in pq.read_table(corpus / "ledger").to_pylist() if row["status"] != "used"}
    assert (ledger["site-90/silence.wav"]["status"], ledger["site-90/silence.wav"]["reason"]) == ("dropped", "silent")
    assert ledger["site-91/notes.wav"]["status"] == "failed"
    splits = pq.read_table(corpus / "tables" / "splits").to_pylist()
    assert len({(row["subject"], row["split"]) for row in splits}) == len({row["subject"] for row in splits})
    voxtile("verify", "corpus")


def test_it_trains_and_is_evaluated_by_both_kinds_of_task(voxtile, checkpoint):
    voxtile("evaluate", checkpoint, "birdsong/calls", "birdsong/which-call", "--corpus", "corpus", "--out", "report")
    content = json.loads((voxtile.folder / "report" / "results.json").read_text())
    figures = {(row["task"], row["kind"], row["metric"]): row["value"] for row in content["rows"]}
    assert figures["birdsong/calls", "model", "auroc"] > 0.9
    assert figures["birdsong/which-call", "model", "correct"] > 0.85
    assert figures["birdsong/which-call", "shuffled", "correct"] < 0.75
    assert "The description that fits is the nearer one" in (voxtile.folder / "report" / "index.html").read_text()


def test_it_shows_when_a_call_is_heard(voxtile, checkpoint):
    sound, start = recorded(np.random.default_rng(999), "trill")
    write_wav(voxtile.folder / "new.wav", sound)
    voxtile("ground", checkpoint, "new.wav", "a trill of short notes", "--out", "found")
    shown = json.loads((voxtile.folder / "found" / "new.geojson").read_text())
    [part] = shown["features"]
    frames = [x for x, _ in part["geometry"]["coordinates"][0]]
    first, last = min(frames) * HOP / RATE, max(frames) * HOP / RATE
    both = min(last, start + LENGTH) - max(first, start)
    assert both / (max(last, start + LENGTH) - min(first, start)) > 0.6


def test_it_is_exported(voxtile, checkpoint):
    said = voxtile("export", checkpoint, "onnx", "--to", "onnx", "--corpus", "corpus")
    assert "largest difference from the checkpoint" in said
    settings = json.loads((voxtile.folder / "onnx" / "voxtile.json").read_text())
    assert settings["preset"]["class_path"] == "voxtile_birdsong.preset.SpectrogramPreset"


def test_without_the_package_its_checkpoint_is_refused_with_what_to_do(checkpoint, tmp_path):
    from voxtile.errors import CheckpointError
    from voxtile.inference.load import load_model

    with pytest.raises(CheckpointError, match="its package 'voxtile_birdsong' is not installed here: install it and"):
        load_model(str(checkpoint))
