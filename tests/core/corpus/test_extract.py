"""Extracted files hold the stored values at the stored place, by other programs' reading."""

import io
import subprocess
import sys

import nibabel as nib
import numpy as np
import pydicom
import pytest
import rasterio
import SimpleITK
from PIL import Image

from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError, CorpusError, VoxtileError
from voxtile.formats import dicom
from voxtile.stages.extract import extract_sample

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def rotation(degrees):
    angle = np.deg2rad(degrees)
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return tilt @ turn


def affine(degrees=0.0, spacing=(0.7, 0.8, 2.5), origin=(-12.5, 33.0, -101.25)):
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(degrees) * np.asarray(spacing)
    matrix[:3, 3] = origin
    return matrix


def volume(dtype=np.int16, low=-1024, high=3000, shape=(5, 12, 9)):
    values = np.random.default_rng(0).uniform(low, high, shape)
    return values.astype(dtype)


@pytest.fixture
def store(tmp_path):
    """Store one sample and return a function that extracts it."""
    root = tmp_path / "corpus"
    new_corpus(root)

    def put(payload, **row):
        writer = JobWriter(root, "job-1")
        writer.add(Sample({"uid": "u", "subject": "p7", "study": "st", "kind": "volume", **row}, payload))
        writer.publish()

        def extract(to, name, **options):
            extract_sample(root, "u", to=to, out=tmp_path / name, **options)
            return tmp_path / name

        return extract

    return put


def ct(store, array, matrix, **row):
    channel = {"name": "ct", "unit": "HU", "scale": 1.0, "offset": -1024.0}
    columns = {"modality": "CT", "units": "HU", "axes": "ZYX", "channels": [channel], "affine": matrix.ravel().tolist()}
    columns["spacing"] = np.linalg.norm(matrix[:3, :3], axis=0)[::-1].tolist()
    return store(array, **{**columns, **row})


@pytest.mark.parametrize("name", ["v.nii.gz", "v.nii"])
@pytest.mark.parametrize("degrees", [0, 13])
def test_nifti_by_nibabel_and_simpleitk(store, name, degrees):
    array, matrix = volume(), affine(degrees)
    path = ct(store, array, matrix)("nifti", name)
    image = nib.load(path)
    np.testing.assert_array_equal(np.asarray(image.dataobj.get_unscaled()).transpose(2, 1, 0), array)
    np.testing.assert_allclose(image.get_fdata().transpose(2, 1, 0), array - 1024.0)
    np.testing.assert_allclose(image.affine, matrix, atol=1e-5)
    other = SimpleITK.ReadImage(str(path))
    np.testing.assert_allclose(SimpleITK.GetArrayFromImage(other), array - 1024.0)
    point = np.array(other.TransformIndexToPhysicalPoint((8, 11, 4)))
    np.testing.assert_allclose(point * [-1, -1, 1], (matrix @ [8, 11, 4, 1])[:3], atol=1e-3)


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "i2", "u2", "i4", "u4", "f2", "f4", "f8"])
def test_nifti_keeps_every_type(store, dtype):
    array = volume(np.float64, 0, 100).astype(dtype)
    path = store(array, axes="ZYX", spacing=[3.0, 2.0, 1.0])("nifti", "v.nii.gz")
    image = nib.load(path)
    np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), array)
    np.testing.assert_allclose(image.header.get_zooms(), [1, 2, 3])
    assert int(image.header["sform_code"]) == 0  # the place is not known


def test_nifti_of_a_series_in_time(store):
    array = volume(shape=(3, 4, 5, 6))
    image = nib.load(store(array, axes="TZYX", affine=affine().ravel().tolist())("nifti", "v.nii.gz"))
    np.testing.assert_array_equal(np.asarray(image.dataobj), array.transpose(3, 2, 1, 0))


@pytest.mark.parametrize("degrees", [0, 13])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_dicom_by_simpleitk(store, degrees, modality):
    array, matrix = volume(), affine(degrees)
    folder = ct(store, array, matrix, modality=modality)("dicom", "series")
    reader = SimpleITK.ImageSeriesReader()
    names = reader.GetGDCMSeriesFileNames(str(folder))
    assert len(names) == len(array)
    reader.SetFileNames(names)
    image = reader.Execute()
    values = SimpleITK.GetArrayFromImage(image)
    back = LPS_TO_RAS @ _index_to_lps(image)
    for index in np.ndindex(array.shape):
        z, y, x = index
        place = np.linalg.inv(matrix) @ back @ [x, y, z, 1]
        i, j, k = np.rint(place[:3]).astype(int)
        np.testing.assert_allclose(place[:3], [i, j, k], atol=1e-3)
        assert values[index] == array[k, j, i] - 1024


