"""Files of the code before modules moved: they open, train on, and give the same figures to the last digit."""

import json
import math
from pathlib import Path

import pytest
from forked_script import run_script

HERE = Path(__file__).parent
DOMAINS = (
    "medical",
    pytest.param("pathology", marks=pytest.mark.sweep(ci=True)),
    pytest.param("remote_sensing", marks=pytest.mark.sweep(ci=True)),
)
# Kernels of other processors add in another order, and so do other releases of torch: float32 has 24 bits, and a
# thousand additions in another order change the last few. Stored embeddings are float16, of 11 bits; Adam divides a
# gradient by its own size, so that what is all but zero moves a weight by up to the learning rate. On a machine as
# `written_by.txt` names it nothing may change.
ELSEWHERE = 1e-6
COARSE_ELSEWHERE = {"embed": 1e-3, "next steps by the config": 1e-3, "next steps by the saved config": 1e-3}


@pytest.fixture(scope="module")
def domain(request):
    return request.param


@pytest.fixture(scope="module")
def measured(domain, training_nursery, tmp_path_factory):
    """Figures of the installed code, of a process with one thread."""
    said = run_script(training_nursery, tmp_path_factory.mktemp("figures"), HERE / "make.py", "figures", HERE, domain)
    return json.loads(said.splitlines()[-1])


@pytest.mark.parametrize("domain", DOMAINS, indirect=True)
@pytest.mark.parametrize(
    "what",
    ["api", "embed", "evaluate", "jobs of materialize", "next steps by the config", "next steps by the saved config"],
)
def test_old_files_give_their_figures_to_the_last_digit(measured, domain, what):
    recorded = json.loads((HERE / domain / "figures.json").read_text(encoding="utf-8"))
    assert set(recorded) == set(measured[domain])
    tolerance = 0 if same_machine() else COARSE_ELSEWHERE.get(what, ELSEWHERE)
    assert list(differences(recorded[what], measured[domain][what], tolerance)) == []


def differences(was, now, tolerance, where=""):
    """Where two figures differ by more than a share of the larger, and all else that is not equal."""
    if isinstance(was, float) and isinstance(now, float):
        if not math.isclose(was, now, rel_tol=tolerance, abs_tol=tolerance):
            yield f"{where}: {was} was {now}"
    elif isinstance(was, dict) and isinstance(now, dict):
        if set(was) != set(now):
            yield f"{where}: {sorted(set(was) ^ set(now))}"
        for name in set(was) & set(now):
            yield from differences(was[name], now[name], tolerance, f"{where}/{name}")
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for number, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from differences(one, other, tolerance, f"{where}/{number}")
    elif was != now:
        yield f"{where}: {was!r} was {now!r}"


def same_machine():
    """Whether kernels are those of the machine that wrote the figures: its processor and its torch."""
    import torch

    written = (HERE / "written_by.txt").read_text(encoding="utf-8")
    return torch.__version__ in written and torch.backends.cpu.get_cpu_capability() in written


def test_a_changed_figure_is_found():
    assert list(differences({"a": [1.0, None]}, {"a": [1.0, None]}, 0)) == []
    assert list(differences({"a": [1.0]}, {"a": [1.0 + 2e-16]}, 0)) == ["/a/0: 1.0 was 1.0000000000000002"]
    assert list(differences({"a": [1.0]}, {"a": [1.0 + 2e-16]}, ELSEWHERE)) == []
    assert list(differences({"a": {"b": 1.0}}, {"a": {}}, 1)) == ["/a: ['b']"]
    assert list(differences([1, 2], [1, 3], 1)) == ["/1: 2 was 3"]
