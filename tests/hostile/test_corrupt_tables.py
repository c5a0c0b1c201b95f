"""A table that lost a part, or a bit, is not read as if it were whole; records are under the hashes too."""

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fault_task import FaultTask
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import CAPTIONS
from voxtile.corpus.view.view import compile_view
from voxtile.engine.options import RunOptions
from voxtile.engine.run import run_task
from voxtile.errors import CorpusError
from voxtile.stages.verify.corpus import verify
from voxtile_datasets.converters.image import convert_image

PRESET = '{"class_path": "voxtile.data.presets.image.ImagePreset", "init_args": {"size": [16, 16]}}'


def _pictures(folder, names):
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 255, (16, 16)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Ten pictures in two jobs, converted by a run."""
    folder = tmp_path_factory.mktemp("tables")
    source = _pictures(folder / "pictures", [f"{n}.png" for n in range(10)])
    rows = [f"{n}.png,picture {n}" for n in range(10)]
    (folder / "labels.csv").write_text("\n".join(["file,text", *rows]))
    convert_image(source, folder / "corpus", labels=folder / "labels.csv", engine="inline", job_items=5)
    return folder / "corpus"


@pytest.fixture
def root(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "corpus")


def _part(root, table):
    return sorted((root / f"tables/{table}").glob("*.parquet"))[0]


@pytest.mark.parametrize("table", ["samples", "captions", "splits"])
def test_a_missing_part_is_noticed_by_whoever_reads(root, table, capfd):
    compile_view(Corpus(root))
    part = _part(root, table)
    part.unlink()
    for read in (
        lambda: Corpus(root).table(table),
        lambda: Corpus(root).connection(),
        lambda: compile_view(Corpus(root)),
    ):
        with pytest.raises(CorpusError, match=f"{part.name}' is missing, though the corpus says that it was written"):
            read()
    assert main(["inspect", str(root)]) == 2
    assert f"{part.name}' is missing" in capfd.readouterr().err


def test_a_part_that_was_removed_on_purpose(root, capfd):
    part = _part(root, "splits")
    part.unlink()
    whole = Corpus(root).table("samples").num_rows
    assert main(["verify", str(root), "--accept-missing"]) == 0
    assert f"tables/splits/{part.name}" in capfd.readouterr().out
    assert Corpus(root).table("splits").num_rows < whole
    compile_view(Corpus(root))
    assert main(["verify", str(root)]) == 0
    assert "no problem found" in capfd.readouterr().out
    assert main(["inspect", str(root)]) == 0
    assert f"{whole:,} samples" in capfd.readouterr().out


def test_parts_that_no_run_recorded_are_not_asked_for(root):
    """Tables made by hand, and a corpus copied without its records."""
    shutil.copy(_part(root, "captions"), root / "tables/captions/by-hand.parquet")
    (root / "tables/captions/by-hand.parquet").unlink()
    assert Corpus(root).table("captions").num_rows == 10
    shutil.rmtree(root / "done")
    _part(root, "captions").unlink()
    with pytest.raises(CorpusError, match="is missing"):
        Corpus(root).table("captions")
    shutil.rmtree(root / "manifests")
    assert Corpus(root).table("captions").num_rows == 5


def test_a_run_that_was_killed_before_its_manifest(root):
    """Its done files speak for it."""
    shutil.rmtree(root / "manifests")
    _part(root, "captions").unlink()
    with pytest.raises(CorpusError, match="is missing"):
        Corpus(root).table("captions")


def test_a_stage_does_not_work_on_what_is_left_of_a_table(root):
    """Captions were made of the facts that were left, and nothing was said."""
    part = _part(root, "captions")
    part.unlink()
    with pytest.raises(CorpusError, match=f"{part.name}' is missing"):
        run_task(FaultTask(("ok-1",)), root, RunOptions(engine="inline"))
    assert len(list((root / "manifests").iterdir())) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("export-wds", "ROOT", "OUT"),
        ("materialize", "ROOT", "OUT", "--preset", PRESET, "--engine", "inline"),
        ("curate", "ROOT", "--view", "good", "--dedup", "text"),
    ],
    ids=lambda words: words[0],
)
def test_what_is_made_of_tables_is_made_of_what_was_written(root, tmp_path, capfd, words):
    """It stays when the part is restored; a lost part of the splits put test subjects among the others."""
    out = tmp_path / "out"
    command = [{"ROOT": str(root), "OUT": str(out)}.get(word, word) for word in words]
    part = _part(root, "splits")
    rows = pq.read_table(part)
    for said in ("is not as it was written", "is missing"):
        pq.write_table(rows.slice(1), part)
        if said == "is missing":
            part.unlink()
        assert main(command) == 2
        assert f"{part.name}' {said}" in capfd.readouterr().err
        assert not out.exists()
        assert not (root / "views").exists()


@pytest.mark.parametrize("table", ["samples", "captions"])
def test_a_changed_part_is_no_source_of_a_view(root, table):
    """A letter of a caption or a number of a sample: sound Parquet, and not what was written."""
    part = _part(root, table)
    rows = pq.read_table(part)
    pq.write_table(rows.slice(0, rows.num_rows - 1), part)
    with pytest.raises(CorpusError, match=f"{part.name}' is not as it was written"):
        compile_view(Corpus(root))


def test_a_manifest_that_is_not_what_was_written_is_named(root):
    """No other file vouches for it: a licence of another letter, and a run whose manifest is gone, were not noticed."""
    path = root / "manifests/0001.json"
    sound = path.read_text()
    for changed in (sound.replace('"used": 10', '"used": 11'), sound.replace(": null", ": true"), f"{sound} "):
        assert changed != sound
        path.write_text(changed)
        with pytest.raises(CorpusError, match=r"0001\.json' is damaged"):
            Corpus(root).table("samples")
        assert verify(root).problems[0].where == "manifests/0001.json"
    old = json.loads(sound)
    del old["sha256"]
    path.write_text(json.dumps(old))
    assert not verify(root).problems, "earlier versions wrote none"


def test_manifests_are_numbered_without_gaps(root, capfd):
    path = root / "manifests/0001.json"
    path.rename(root / "manifests/0003.json")
    assert [one.where for one in verify(root).problems] == ["manifests/0001.json", "manifests/0002.json"]
    assert main(["verify", str(root), "--accept-missing"]) == 0
    assert "noted as removed: manifests/0001.json, manifests/0002.json" in capfd.readouterr().out
    assert not verify(root).problems


@pytest.mark.parametrize("name", ["corpus.json", "done", "manifests"])
def test_records_are_under_the_hashes(root, name):
    manifest = json.loads((root / "manifests/0001.json").read_text())
    done = sorted((root / "done").glob("*.json"))
    assert {"corpus.json", *(f"done/{path.name}" for path in done)} <= manifest["files"].keys()
    if name == "manifests":
        (root / "manifests/0001.json").write_text("{")
        with pytest.raises(CorpusError, match=r"0001\.json' is damaged"):
            Corpus(root).table("samples")
        return
    path = root / name if name == "corpus.json" else done[0]
    changed = path.read_text().replace('"2.0"', '"2.1"' if name == "corpus.json" else '"1.0"')
    path.write_text(changed.replace('"used"', '"lost"'))
    [problem] = verify(root).problems
    assert problem.where == path.relative_to(root).as_posix()
    assert "differs from what was written" in problem.what
    path.unlink()
    if name == "done":
        assert "the file is missing" in str(verify(root).problems[0])


def test_a_job_that_is_done_again_is_recorded_again(tmp_path):
    """An input that comes before an old one with the same content takes its sample over, in a later run."""
    root, options = tmp_path / "corpus", RunOptions(engine="inline", job_items=2)
    run_task(FaultTask(("same-1", "ok-1")), root, options)
    before = {path.name: path.read_bytes() for path in (root / "done").glob("*.json")}
    run_task(FaultTask(("same-0", "ok-0", "same-1", "ok-1")), root, options)
    assert sum((root / "done" / name).read_bytes() != held for name, held in before.items()) == 1
    assert verify(root).problems == []
    assert len(compile_view(Corpus(root))) == 3


def test_another_format_is_no_corpus(root):
    (root / "corpus.json").write_text('{"format": "voxtile-corpvs", "schema": "2.0"}')
    with pytest.raises(CorpusError, match="is damaged"):
        Corpus(root)


def _bomb(path, nbytes):
    """A part of a few hundred kB whose rows are one text again and again: some GB once they are read."""
    rows = 2000
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * (nbytes // rows)]))
    columns = {"caption_id": pa.array([str(n) for n in range(rows)]), "uid": pa.array(["u"] * rows), "text": texts}
    columns |= {field.name: pa.nulls(rows, field.type) for field in CAPTIONS if field.name not in columns}
    columns["kind"] = pa.array(["raw"] * rows)
    table = pa.table({field.name: columns[field.name] for field in CAPTIONS})
    pq.write_table(table, path, compression="zstd", store_schema=False)  # a reader then makes plain texts of it


def test_a_table_that_outgrows_the_memory_costs_one_line_of_verify(root):
    _bomb(root / "tables/captions/bomb.parquet", 3 << 30)
    assert (root / "tables/captions/bomb.parquet").stat().st_size < 1 << 20
    command = [sys.executable, "-P", "-m", "voxtile.cli.main", "verify", str(root), "--memory-limit-gb", "0.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        peak = 0
        while run.poll() is None:
            try:
                family = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
                peak = max(peak, sum(process.memory_info().rss for process in family))
            except psutil.Error:
                pass
            time.sleep(0.05)
        said = run.stdout.read()
    assert run.returncode == 2, said
    assert "tables/captions/bomb.parquet: reading it goes beyond the limits (more memory" in " ".join(said.split())
    assert "1 problem;" in " ".join(said.split())
    assert peak < 1.3 * 2**30


def test_one_input_and_one_subject(tmp_path):
    """The smallest corpus is verified, inspected, compiled and cut off as a larger one is."""
    root = tmp_path / "corpus"
    run_task(FaultTask(("ok-1",)), root, RunOptions(engine="inline"))
    assert main(["verify", str(root)]) == 0
    assert main(["inspect", str(root)]) == 0
    assert len(compile_view(Corpus(root))) == 1
    shard = next((root / "shards").glob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:700])
    assert main(["verify", str(root)]) == 2
    with pytest.raises(CorpusError, match="cut short"):
        Corpus(root).source(Corpus(root).row(Corpus(root).table("samples")["uid"][0].as_py())).array()
