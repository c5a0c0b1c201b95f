"""What a conversion of ordinary images imports, itself and in its workers: that is most of a small one's time."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pydicom.datadict
import pydicom.uid
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from module_lister import ModuleLister
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from pydicom.charset import convert_encodings, decode_bytes, python_encoding

from voxtile.corpus.parts import text_table
from voxtile.engine.run import RunOptions, run_task
from voxtile_datasets.intake.deidentify import PlainNames
from voxtile_datasets.intake.planner import Planner
from voxtile_datasets.intake.splits_file import Splits
from voxtile_medical.dicom_header import dictionary, element_values, tags
from voxtile_medical.orientation import _turns, to_nearest_ras

HEAVY = {
    "asyncio", "duckdb", "gdcm", "httpx._client", "indexed_gzip", "jsonargparse", "lightning", "nibabel", "pandas.core",
    "PIL", "pyarrow.compute", "pyarrow.dataset", "pydicom", "pylibjpeg", "requests", "rich.progress", "scipy", "torch",
    "yaml", "voxtile.corpus.reader", "voxtile_datasets.deidentification", "voxtile_medical.deface",
    "voxtile_medical.dicomweb",
    "voxtile_medical.report_files", "voxtile_medical.segmentations",
}  # fmt: skip
OF_WORKERS = {"blosc2", "simplejpeg"}
OF_THE_COMMAND = {"click", "psutil", "rich", "voxtile.engine.run", "voxtile.stages"}


def test_the_command_imports_no_more_than_it_needs(tmp_path, dicom, noise):
    dicom.write(tmp_path / "in", noise(3, 16, 16), SeriesDescription="Thorax")
    code = "import sys; from voxtile.cli.main import main; main(); print(*sys.modules, file=sys.stderr)"
    words = ["convert", "dicom", "in", "corpus", "--workers", "1"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    imported = set(done.stderr.split())
    assert not _those_of(HEAVY | OF_WORKERS, imported)
    assert "voxtile_medical.dicom.task" in imported


def test_a_worker_imports_no_more_than_it_needs(tmp_path, dicom, noise):
    for number in range(2):
        folder = tmp_path / "in" / str(number)
        dicom.write(folder, noise(3, 16, 16, seed=number), SeriesInstanceUID=f"1.2.{number}")
    names = PlainNames()
    planner = Planner(names, Splits(names, "0.8,0.1,0.1", None))
    listed = tmp_path / "modules"
    task = ModuleLister(tmp_path / "in", deidentify=False, planner=planner, listed=listed)
    assert run_task(task, tmp_path / "corpus", RunOptions(workers=1)).used == 2
    imported = set(listed.read_text().split())
    assert not _those_of(HEAVY | OF_THE_COMMAND, imported)
    assert "blosc2" in imported


def _those_of(packages, names):
    return {name for name in names if any(name == package or name.startswith(f"{package}.") for package in packages)}


def test_tags_and_representations_are_those_of_the_dicom_dictionary():
    assert set(dictionary.ELEMENTS) == set(tags.KEYWORDS)
    for keyword, (tag, vr) in dictionary.ELEMENTS.items():
        assert pydicom.datadict.tag_for_keyword(keyword) == tag
        assert pydicom.datadict.dictionary_VR(tag) == vr
    assert pydicom.uid.ImplicitVRLittleEndian == dictionary.IMPLICIT_LITTLE_ENDIAN
    assert pydicom.uid.ExplicitVRLittleEndian == dictionary.EXPLICIT_LITTLE_ENDIAN
    assert pydicom.uid.DeflatedExplicitVRLittleEndian == dictionary.DEFLATED_LITTLE_ENDIAN
    assert pydicom.uid.ExplicitVRBigEndian == dictionary.EXPLICIT_BIG_ENDIAN
    assert pydicom.uid.JPEGBaseline8Bit == dictionary.JPEG_BASELINE


@pytest.mark.parametrize("charset", sorted(filter(None, python_encoding)))
def test_plain_letters_are_the_same_in_every_character_set(charset):
    letters = bytes(set(range(128)) - {0x1B})
    assert element_values._decode(letters, charset.encode()) == decode_bytes(
        letters, convert_encodings([charset]), {ord(c) for c in "\\^="}
    )


near = st.sampled_from([0.0, 1e-9, 0.01, 0.05, 0.3])


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), near)
def test_volumes_are_turned_as_nibabel_turns_them(seed, tilt):
    rng = np.random.default_rng(seed)
    directions = np.eye(3)[rng.permutation(3)] * rng.choice([-1, 1], 3) + rng.normal(0, 1, (3, 3)) * tilt
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions * rng.uniform(0.3, 5, 3), rng.normal(0, 100, 3)
    array = rng.integers(0, 99, (2, 3, 4))
    xyz, orientation = array.transpose(2, 1, 0), io_orientation(affine)
    turned, adjusted = to_nearest_ras(array, affine)
    np.testing.assert_array_equal(turned, apply_orientation(xyz, orientation).transpose(2, 1, 0))
    assert adjusted.tobytes() == (affine @ inv_ornt_aff(orientation, xyz.shape)).tobytes()


def test_only_directions_near_the_axes_are_turned_at_a_look():
    slanted = np.eye(4)
    slanted[:3, :3] = [[0.9, 0, 0.43], [0, 1, 0], [-0.43, 0, 0.9]]
    assert _turns(np.eye(4)) == ([0, 1, 2], [1, 1, 1])
    assert _turns(slanted) is None
    assert _turns(np.zeros((4, 4))) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(), st.text())))
def test_a_table_of_texts_is_the_one_that_pyarrow_makes(rows):
    schema = pa.schema([pa.field("a", pa.string(), nullable=False), pa.field("b", pa.string(), nullable=False)])
    texts = [(a.encode("utf-8", "replace").decode(), b.encode("utf-8", "replace").decode()) for a, b in rows]
    made = text_table({"a": [a for a, _ in texts], "b": [b for _, b in texts]}, schema)
    made.validate(full=True)
    assert made.equals(pa.Table.from_pylist([{"a": a, "b": b} for a, b in texts], schema=schema))