def _index_to_lps(image):
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(image.GetDirection()).reshape(3, 3) * np.asarray(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return matrix


def test_two_series_that_are_written_at_once_into_one_folder_do_not_mix(store, monkeypatch, tmp_path):
    extract, real, others = ct(store, volume(), affine()), dicom.publish_all, [1]

    def overtaken(files):
        if others:
            others.pop()
            extract("dicom", "series")
            (tmp_path / "series/0005.dcm").rename(tmp_path / "series/0006.dcm")  # as of a longer series
        return real(files)

    monkeypatch.setattr(dicom, "publish_all", overtaken)
    with pytest.raises(CorpusError, match=r"another command has written '.*series' meanwhile"):
        extract("dicom", "series")
    assert sorted(path.name[:4] for path in (tmp_path / "series").iterdir()) == ["0001", "0002", "0003", "0004", "0006"]
    assert {path.name for path in tmp_path.iterdir()} == {"corpus", "series"}


def test_dicom_headers(store):
    folder = ct(store, volume(), affine(), datetime="2019-03-04T10:20:30.5")("dicom", "series")
    files = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    assert [file.InstanceNumber for file in files] == [1, 2, 3, 4, 5]
    assert len({file.SOPInstanceUID for file in files}) == 5
    assert len({(file.SeriesInstanceUID, file.StudyInstanceUID, file.FrameOfReferenceUID) for file in files}) == 1
    first = files[0]
    assert all(pydicom.uid.UID(str(value)).is_valid for value in (first.SOPInstanceUID, first.StudyInstanceUID))
    assert first.SOPClassUID.name == "CT Image Storage"
    assert (first.PatientID, first.StudyDate, first.StudyTime) == ("p7", "20190304", "102030")
    assert list(first.ImageType[:2]) == ["DERIVED", "SECONDARY"]
    assert list(first.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]  # as a radiologist looks at it
    assert first.PixelSpacing == [0.8, 0.7]


@pytest.mark.parametrize(("dtype", "low", "high"), [("f4", -3.5, 0.25), ("i4", -200000, 300000), ("f8", 5, 5)])
def test_dicom_of_wide_types_says_how_much_it_rounded(store, dtype, low, high):
    array = volume(dtype, low, high)
    folder = ct(store, array, affine(), modality="MR", channels=None, units="a.u.")("dicom", "series")
    first = pydicom.dcmread(folder / "0001.dcm")
    error = float(str(first.DerivationDescription).rsplit(" ", 1)[1])
    assert error <= (high - low) / 65535
    values = first.pixel_array * float(first.RescaleSlope) + float(first.RescaleIntercept)
    np.testing.assert_allclose(values[::-1, ::-1], array[0], atol=error * 1.01 + 1e-6)


@pytest.mark.parametrize(
    ("dtype", "low", "high"), [("u2", 0, 65535), ("i8", -5, 1000), ("u1", 0, 255), ("u4", 40000, 60000)]
)
def test_dicom_of_what_fits_is_exact(store, dtype, low, high):
    array = volume(dtype, low, high)
    folder = ct(store, array, affine(), channels=None)("dicom", "series")
    first = pydicom.dcmread(folder / "0001.dcm")
    np.testing.assert_array_equal(first.pixel_array[::-1, ::-1], array[0])
    assert "unchanged" in first.DerivationDescription


@pytest.mark.parametrize(
    "row", [{"modality": "DX"}, {"axes": "CZYX"}, {"affine": None}, {"affine": [1.0] * 15 + [float("nan")]}]
)
def test_dicom_of_anything_else_is_refused(store, row, tmp_path):
    array = volume(shape=(1, 4, 5, 6)) if row.get("axes") == "CZYX" else volume()
    with pytest.raises(CorpusError, match=r"DICOM is written for CT, MR and PET|not 16 finite"):
        ct(store, array, affine(), **row)("dicom", "series")
    assert not (tmp_path / "series").exists()


def test_dicom_of_sheared_axes_is_refused(store):
    sheared = affine()
    sheared[1, 2] = 0.5
    with pytest.raises(CorpusError, match="right angles"):
        ct(store, volume(), sheared)("dicom", "series")


def test_geotiff_by_rasterio(store):
    array = volume(np.uint16, 0, 10000, (3, 20, 30))
    channels = [{"name": f"B{i}", "unit": "reflectance", "scale": 1e-4, "offset": -0.1} for i in range(3)]
    transform = [10.0, 0.0, 600000.0, 0.0, -10.0, 5700000.0]
    path = store(array, kind="tile", axes="CYX", crs="EPSG:32631", transform=transform, channels=channels)(
        "geotiff", "t.tif"
    )
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(), array)
        assert file.crs.to_epsg() == 32631
        assert list(file.transform)[:6] == transform
        assert file.descriptions == ("B0", "B1", "B2")
        assert file.scales == (1e-4,) * 3
        assert file.offsets == (-0.1,) * 3


