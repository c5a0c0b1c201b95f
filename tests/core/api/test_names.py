"""The names of `import voxtile`: there, and loaded only when they are asked for."""

import subprocess
import sys

import pytest

import voxtile

HEAVY = ("torch", "lightning", "numpy", "pyarrow", "duckdb", "open_clip", "transformers", "timm", "PIL")


def test_importing_voxtile_loads_nothing_heavy():
    offered = "voxtile.data, voxtile.evaluation, voxtile.models, voxtile.objectives, voxtile.training"
    code = f"import sys, voxtile; {offered}; print(sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", voxtile.__all__)
def test_every_listed_name_is_there(name):
    assert getattr(voxtile, name) is not None
    assert name in dir(voxtile)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        voxtile.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="attribute nothing"):
        voxtile.objectives.nothing  # noqa: B018
