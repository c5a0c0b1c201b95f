"""PlanetScope, EnMAP, PRISMA, ENVI and NAIP: names and scaling come from each product's own metadata."""

import json
import shutil

import h5py
import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from voxtile.corpus.reader import Corpus
from voxtile.errors import RunFailedError
from voxtile_remote_sensing.scenes.open import find_scenes, open_scene
from voxtile_remote_sensing.scenes.protocol import SceneError, SceneOptions

RNG = np.random.default_rng(11)


def _dn(bands, shape=(40, 50), dtype=np.uint16):
    return RNG.integers(1, 9000, (bands, *shape)).astype(dtype)


def _planet_xml(coefficients):
    entries = "".join(
        f"<ps:bandSpecificMetadata><ps:bandNumber>{n}</ps:bandNumber>"
        f"<ps:radiometricScaleFactor>0.01</ps:radiometricScaleFactor>"
        f"<ps:reflectanceCoefficient>{value}</ps:reflectanceCoefficient></ps:bandSpecificMetadata>"
        for n, value in coefficients.items()
    )
    return (
        '<ps:EarthObservation xmlns:ps="http://schemas.planet.com/ps/v1/planet_product_metadata_geocorrected_level" '
        'xmlns:eop="http://earth.esa.int/eop"><eop:serialIdentifier>240a</eop:serialIdentifier>'
        f"<ps:acquisitionDateTime>2020-06-01T10:11:12+00:00</ps:acquisitionDateTime>{entries}</ps:EarthObservation>"
    )


@pytest.mark.parametrize("bands", [4, 8])
def test_planet_radiance_becomes_reflectance_by_its_coefficients(tmp_path, make_raster, bands):
    base = "20200601_101112_57_240a_3B"
    suffix = "" if bands == 4 else "_8b"
    dn = _dn(bands)
    make_raster(tmp_path / f"{base}_AnalyticMS{suffix}.tif", dn, metres=3, nodata=0)
    coefficients = {n: 2e-5 + n * 1e-7 for n in range(1, bands + 1)}
    (tmp_path / f"{base}_AnalyticMS{suffix}_metadata.xml").write_text(_planet_xml(coefficients))
    make_raster(tmp_path / f"{base}_udm2.tif", np.ones((8, 40, 50), np.uint8), metres=3)
    (ref,) = find_scenes(tmp_path)
    with open_scene(ref) as scene:
        assert (scene.sensor, scene.product, scene.platform) == (f"planetscope-{bands}", "AnalyticMS", "240a")
        assert scene.bands[0].name == ("blue" if bands == 4 else "coastal_blue")
        red = scene.band("red")
        assert red.layer.index == (3 if bands == 4 else 6)
        assert red.scale == coefficients[red.layer.index]
        assert np.array_equal(scene.read(["red"])[0], dn[red.layer.index - 1])
        assert [m.kind for m in scene.masks] == ["UDM2"]


def test_planet_surface_reflectance_needs_no_coefficients(tmp_path, make_raster):
    make_raster(tmp_path / "20200601_101112_57_240a_3B_AnalyticMS_SR_8b_harmonized_clip.tif", _dn(8), metres=3)
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert (scene.product, scene.band("nir").scale) == ("AnalyticMS_SR", 0.0001)
        assert scene.datetime == "2020-06-01T10:11:12Z"


def test_planet_radiance_without_metadata_is_refused(tmp_path, make_raster):
    path = tmp_path / "20200601_101112_57_240a_3B_AnalyticMS.tif"
    make_raster(path, _dn(4), metres=3)
    with pytest.raises(SceneError, match=r"its _metadata\.xml is not there, so radiance cannot become reflectance"):
        open_scene(find_scenes(tmp_path)[0])
    path.with_name(path.stem + "_metadata.xml").write_text(_planet_xml({1: 2e-5, 2: 2e-5, 4: 2e-5}))
    with pytest.raises(SceneError, match="no reflectanceCoefficient for band 3"):
        open_scene(find_scenes(tmp_path)[0])