PLACE = {"kind": "tile", "axes": "CYX", "crs": "EPSG:32631", "transform": [10.0, 0, 600000.0, 0, -10.0, 5700000.0]}


def test_geotiff_says_which_stored_value_is_no_data(store):
    """QGIS showed it as a measurement."""
    array = volume(np.int16, 0, 100, (2, 20, 30))
    array[:, :5] = -9999
    with rasterio.open(store(array, **PLACE, attributes='{"nodata": -9999.0}')("geotiff", "t.tif")) as file:
        assert file.nodata == -9999
        np.testing.assert_array_equal(file.read(masked=True).mask, array == -9999)


def test_geotiff_of_bands_with_other_nodata_masks_what_none_measured(store):
    array = volume(np.uint8, 1, 250, (3, 20, 30))
    array[0, :5], array[1, :3], array[2, :2] = 0, 255, 7
    with rasterio.open(store(array, **PLACE, attributes='{"nodata": [0, 255, null]}')("geotiff", "t.tif")) as file:
        assert file.nodata is None
        assert [file.tags(band).get("nodata") for band in (1, 2, 3)] == ["0", "255", None]
        assert file.dataset_mask().all()  # the third has no value for it
        np.testing.assert_array_equal(file.read(), array)
    with rasterio.open(store(array[:2], **PLACE, attributes='{"nodata": [0, 255]}')("geotiff", "u.tif")) as file:
        np.testing.assert_array_equal(file.dataset_mask() == 0, (array[0] == 0) & (array[1] == 255))


def test_geotiff_that_could_not_hold_its_crs_is_refused(store):
    """GDAL puts it into a file beside the GeoTIFF, which went lost."""
    moved = "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18 +datum=WGS84 +no_defs"
    row = PLACE | {"crs": rasterio.crs.CRS.from_string(moved).to_wkt(), "transform": [0.1, 0, 5.0, 0, -0.1, 5.0]}
    with pytest.raises(CorpusError, match="no words for its coordinate system"):
        store(volume(np.uint16, 0, 100, (3, 20, 30)), **row)("geotiff", "t.tif")


def test_geotiff_of_a_picture(store):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    extract = store(stream.getvalue(), kind="tile", crs="EPSG:4326", transform=[1e-4, 0.0, 5.0, 0.0, -1e-4, 50.0])
    with rasterio.open(extract("geotiff", "t.tif")) as file:
        np.testing.assert_array_equal(file.read(), pixels.transpose(2, 0, 1))
    with pytest.raises(CorpusError, match="is no volume"):
        extract("nifti", "v.nii.gz")


def test_geotiff_without_a_place_or_with_a_bad_one(store):
    extract = store(volume(), axes="ZYX")
    with pytest.raises(CorpusError, match="no place on Earth"):
        extract("geotiff", "t.tif")


def test_geotiff_with_an_unknown_crs(store):
    extract = store(volume(shape=(4, 4)), axes="YX", crs="EPSG:999999", transform=[1.0, 0, 5.0, 0, -1.0, 5.0])
    with pytest.raises(CorpusError, match="cannot be a GeoTIFF"):
        extract("geotiff", "t.tif")


