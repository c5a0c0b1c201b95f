"""A config by its name, by its path in a checkout, and by that path where only a wheel is installed."""

import pytest

from voxtile.domain import resolve
from voxtile.errors import ConfigError


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [
        ("domains/medical/ct.yaml", "medical/ct", "config"),
        ("./domains/remote_sensing/sentinel2.yaml", "remote_sensing/sentinel2", "config"),
        ("domains/medical/production/ct-vit.yaml", "medical/ct-vit", "config"),
        ("domains/medical/tasks/ct-findings.yaml", "medical/ct-findings", "task"),
    ],
)
def test_a_path_of_the_checkout_is_the_installed_file_elsewhere(tmp_path, monkeypatch, path, name, kind):
    monkeypatch.chdir(tmp_path)
    assert resolve(path, kind=kind) == resolve(name, kind=kind)


def test_a_file_that_is_there_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "domains" / "medical" / "ct.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("name: mine\n")
    assert resolve("domains/medical/ct.yaml", kind="config").read_text() == "name: mine\n"


@pytest.mark.parametrize("path", ["domains/medical/cta.yaml", "medical/ct.yaml", "/domains/medical/ct.yaml", "ct.yaml"])
def test_any_other_path_that_does_not_exist_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"config file '.*' does not exist; "):
        resolve(path, kind="config")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("medical/ct-finding", "did you mean 'medical/ct-findings'?"),
        ("findings", "did you mean 'medical/ct-findings' or "),
        ("landcover", "did you mean 'remote_sensing/landcover-s2'?"),
        ("medical/xyzzy", "nor one that is like it;"),
    ],
)
def test_an_unknown_task_names_the_nearest_and_how_to_list_all(name, near):
    with pytest.raises(ConfigError) as error:
        resolve(name, kind="task")
    assert near in str(error.value)
    assert "'voxtile domains' lists all" in str(error.value)
    assert len(str(error.value)) < 300