ENMAP = "ENMAP01-____L2A-DT0000001049_20220612T105735Z_028_V010303_20230922T131826Z"


def _enmap(folder, make_raster, *, described=12):
    folder.mkdir(parents=True, exist_ok=True)
    dn = _dn(12, dtype=np.int16)
    make_raster(folder / f"{ENMAP}-SPECTRAL_IMAGE.TIF", dn, metres=30, nodata=-32768)
    make_raster(folder / f"{ENMAP}-QL_QUALITY_CLOUD.TIF", np.zeros((40, 50), np.uint8), metres=30)
    entries = "".join(
        f'<bandID number="{n}"><wavelengthCenterOfBand>{410 + 7.5 * n}</wavelengthCenterOfBand>'
        f"<FWHMOfBand>6.5</FWHMOfBand>"
        f"<GainOfBand>{0.0001 * n}</GainOfBand><OffsetOfBand>{-0.01 * n}</OffsetOfBand></bandID>"
        for n in range(1, described + 1)
    )
    (folder / f"{ENMAP}-METADATA.XML").write_text(
        f"<level_X><base><temporalCoverage><startTime>2022-06-12T10:57:35.123Z</startTime></temporalCoverage></base>"
        f"<specific><bandCharacterisation>{entries}</bandCharacterisation></specific></level_X>"
    )
    return dn


def test_enmap_takes_gain_offset_and_wavelength_of_each_band(tmp_path, make_raster):
    dn = _enmap(tmp_path, make_raster)
    (ref,) = find_scenes(tmp_path)
    with open_scene(ref) as scene:
        assert (scene.sensor, scene.product, scene.modality) == ("enmap", "L2A", "HSI")
        third = scene.band("B003")
        assert (third.band.wavelength_nm, third.band.width_nm, third.nodata) == (432.5, 6.5, -32768)
        np.testing.assert_allclose(
            scene.read([third])[0] * third.scale + third.offset, dn[2] * 0.0003 - 0.03, rtol=1e-12, atol=1e-12
        )
        assert [m.kind for m in scene.masks] == ["cloud"]
        assert scene.datetime == "2022-06-12T10:57:35.123Z"


def test_enmap_metadata_of_another_product_is_refused(tmp_path, make_raster):
    _enmap(tmp_path, make_raster, described=11)
    with pytest.raises(SceneError, match="describes 11 bands, but the image has 12"):
        open_scene(find_scenes(tmp_path)[0])


def _prisma(path, *, vnir=6, swir=5, rows=30, columns=20):
    """Layout: ASI PRISMA Products Specification Document, L2D; VNIR wavelengths run down, absent bands are 0."""
    cubes = {"Vnir": _dn(vnir, (rows, columns)), "Swir": _dn(swir, (rows, columns))}
    with h5py.File(path, "w") as file:
        for part, cube in cubes.items():
            name = f"HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields/{part.upper()}_Cube"
            file.create_dataset(name, data=cube.transpose(1, 0, 2), chunks=(10, 2, 20))
        file.attrs["List_Cw_Vnir"] = np.array([*np.linspace(970, 420, vnir - 1), 0.0], np.float32)
        file.attrs["List_Fwhm_Vnir"] = np.full(vnir, 11.5, np.float32)
        file.attrs["List_Cw_Swir"] = np.linspace(2490, 943, swir).astype(np.float32)
        file.attrs["List_Fwhm_Swir"] = np.full(swir, 10.5, np.float32)
        for part, low, high in (("Vnir", -0.05, 1.1), ("Swir", 0.0, 0.9)):
            file.attrs[f"L2Scale{part}Min"], file.attrs[f"L2Scale{part}Max"] = np.float32(low), np.float32(high)
        file.attrs["Epsg_Code"] = 32632
        file.attrs["Product_ULcorner_easting"], file.attrs["Product_ULcorner_northing"] = 600015.0, 4999985.0
        file.attrs["Product_LRcorner_easting"] = 600015.0 + 30 * (columns - 1)
        file.attrs["Product_LRcorner_northing"] = 4999985.0 - 30 * (rows - 1)
        file.attrs["Product_StartTime"] = np.bytes_("2021-07-01T10:20:30.5")
        file.attrs["Sun_zenith_angle"] = np.float32(30.0)
    return cubes


