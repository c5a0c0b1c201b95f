"""What libraries import at their top is had when it is asked for, and all of it."""

import json
import subprocess
import sys

import pytest

CODE = """
import json, sys
from voxtile.lazy_packages import defer_packages
defer_packages()
defer_packages()
import lightning.pytorch
from lightning.pytorch.core.module import Metric, MetricCollection
loaded = [n for n in ("transformers", "torchvision", "scipy.signal", "matplotlib") if n in sys.modules]
import torch
from torchmetrics.metric import plot_single_or_multi_val as plot
import matplotlib
matplotlib.use("agg")
import matplotlib.axes
axes = [type(plot(torch.tensor(value))[1]).__name__ for value in (0.5, [0.5, 0.7])]
import torchmetrics, torchmetrics.utilities.plot
from torchmetrics.classification import BinaryAUROC  # a module by its own name
auroc = BinaryAUROC()
auroc.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
print(json.dumps({
    "loaded": loaded,
    "auroc": auroc.compute().item(),
    "metrics": [issubclass(one, Metric) for one in (BinaryAUROC, torchmetrics.MeanMetric)],
    "same": torchmetrics.Metric is Metric and torchmetrics.MetricCollection is MetricCollection,
    "version": torchmetrics.__version__,
    "names": sorted(set(torchmetrics.__all__) - set(dir(torchmetrics))),
    "resources": bool(torchmetrics.__spec__.loader.get_source("torchmetrics")),
    "unknown": hasattr(torchmetrics, "NoSuchMetric"),
    "axes": axes,
    "plots": torchmetrics.utilities.plot._AX_TYPE is matplotlib.axes.Axes,
}))
"""


SCENES = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from voxtile.lazy_packages import defer_packages
defer_packages()
import rasterio
import rasterio.session
loaded = "botocore" in sys.modules
with ThreadPoolExecutor(8) as threads:  # the first to ask has it run, and the others wait
    regions = list(threads.map(lambda n: rasterio.session.boto3.Session(region_name=f"r{n}").region_name, range(8)))
import boto3.session
print(json.dumps([loaded, regions, boto3.session.Session is boto3.Session]))
"""


COMPILED = """
import inspect
from lightning.pytorch.utilities.compile import OptimizedModule
from torch import _dynamo as compiler
traced = []
def told(x):
    traced.append(torch.compiler.is_compiling())
    return x + 1
ours, theirs = torch._disable_dynamo(told), torch.compiler.disable(told)
ours(torch.ones(1)), theirs(torch.ones(1))
torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1).step()
plain = torch.nn.Linear(3, 3)
asked = [inspect.unwrap(compiler) is compiler, isinstance(plain, OptimizedModule)]
loaded = "torch._dynamo.utils" in sys.modules
graphs = []
def backend(graph, examples):
    graphs.append(graph)
    return graph
found = torch.compile(plain, backend=backend)
same = torch.equal(found(torch.ones(1, 3)), plain(torch.ones(1, 3)))
counts = []
for function in (ours, theirs):
    torch._dynamo.reset()
    graphs.clear()
    counts.append([torch.compile(lambda x: function(x * 2) * 3, backend=backend)(torch.ones(1)).item(), len(graphs)])
import torch._dynamo.eval_frame
print(json.dumps({
    "loaded": loaded, "asked": asked, "same": same, "counts": counts, "traced": traced,
    "compiled": [isinstance(found, OptimizedModule), isinstance(plain, OptimizedModule)],
    "whole": torch._dynamo.OptimizedModule is torch._dynamo.eval_frame.OptimizedModule,
}))
"""


@pytest.fixture(scope="module")
def said_by(make_nursery, tmp_path_factory):
    """What code prints in a process that has PyTorch and Lightning and nothing of the compiler: a fork, as both take
    seconds to import."""
    imports = """
import json
from voxtile.lazy_packages import defer_packages
defer_packages()
import lightning.pytorch, torch
assert "torch._dynamo.utils" not in sys.modules
"""
    nursery, folder = make_nursery(imports, "0"), tmp_path_factory.mktemp("said")

    def run(code):
        said = folder / f"by {len(list(folder.iterdir()))}"
        nursery.start(folder, [], code, said)
        assert nursery.wait() == 0, said.read_text()
        return said.read_text()

    return run


def test_the_compiler_is_there_when_something_is_compiled_and_traces_nothing_that_it_was_to_keep_away_from(said_by):
    assert json.loads(said_by(COMPILED).splitlines()[-1]) == {
        "loaded": False,
        "asked": [True, False],
        "same": True,
        "counts": [[9.0, 2], [9.0, 2]],  # broken in two where the function is called
        "traced": [False] * 4,
        "compiled": [True, False],
        "whole": True,
    }


def test_a_part_of_the_compiler_may_be_the_first_that_is_asked_for(said_by):
    """Its modules are a circle, which begins at the package, and there is one of each."""
    code = """
import torch._dynamo.source as first
from torch._dynamo import exc, source, utils
print(first is source, exc.counters is utils.counters, first.__spec__.origin == first.__file__)
"""
    assert said_by(code) == "True True True\n"


def test_torchvision_asks_the_compiler_nothing_before_it_has_to(said_by):
    code = """
from torchvision.ops.roi_align import is_compile_supported
loaded = "torch._dynamo.eval_frame" in sys.modules
import torch._dynamo.utils as first
from torch._dynamo import exc, utils
print(loaded, first is utils, exc.counters is utils.counters, first.__spec__.origin == first.__file__)
print(is_compile_supported("cpu") is utils.is_compile_supported("cpu") is True, is_compile_supported("meta"))
"""
    assert said_by(code) == "False True True True\nTrue False\n"


def test_rasterio_is_imported_without_boto3_which_is_there_when_asked_for():
    pytest.importorskip("rasterio")
    pytest.importorskip("boto3")
    done = subprocess.run([sys.executable, "-P", "-c", SCENES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [False, [f"r{n}" for n in range(8)], True]


@pytest.mark.sweep(ci=True)  # by the same means as boto3
def test_lightning_is_imported_without_its_metrics_and_they_are_there_when_asked_for():
    done = subprocess.run([sys.executable, "-P", "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said.pop("version")[0].isdigit()
    assert said == {
        "loaded": [],
        "auroc": 0.75,
        "metrics": [True, True],
        "same": True,
        "names": [],
        "resources": True,
        "unknown": False,
        "axes": ["Axes", "Axes"],
        "plots": True,
    }
