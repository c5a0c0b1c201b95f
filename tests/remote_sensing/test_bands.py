"""The band registry: tables are complete, names resolve, and physical values follow published definitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtile.errors import ConfigError
from voxtile_remote_sensing.bands.registry import COMMON_NAMES, load_sensor, parse_sensor, sensor_names


@pytest.mark.parametrize("name", sensor_names())
def test_every_table_is_complete_and_says_where_it_comes_from(name):
    sensor = load_sensor(name)
    assert sensor.name == name
    assert sensor.source
    for product in sensor.products.values():
        assert product.source
        for band in sensor.bands_of(product.name):
            assert band.common_name is None or band.common_name in COMMON_NAMES
            assert band.scale > 0
            assert band.unit != "1"
            if sensor.modality != "SAR":
                assert band.wavelength_nm is not None
                assert band.width_nm is not None
                assert 0 < band.width_nm < band.wavelength_nm


# STAC eo extension: the range of each common name in nanometres; a band's centre lies in it.
RANGES = {
    "coastal": (400, 450),
    "blue": (450, 530),
    "green": (510, 600),
    "red": (620, 690),
    "rededge071": (690, 720),
    "rededge075": (730, 750),
    "rededge078": (770, 790),
    "nir": (750, 1000),
    "nir08": (750, 900),
    "nir09": (850, 1050),
    "cirrus": (1350, 1400),
    "swir16": (1550, 1750),
    "swir22": (2080, 2350),
    "lwir11": (10500, 11500),
    "lwir12": (11500, 12500),
}


def test_centre_wavelengths_lie_in_the_range_of_their_common_name():
    checked = 0
    for name in sensor_names():
        for band in load_sensor(name).bands:
            if band.common_name in RANGES:
                low, high = RANGES[band.common_name]
                assert low <= band.wavelength_nm <= high, (name, band.name)
                checked += 1
    assert checked > 40


@pytest.mark.parametrize(
    ("sensor", "asked", "found"),
    [
        ("sentinel-2-msi", "B04", "B04"),
        ("sentinel-2-msi", "b4", "B04"),
        ("sentinel-2-msi", "red", "B04"),
        ("sentinel-2-msi", "b8a", "B8A"),
        ("sentinel-2-msi", "nir", "B08"),
        ("landsat-8-9-oli-tirs", "SR_B4", "B4"),
        ("landsat-8-9-oli-tirs", "nir", "B5"),
        ("landsat-8-9-oli-tirs", "swir16", "B6"),
        ("landsat-7-etm", "B06", "B6"),
        ("sentinel-1-sar", "vv", "VV"),
        ("planetscope-8", "rededge071", "rededge"),
    ],
)
def test_names_aliases_and_common_names_resolve(sensor, asked, found):
    assert load_sensor(sensor).band(asked).name == found


def test_the_same_colour_has_another_name_and_place_in_each_sensor():
    # B4 is red on Landsat 8 and near infrared on Landsat 7: a name alone is nothing without its sensor
    assert load_sensor("landsat-8-9-oli-tirs").band("B4").common_name == "red"
    assert load_sensor("landsat-7-etm").band("B4").common_name == "nir08"


def test_products_differ_in_bands_and_scale():
    sensor = load_sensor("landsat-8-9-oli-tirs")
    surface = {band.name: band for band in sensor.bands_of("L2")}
    assert "B8" not in surface
    assert (surface["B4"].scale, surface["B4"].offset) == (0.0000275, -0.2)
    assert (surface["B10"].scale, surface["B10"].offset, surface["B10"].unit) == (0.00341802, 149.0, "kelvin")
    sentinel = load_sensor("sentinel-2-msi")
    assert "B10" not in [band.name for band in sentinel.bands_of("L2A")]
    assert sentinel.band("B12", platform="S2A").wavelength_nm == 2202.4
    assert sentinel.band("B12", platform="S2B").wavelength_nm == 2185.7


def test_what_is_not_there_is_named_with_what_is():
    sensor = load_sensor("sentinel-2-msi")
    with pytest.raises(ConfigError, match=r"sentinel-2-msi has no band 'lwir'; it has: B01 \(coastal\)"):
        sensor.band("lwir")
    with pytest.raises(ConfigError, match=r"no sensor named .sentinel.; there are: .*sentinel-2-msi"):
        load_sensor("sentinel")
    with pytest.raises(ConfigError, match="no product 'L3'; there are: L2A, L1C"):
        sensor.bands_of("L3")


MINIMAL = {"name": "x", "title": "x", "modality": "MSI", "source": "x", "products": {"p": {}}}


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        ([{"name": "a", "colour": "red"}], "unknown keys: colour"),
        ([{"name": "a", "common_name": "crimson"}], "not a STAC common name"),
        ([{"name": "a"}, {"name": "a"}], "lists a band twice"),
        ([{"common_name": "red"}], "not valid"),
    ],
)
def test_a_wrong_table_is_refused(bands, message):
    with pytest.raises(ConfigError, match=message):
        parse_sensor(MINIMAL | {"bands": bands}, where="x")


def test_a_product_cannot_name_a_band_that_is_not_there():
    with pytest.raises(ConfigError, match="names unknown bands: b"):
        parse_sensor(MINIMAL | {"bands": [{"name": "a"}], "products": {"p": {"bands": ["a", "b"]}}}, where="x")


@given(st.text(max_size=8))
def test_no_name_is_found_by_accident(text):
    sensor = load_sensor("sentinel-2-msi")
    known = {n.lower() for b in sensor.bands for n in (b.name, *b.aliases, b.common_name)}
    known |= {f"b{n}" for n in range(1, 13)}
    if text.lower() not in known and not text.lower().startswith("b0"):
        with pytest.raises(ConfigError):
            sensor.band(text)


def test_a_photograph_of_8_bits_keeps_its_colours_and_stored_numbers_are_stretched():
    from voxtile_remote_sensing.bands.pictures import band_pictures

    channels = [{"name": name, "unit": "1", "scale": 1.0, "offset": 0.0} for name in ("red", "green", "blue")]
    found = [band_pictures({"dtype": dtype, "units": "a.u.", "channels": channels})[0] for dtype in ("uint8", "uint16")]
    assert [(one.low, one.high) for one in found] == [(0.0, 255.0), (None, None)]
    scaled = band_pictures({"dtype": "uint8", "channels": [{**channel, "scale": 0.1} for channel in channels]})[0]
    assert scaled.low is None