def test_prisma_reflectance_spans_minimum_to_maximum_and_corners_are_centres(tmp_path):
    cubes = _prisma(tmp_path / "PRS_L2D_STD_20210701102030.he5")
    (ref,) = find_scenes(tmp_path)
    with open_scene(ref) as scene:
        centres = [band.band.wavelength_nm for band in scene.bands]
        assert centres == sorted(centres)
        assert len(centres) == 10  # the absent band is left out
        assert scene.bands[0].grid.transform[2] == 600000
        assert scene.bands[0].grid.transform[5] == 5000000
        assert scene.bands[0].grid.pixel_size == (30, 30)
        window = Window(3, 5, 10, 20)
        first, last = scene.band("VNIR005"), scene.band("SWIR001")
        got = scene.read([first, last], window)
        assert np.array_equal(got[0], cubes["Vnir"][4, 5:25, 3:13])
        assert np.array_equal(got[1], cubes["Swir"][0, 5:25, 3:13])
        published = -0.05 + got[0] / 65535 * (1.1 - -0.05)
        np.testing.assert_allclose(got[0] * first.scale + first.offset, published, rtol=1e-5, atol=1e-7)
        assert scene.datetime == "2021-07-01T10:20:30.500000Z"
        assert scene.attributes["sun_elevation"] == pytest.approx(60)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:2000]), "truncated or is no HDF5"),
        (lambda path: _without(path, "Epsg_Code"), "an attribute of the product is missing or damaged"),
        (lambda path: _without(path, "HDFEOS"), "no PRISMA Level 2D cubes"),
    ],
)
def test_a_damaged_prisma_product_is_one_sentence(tmp_path, damage, message):
    path = tmp_path / "PRS_L2D_STD_20210701102030.he5"
    _prisma(path)
    damage(path)
    with pytest.raises(SceneError, match=message):
        open_scene(find_scenes(tmp_path)[0])


def _without(path, name):
    with h5py.File(path, "a") as file:
        if name in file.attrs:
            del file.attrs[name]
        else:
            del file[name]


def _envi(path, make_raster, extra, *, bands=5):
    dn = _dn(bands, dtype=np.int16)
    make_raster(path, dn, driver="ENVI", interleave="bil")
    header = path.with_suffix(".hdr")
    text = header.read_text()
    header.write_text(text[: text.index("band names")] + extra)
    return dn


def test_envi_wavelengths_name_and_scale_the_bands(tmp_path, make_raster):
    extra = (
        "wavelength units = Micrometers\nwavelength = {0.45, 0.55,\n 0.65, 0.85, 1.6}\n"
        "fwhm = {0.01, 0.01, 0.01, 0.02, 0.02}\n"
        "reflectance scale factor = 10000\ndata ignore value = -9999\nacquisition time = 2021-07-01T10:20:30Z\n"
    )
    dn = _envi(tmp_path / "cube.img", make_raster, extra)
    (ref,) = find_scenes(tmp_path)
    with open_scene(ref) as scene:
        assert [b.band.wavelength_nm for b in scene.bands] == [450, 550, 650, 850, 1600]
        third = scene.band("B003")
        assert (third.scale, third.nodata, third.band.unit, third.band.width_nm) == (1e-4, -9999, "reflectance", 10)
        assert np.array_equal(scene.read(scene.bands), dn)
        assert scene.datetime == "2021-07-01T10:20:30Z"


WAVELENGTHS = "wavelength = {450, 550, 650, 850, 1600}\nwavelength units = nm\n"


