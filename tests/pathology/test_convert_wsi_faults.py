"""Slide conversion when things go wrong: damaged tiles and files, kills, many workers; and memory of a large slide."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import openslide
import psutil
import pytest
import tifffile

from voxtile.corpus.reader import Corpus
from voxtile.errors import RunFailedError
from voxtile.stages.verify.corpus import verify
from voxtile_pathology.convert.convert import convert_wsi
from voxtile_pathology.phantom.large_slide import CELL, TILE, write_large_slide

MEMORY = 1 << 30  # of all processes together


def patches(store):
    return [row for row in store.table("samples").to_pylist() if row["kind"] == "patch"]


def files_of(corpus):
    found = [p for name in ("shards", "tables", "ledger", "done") for p in (corpus / name).rglob("*") if p.is_file()]
    return {str(p.relative_to(corpus)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def command(slides, corpus, *options):
    words = ["convert", "wsi", str(slides), str(corpus), "--key-file", str(slides.parent / "keys.parquet"), *options]
    return [sys.executable, "-m", "voxtile.cli.main", *words]


def test_a_large_slide_is_what_it_says(tmp_path):
    made = write_large_slide(tmp_path / "large.tif", (9000, 5000), tissue_share=0.34, seed=3)
    assert made.tissue.shape == (2, 3)
    with openslide.OpenSlide(str(tmp_path / "large.tif")) as slide:
        assert slide.dimensions == (9000, 5000)
        assert [round(d) for d in slide.level_downsamples] == [1, 4, 16]
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)
        for row, column in np.ndindex(made.tissue.shape):
            for level, downsample in enumerate((1, 4, 16)):
                side = TILE // downsample if level else TILE
                corner = (column * CELL, row * CELL)
                pixels = np.asarray(slide.read_region(corner, level, (side, side)).convert("RGB"))
                assert (pixels.std() > 5) == made.tissue[row, column]


def damage(path, tile):
    """Overwrite the entropy-coded part of one tile of a TIFF whose tiles are JPEG."""
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[tile], tiff.pages[0].databytecounts[tile]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x00" * min(400, count))


def test_a_corrupt_tile_costs_its_patches_and_nothing_else(tmp_path, slide_writer, capsys):
    rng = np.random.default_rng(0)
    picture = np.clip(rng.normal((200, 130, 190), 20, (1280, 1280, 3)), 0, 255).astype(np.uint8)
    slide_writer.folder = tmp_path / "slides"
    slide_writer.folder.mkdir()
    whole = slide_writer.jpeg_pyramid("a.tif", [picture, picture[::4, ::4]], tile=256, mpp=0.5)
    damage(whole, 5 * 1 + 2)  # second row, third column
    for name, options in (("encoded", {}), ("passed", {"pass_through": True})):
        corpus = tmp_path / name
        with pytest.raises(RunFailedError, match="unreadable-patch"):
            convert_wsi(slide_writer.folder, corpus, engine="inline", workers=1, min_tissue=0.0, **options)
        places = {tuple(row["level0_box"][:2]) for row in patches(Corpus(corpus))}
        assert places == {(x, y) for x in range(0, 1280, 256) for y in range(0, 1280, 256)} - {(512, 256)}
        ledger = Corpus(corpus).ledger().to_pylist()
        lost = [row for row in ledger if row["status"] == "failed"]
        assert [row["reason"] for row in lost] == ["unreadable-patch"]
        assert lost[0]["uid"]
        assert not verify(corpus).problems
    said = capsys.readouterr().out
    assert "the tile (2, 1) of the 1280 x 1280 level is damaged" in said
    assert "a.tif" not in said  # the line begins with the slide's hash, and the key map says which it is


def test_damaged_slides_cost_themselves_and_nothing_else(tmp_path, slide_writer, capsys):
    rng = np.random.default_rng(0)
    picture = np.clip(rng.normal((200, 130, 190), 20, (600, 600, 3)), 0, 255).astype(np.uint8)
    slide_writer.folder = tmp_path / "slides"
    slide_writer.folder.mkdir()
    sound = slide_writer.svs("sound.svs", [picture], tile=128, mpp=0.5, objective=20)
    whole = sound.read_bytes()
    (slide_writer.folder / "cut.svs").write_bytes(whole[: len(whole) // 3])
    (slide_writer.folder / "empty.svs").write_bytes(b"")
    (slide_writer.folder / "words.svs").write_text("not a slide at all" * 300)
    (slide_writer.folder / "parts.mrxs").write_bytes(b"\xff\xd8\xff\xe0" + bytes(500))
    with pytest.raises(RunFailedError):
        convert_wsi(slide_writer.folder, tmp_path / "corpus", engine="inline", workers=1, deidentify=False)
    store = Corpus(tmp_path / "corpus")
    assert {row["source"] for row in patches(store)} == {"sound.svs"}
    failed = {row["source"]: row["reason"] for row in store.ledger().to_pylist() if row["status"] == "failed"}
    assert failed == dict.fromkeys(("cut.svs", "empty.svs", "parts.mrxs", "words.svs"), "unreadable-slide")
    assert "Traceback" not in capsys.readouterr().out


def test_a_slide_that_vanishes_after_the_plan_fails_alone(tmp_path, monkeypatch):
    from voxtile_pathology.convert import task

    slides = tmp_path / "slides"
    slides.mkdir()
    for name, seed in (("a.tif", 1), ("b.tif", 2)):
        write_large_slide(slides / name, (CELL, CELL), tissue_share=1.0, seed=seed)
    process = task.WsiTask.process

    def vanish(self, item):
        (slides / "a.tif").unlink(missing_ok=True)
        return process(self, item)

    monkeypatch.setattr(task.WsiTask, "process", vanish)
    with pytest.raises(RunFailedError):
        convert_wsi(slides, tmp_path / "corpus", engine="inline", deidentify=False, coords_only=True)
    store = Corpus(tmp_path / "corpus")
    assert {row["source"] for row in patches(store)} == {"b.tif"}
    assert {r["source"].partition("#")[0] for r in store.ledger().to_pylist() if r["status"] == "failed"} == {"a.tif"}


@pytest.mark.sweep(ci=True)
@pytest.mark.slow
def test_one_slide_is_shared_by_workers_survives_kills_and_gives_the_same_bytes(tmp_path):
    slides = tmp_path / "slides"
    slides.mkdir()
    made = write_large_slide(slides / "large.tif", (3 * CELL, 2 * CELL), tissue_share=0.67)
    options = ("--pass-through", "--job-items", "2")
    here = {"key_file": tmp_path / "keys.parquet", "pass_through": True, "job_items": 2}  # the same in this process
    convert_wsi(slides, tmp_path / "undisturbed", engine="inline", **here)
    expected = files_of(tmp_path / "undisturbed")
    assert len(patches(Corpus(tmp_path / "undisturbed"))) == made.tissue_tiles
    assert len(list((tmp_path / "undisturbed" / "shards").iterdir())) > 4  # one slide, many jobs
    corpus = tmp_path / "killed"
    for kill in range(3):
        process = subprocess.Popen(
            command(slides, corpus, "--workers", "2", *options),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        target = len(list((corpus / "done").glob("*.json"))) + 1 + kill
        while process.poll() is None and len(list((corpus / "done").glob("*.json"))) < target:
            time.sleep(0.001)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    convert_wsi(slides, corpus, workers=3, **here)
    assert files_of(corpus) == expected
    assert not verify(corpus).problems


@pytest.mark.slow
def test_memory_stays_small_and_work_follows_the_tissue(tmp_path):
    """A tenth of the full size; `benchmarks/slide_memory.py` does 100,000 × 80,000."""
    slides = tmp_path / "slides"
    slides.mkdir()
    made = write_large_slide(slides / "large.tif", (32_000, 25_000), tissue_share=0.05)
    assert (slides / "large.tif").stat().st_size < 2e6
    process = psutil.Popen(command(slides, tmp_path / "corpus", "--workers", "2"), stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        family = [process, *process.children(recursive=True)]
        peak = max(peak, sum(_memory(member) for member in family))
        time.sleep(0.05)
    assert process.returncode == 0
    assert peak < MEMORY
    store = Corpus(tmp_path / "corpus")
    assert len(patches(store)) == made.tissue_tiles
    assert store.ledger().num_rows <= 3 + made.tissue_tiles // 32


def _memory(process):
    """Proportional share where the system tells it, so that pages in common count once."""
    try:
        return process.memory_full_info().pss if sys.platform == "linux" else process.memory_info().rss
    except psutil.Error:
        return 0
