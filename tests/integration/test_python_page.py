"""docs/python.md runs as one plain script in an empty folder, and so do the cells of docs/first-look.ipynb."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
NOTEBOOK = PAGE.with_name("first-look.ipynb")
PRODUCT = "S2B_MSIL2A_20170927T094019_66_56"


def blocks(language):
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


RUN = """
def run(argv):
    import runpy
    if argv[0] == "voxtile":
        return voxtile.cli.main.main(argv[1:])
    runpy.run_path(argv[0], run_name="__main__")
    return 0
"""


@pytest.mark.sweep(ci=True)
def test_every_block_of_the_page_runs_in_an_empty_folder(training_nursery, tmp_path):
    def run(*words):
        training_nursery.start(tmp_path, words, RUN, said := tmp_path.with_name("said"))
        assert training_nursery.wait() == 0, said.read_text()
        return said.read_text()

    [command] = blocks("")
    words = command.split()
    assert words[0] == "voxtile"
    run(*words)
    python = blocks("python")
    assert len(python) >= 9
    (tmp_path / "page.py").write_text("\n".join(python), encoding="utf-8")
    said = run("page.py")
    assert "Conversion('corpus': inputs 10, used 6, dropped 4, failed 0, samples 6)" in said
    assert "recall@1" in said
    assert (tmp_path / "report" / "index.html").is_file()


@pytest.mark.sweep(ci=True)
def test_the_notebook_reads_a_real_scan_slide_and_tile_as_other_libraries_do(test_data, tmp_path, monkeypatch):
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (content["nbformat"], [cell["outputs"] for cell in content["cells"] if cell["cell_type"] == "code"]) == (
        4,
        [[]] * 8,
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOXTILE_TEST_DATA", str(test_data))
    seen = {}
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), seen)
    samples = seen["samples"]
    assert set(samples) == {"CT", "SM", "MSI"}
    _check_ct(samples["CT"], test_data / "medical/ibsi_sts_008/dicom/CT/image")
    _check_slide(samples["SM"], test_data / "pathology/svs_cmu1_small_region/CMU-1-Small-Region.svs")
    _check_tile(samples["MSI"], test_data / "remote_sensing/bigearthnet_tiny/tiny" / PRODUCT)
    assert seen["found"].probability.shape == (120, 120)


def _check_ct(sample, folder):
    """Rows of a DICOM plane run from front to back, and its columns from the patient's right: both are turned over."""
    pydicom = pytest.importorskip("pydicom")
    planes = sorted((pydicom.dcmread(p) for p in folder.iterdir()), key=lambda d: float(d.ImagePositionPatient[2]))
    values = np.stack([d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in planes])
    np.testing.assert_array_equal(sample.image, values[:, ::-1, ::-1].astype(np.float32))
    between = float(planes[1].ImagePositionPatient[2]) - float(planes[0].ImagePositionPatient[2])
    wanted = (between, *map(float, planes[0].PixelSpacing))
    assert sample.geometry.spacing_mm == pytest.approx(wanted, abs=1e-6)
    assert sample.units == "HU"


def _check_slide(sample, path):
    openslide = pytest.importorskip("openslide")
    with openslide.OpenSlide(path) as slide:
        x0, y0, x1, y1 = sample.geometry.level0_box
        region = np.array(slide.read_region((x0, y0), 0, (x1 - x0, y1 - y0)).convert("RGB"))
        assert sample.geometry.mpp[0] == pytest.approx(float(slide.properties["openslide.mpp-x"]), rel=1e-3)
    assert sample.image.shape == region.shape
    off = [np.abs(np.roll(sample.image, shift, 1).astype(int) - region).mean() for shift in (0, 2, -2)]
    assert off[0] < 6  # it is stored as JPEG
    assert min(off[1:]) > 2 * off[0]


def _check_tile(sample, folder):
    rasterio = pytest.importorskip("rasterio")
    for name, band in zip(sample.channels, sample.image, strict=True):
        with rasterio.open(folder / f"{PRODUCT}_{name}.tif") as file:
            np.testing.assert_allclose(band, file.read(1) * 1e-4, rtol=1e-5, atol=1e-7)
            assert sample.geometry.crs == file.crs.to_string()
            assert sample.geometry.gsd_m == file.res[0] == 10
    assert sample.units == "reflectance"