@pytest.mark.parametrize("offset", [0, 512])
def test_an_envi_file_that_ends_early_is_refused(tmp_path, make_raster, offset):
    """GDAL reads zeros where a raw file has ended."""
    _envi(tmp_path / "cube.img", make_raster, WAVELENGTHS + f"header offset = {offset}\n")
    whole = (tmp_path / "cube.img").read_bytes()
    (tmp_path / "cube.img").write_bytes(bytes(offset) + whole)
    open_scene(find_scenes(tmp_path)[0]).close()
    (tmp_path / "cube.img").write_bytes((bytes(offset) + whole)[:-2])
    with pytest.raises(SceneError, match=f"{len(whole):,} bytes, but the file has only {len(whole) + offset - 2:,}"):
        open_scene(find_scenes(tmp_path)[0])


def test_bands_that_an_envi_header_calls_bad_are_left_out(tmp_path, make_raster):
    dn = _envi(tmp_path / "cube.img", make_raster, WAVELENGTHS + "bbl = {1, 0, 1, 1, 0}\n")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert [b.band.wavelength_nm for b in scene.bands] == [450, 650, 850]
        assert np.array_equal(scene.read(scene.bands), dn[[0, 2, 3]])
        with pytest.raises(SceneError, match="B002 is bad by the header's 'bbl'"):
            scene.band("B002")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (WAVELENGTHS + "bbl = {0, 0, 0, 0, 0}\n", "'bbl' calls all 5 bands bad"),
        ("", "neither 'wavelength' nor distinct 'band names'"),
        ("wavelength = {1, 2}\nwavelength units = nm\n", "'wavelength' has 2 values for 5 bands"),
        ("wavelength = {450, 550, 650, 850, 1600}\n", "'wavelength units' is 'missing'"),
        ("wavelength = {a, b, c, d, e}\nwavelength units = nm\n", "something that is not a number"),
    ],
)
def test_an_envi_header_that_does_not_name_its_bands_is_refused(tmp_path, make_raster, extra, message):
    _envi(tmp_path / "cube.img", make_raster, extra)
    with pytest.raises(SceneError, match=message):
        open_scene(find_scenes(tmp_path)[0])


@pytest.mark.parametrize("where", ["cube.yaml", "bands.yaml", "given"])
def test_a_sidecar_names_what_an_envi_header_merely_numbers(tmp_path, make_raster, where):
    """GDAL writes `band names = {Band 1, …}`, which is a position and no name."""
    dn = _dn(3)
    make_raster(tmp_path / "in/cube.img", dn, driver="ENVI", interleave="bil")
    with pytest.raises(SceneError, match="a position proves nothing"):
        open_scene(find_scenes(tmp_path / "in")[0])
    file = tmp_path / "in" / where if where != "given" else tmp_path / "s.yaml"
    file.write_text("{bands: [red, null, blue], scale: 0.5, nodata: 7}")
    (ref,) = find_scenes(tmp_path / "in", SceneOptions(sidecar=file if where == "given" else None))
    with open_scene(ref) as scene:
        assert [(b.name, b.scale, b.nodata) for b in scene.bands] == [("red", 0.5, 7), ("blue", 0.5, 7)]
        assert np.array_equal(scene.read(scene.bands), dn[[0, 2]])


@pytest.mark.parametrize(("where", "licence"), [("cube.yaml", "CC0"), ("bands.yaml", None)])
def test_a_sidecar_of_its_own_adds_to_the_wavelengths_of_an_envi_header(tmp_path, make_raster, where, licence):
    _envi(tmp_path / "cube.img", make_raster, WAVELENGTHS + "reflectance scale factor = 10000\n")
    (tmp_path / where).write_text("{licence: CC0, nodata: 7}")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert [b.band.wavelength_nm for b in scene.bands] == [450, 550, 650, 850, 1600]
        assert (scene.licence, scene.bands[0].nodata) == (licence, 7 if licence else None)
        assert scene.bands[0].scale == 1e-4


def test_naip_is_named_by_its_file_name(tmp_path, make_raster):
    values = _dn(4).astype(np.uint8)
    make_raster(tmp_path / "m_3807708_sw_18_060_20210618.tif", values, metres=0.6)
    (ref,) = find_scenes(tmp_path)
    with open_scene(ref) as scene:
        assert [b.name for b in scene.bands] == ["red", "green", "blue", "nir"]
        assert (scene.sensor, scene.datetime) == ("naip", "2021-06-18")
        assert scene.band("nir").band.resolution_m == pytest.approx(0.6)
        assert np.array_equal(scene.read(["nir"])[0], values[3])