def test_png_of_a_volume_shows_it_as_a_radiologist_sees_it(store):
    """A bright voxel high up, at the patient's right and front, is up left in the axial and the coronal picture."""
    array = np.full((8, 10, 12), -1000, np.int16)
    array[4, 9, 11] = 1000  # middle slice, most anterior, most right
    array[7, 5, 11] = 1000  # top, middle in y, most right
    array[7, 9, 6] = 1000  # top, most anterior, middle in x
    extract = ct(store, array, affine(spacing=(1, 1, 2)), channels=None)
    picture = np.asarray(Image.open(extract("png", "v.png")))
    axial, coronal, sagittal = picture[:, :12], picture[:, 16:28], picture[:, 32:]
    assert picture.shape == (16, 12 + 4 + 12 + 4 + 10)  # z is twice as thick
    for plane in (axial, coronal, sagittal):
        assert np.unravel_index(plane.argmax(), plane.shape) == (0, 0)
    assert picture[10:, 12:16].max() == 0


def test_png_window_is_in_units(store):
    channel = {"name": "ct", "scale": 1.0, "offset": -1024.0}
    extract = store(np.array([[1024, 1124, 1224]], np.int16), axes="YX", channels=[channel])
    picture = np.asarray(Image.open(extract("png", "w.png", window=(0.0, 200.0))))
    assert picture.tolist() == [[0, 128, 255]]


def test_png_of_bands_is_true_colour(store):
    array = np.zeros((4, 2, 2), np.uint16)
    array[2] = [[0, 1000], [1000, 1000]]
    channels = [
        {"name": n, "wavelength_nm": w} for n, w in (("blue", 490.0), ("green", 560.0), ("red", 665.0), ("nir", 842.0))
    ]
    picture = np.asarray(Image.open(store(array, kind="tile", axes="CYX", channels=channels)("png", "t.png")))
    assert picture[1, 1].tolist() == [255, 0, 0]


def test_png_of_a_picture_is_the_picture(store, tmp_path):
    stream = io.BytesIO()
    Image.effect_noise((30, 20), 50).save(stream, "JPEG")
    path = store(stream.getvalue(), kind="image")("png", "p.png")
    np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(stream)))


def test_an_existing_file_is_kept_and_odd_requests_are_refused(store, tmp_path):
    extract = store(volume(), axes="ZYX")
    extract("png", "v.png")
    before = (tmp_path / "v.png").read_bytes()
    for call in (
        lambda: extract("png", "v.png"),
        lambda: extract("bmp", "v.bmp"),
        lambda: extract("nifti", "v.nii.gz", window=(0.0, 1.0)),
    ):
        with pytest.raises(ConfigError):
            call()
    assert (tmp_path / "v.png").read_bytes() == before
    with pytest.raises(CorpusError, match="no sample has the uid 'none'"):
        extract_sample(tmp_path / "corpus", "none", to="png", out=tmp_path / "x.png")


@pytest.mark.parametrize(
    ("to", "package", "extra"),
    [("nifti", "nibabel", "medical"), ("dicom", "pydicom", "medical"), ("geotiff", "rasterio", "remote-sensing")],
)
def test_a_missing_library_names_the_extra(store, monkeypatch, to, package, extra):
    extract = ct(store, volume(), affine())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        VoxtileError, match=rf"'{package}' is not installed; install it with: pip install 'voxtile\[{extra}\]'"
    ):
        extract(to, "out")


def test_the_command_imports_no_optional_library():
    code = (
        "import sys, voxtile.stages.extract, voxtile.stages.verify.command, voxtile.corpus.reader;"
        "import voxtile.corpus.writer;"
        "print({'torch', 'lightning', 'nibabel', 'pydicom', 'rasterio', 'voxtile_medical'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_real_data_keeps_its_geometry(store, test_data):
    source = test_data / "medical/nifti_mni152"
    path = sorted(source.glob("*.nii.gz"))[0]
    image = nib.as_closest_canonical(nib.load(path))
    array = np.asarray(image.dataobj)[::4, ::4, ::4]
    matrix = image.affine @ np.diag([4, 4, 4, 1])
    extract = store(np.ascontiguousarray(array.transpose(2, 1, 0)), axes="ZYX", affine=matrix.ravel().tolist())
    again = nib.load(extract("nifti", "again.nii.gz"))
    np.testing.assert_array_equal(np.asarray(again.dataobj), array)
    np.testing.assert_allclose(again.affine, matrix)
