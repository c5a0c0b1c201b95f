"""Licences of what an install brings, by the metadata of the packages themselves; the bill of materials of it."""

import json
from email.message import Message
from importlib.metadata import requires
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from tests.benchmark_script import benchmark_script


@pytest.fixture(scope="module")
def chain():
    return benchmark_script("supply_chain")


@pytest.mark.parametrize("extras", [(), ("all",)], ids=["default", "all"])
def test_no_install_brings_a_licence_that_binds_or_forbids(chain, extras):
    installed = chain.closure(extras)
    assert len(installed) > 40
    assert chain.refused(installed) == {}
    assert "pylibjpeg-libjpeg" not in installed  # GPL-3, which pylibjpeg names as an extra of its own


def test_the_closure_is_all_that_a_requirement_leads_to(chain):
    """Against the requirements as each package states them: every one that holds here is in it, and so are theirs."""
    installed = chain.closure()
    asked = {"pillow", "torch", "jinja2", "markupsafe", "sympy"}  # the last two only by way of others
    assert asked <= installed.keys()
    assert "pytest" not in installed
    assert "pydicom" not in installed
    assert "pydicom" in chain.closure(("medical",))
    direct = [Requirement(text) for text in requires("voxtile") or ()]
    wanted = {chain.name_of(r.name) for r in direct if r.marker is None or r.marker.evaluate({"extra": ""})}
    assert wanted <= installed.keys()


@pytest.mark.parametrize(
    ("licence", "free"),
    [
        ("GPL-3.0-only", False), ("GNU General Public License v2 (GPLv2)", False), ("GPL", False),
        ("AGPL-3.0-or-later", False), ("GNU Affero General Public License v3", False), ("CC-BY-NC-4.0", False),
        ("for non-commercial use only", False), ("BUSL-1.1", False), ("SSPL-1.0", False),
        ("MIT", True), ("LGPL-2.1-only", True), ("GNU Lesser General Public License v3 (LGPLv3)", True),
        ("MIT OR GPL-3.0-only", True), ("MPL-2.0 AND MIT", True), ("Apache Software License", True),
    ],
)  # fmt: skip
def test_which_licences_are_free(chain, licence, free):
    assert chain.unfree(licence) is not free


def test_a_package_that_states_no_licence_is_told(chain):
    assert chain.refused({"silent": SimpleNamespace(metadata=Message())}) == {"silent": ""}


@pytest.mark.sweep
def test_the_bill_of_materials_lists_the_install_and_nothing_else(chain, tmp_path):
    pytest.importorskip("cyclonedx_py", reason="pip install -e '.[security]'")
    count = chain.sbom((), tmp_path / "sbom.json")
    content = json.loads((tmp_path / "sbom.json").read_text())
    assert (content["bomFormat"], content["specVersion"]) == ("CycloneDX", "1.6")
    assert content["metadata"]["component"]["name"] == "voxtile"
    installed = chain.closure()
    versions = {chain.name_of(part["name"]): part["version"] for part in content["components"]}
    assert count == len(versions)
    assert versions == {name: found.version for name, found in installed.items() if name != "voxtile"}
    assert all(part["licenses"] for part in content["components"])
    assert all(part["purl"].startswith("pkg:pypi/") for part in content["components"])
    refs = {part["bom-ref"] for part in content["components"]}
    named = {ref for entry in content["dependencies"] for ref in entry["dependsOn"]}
    assert named <= refs
    assert str(tmp_path.home()) not in json.dumps(content)