def test_naip_with_another_number_of_bands_or_its_own_sidecar(tmp_path, make_raster):
    path = make_raster(tmp_path / "m_3807708_sw_18_060_20210618.tif", _dn(2).astype(np.uint8))
    with pytest.raises(SceneError, match="2 bands, where NAIP has red, green, blue and near infrared"):
        open_scene(find_scenes(tmp_path)[0])
    path.with_suffix(".yaml").write_text("bands: [nir, red]\n")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert [b.name for b in scene.bands] == ["nir", "red"]


def test_scenes_of_several_kinds_lie_in_one_folder_without_mixing(tmp_path, make_raster, make_safe):
    make_safe(tmp_path / "s2")
    _enmap(tmp_path, make_raster)
    _prisma(tmp_path / "PRS_L2D_STD_20210701102030.he5")
    make_raster(tmp_path / "m_3807708_sw_18_060_20210618.tif", _dn(4).astype(np.uint8))
    make_raster(tmp_path / "plain.tif", _dn(1))
    readers = {ref.reader: ref for ref in find_scenes(tmp_path)}
    assert sorted(readers) == ["enmap", "geotiff", "naip", "prisma", "sentinel2-safe"]
    assert len(find_scenes(tmp_path)) == 5
    assert all(ref.nbytes > 0 and ref.files for ref in readers.values())
    with rasterio.open(tmp_path / "plain.tif") as dataset:
        assert dataset.count == 1


def test_every_kind_of_product_becomes_tiles_and_the_broken_one_harms_none(tmp_path, make_raster, make_safe, convert):
    source = tmp_path / "in"
    make_safe(source / "s2")
    broken = make_safe(source / "s2", platform="S2B")
    next(broken.glob("MTD*.xml")).write_text("<broken")
    _enmap(source, make_raster)
    _prisma(source / "PRS_L2D_STD_20210701102030.he5")
    _envi(source / "cube.img", make_raster, "wavelength = {450, 550, 650, 850, 1600}\nwavelength units = nm\n")
    make_raster(source / "m_3807708_sw_18_060_20210618.tif", _dn(4).astype(np.uint8), metres=0.6)
    make_raster(source / "20200601_101112_57_240a_3B_AnalyticMS_SR_8b.tif", _dn(8), metres=3)
    make_raster(source / "20200601_101112_57_240a_3B_udm2.tif", np.ones((8, 40, 50), np.uint8), metres=3)
    with pytest.raises(RunFailedError):
        convert(source, tmp_path / "out")
    ledger = Corpus(tmp_path / "out").ledger().to_pylist()
    failed = {entry["source"].split("/")[1]: entry for entry in ledger if entry["status"] == "failed"}
    assert list(failed) == [broken.name]
    shutil.rmtree(broken)
    rows = convert(source, tmp_path / "again")
    sources = {json.loads(row["attributes"])["scene"] for row in rows}
    assert len(sources) == 6
    assert {row["modality"] for row in rows} == {"MSI", "HSI"}
    hyper = next(row for row in rows if "PRS_L2D" in row["source"])
    assert [c["wavelength_nm"] for c in hyper["channels"]] == sorted(c["wavelength_nm"] for c in hyper["channels"])


def test_rasters_in_other_formats_are_named(tmp_path, make_raster, capsys):
    """MODIS and VIIRS in HDF, NITF and GRIB beside a scene that is read."""
    make_raster(tmp_path / "m_3807708_sw_18_060_20210618.tif", _dn(4).astype(np.uint8), metres=0.6)
    others = ("MOD09GA.A2020001.h18v04.061.hdf", "VNP.h5", "a.ntf", "t2m.grib2")
    for name in others:
        (tmp_path / name).write_bytes(b"x")
    assert len(find_scenes(tmp_path)) == 1
    told = " ".join("".join(capsys.readouterr()).split())
    assert "4 files in" in told
    assert all(name in told for name in others[:3])
