"""The page for Earth scientists says what is so: its sidecars are valid and its sensors are those of the registry."""

import re
from pathlib import Path

import pytest
import yaml

from voxtile_remote_sensing.bands.registry import load_sensor, sensor_names
from voxtile_remote_sensing.scenes.sidecar import read_sidecar

PAGE = (Path(__file__).parents[2] / "docs/remote-sensing.md").read_text("utf-8")
# A configuration of a run says on which it builds, a sidecar does not.
SIDECARS = [text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "base" not in yaml.safe_load(text)]


@pytest.mark.parametrize("text", SIDECARS)
def test_every_sidecar_of_the_page_is_valid(tmp_path, text):
    path = tmp_path / "scene.yaml"
    path.write_text(text)
    sidecar = read_sidecar(path, "scene.yaml")
    entries = [entry for entry in yaml.safe_load(text)["bands"] if entry is not None]
    bands = [sidecar.named(entry) for entry in sidecar.bands if entry is not None]
    assert [b.name for b in bands] == [e["name"] if isinstance(e, dict) else e for e in entries]
    assert all(band.wavelength_nm for band in bands)


def test_the_page_lists_the_registry():
    assert len(SIDECARS) == 3
    listed = re.search(r"The registry holds (.*?)\. A band", PAGE, re.DOTALL).group(1)
    assert re.findall(r"`([^`]+)`", listed) == list(sensor_names())
    for name in re.findall(r"`(B\d+|SR_B4|red|nir08|swir16)`", PAGE):
        assert any(
            band.is_called(name) or band.common_name == name
            for sensor in sensor_names()
            for band in load_sensor(sensor).bands
        )
