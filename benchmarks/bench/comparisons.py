"""What `make bench` runs: scripts of this folder, with the peer's environment that each needs and a shorter form.

Scripts that judge a model or a checker (`pneumonia.py`, `caption_faults.py`, …) compare no tools and are not here.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DATA = "VOXTILE_TEST_DATA"


@dataclass(frozen=True)
class Peer:
    """An environment that pip makes.

    Attributes:
        packages: what is installed, with versions where the comparison names one.
        above: on top of this environment, whose packages it sees: a peer that runs in one process with ours.
        program: of the environment, which the script is given; None for its Python.
        named: package whose version the page gives.
    """

    packages: tuple[str, ...]
    above: bool = False
    program: str | None = None
    named: str | None = None


PEERS: Mapping[str, Peer] = {
    "open_clip": Peer(("open_clip_torch==3.3.0", "webdataset==0.2.86"), above=True),
    "dicom2nifti": Peer(("dicom2nifti>=2.6", "pylibjpeg", "pylibjpeg-openjpeg"), named="dicom2nifti"),
    "dcm2niix": Peer(("dcm2niix",), program="dcm2niix", named="dcm2niix"),
    "pubmed_parser": Peer(("pubmed_parser", "pillow"), named="pubmed_parser"),
    "minhash": Peer(("datasketch", "rensa"), above=True),
    "torchgeo": Peer(("torchgeo",), above=True),
    "httpx": Peer(("httpx>=0.27", "aiohttp"), above=True),
    "ray": Peer(("ray>=2.40",), above=True),
    # From 2.4 on numpy makes no number of an array of one, as clip-benchmark 1.6.2 does.
    "clip_benchmark": Peer(("clip-benchmark", "open_clip_torch==3.3.0", "numpy<2.4"), named="clip-benchmark"),
}


@dataclass(frozen=True)
class Comparison:
    """A script, run as a command.

    Attributes:
        name: for `--only`.
        script: of this folder.
        quick: arguments of the short form; None where there is none.
        full: arguments otherwise.
        peer: a name of `PEERS`, or None where the peer is among our own dependencies.
        given: whether the script takes the peer's program by `--peer`.
        data: files that must be below the folder that VOXTILE_TEST_DATA names; the first is an argument.
    """

    name: str
    script: str
    quick: tuple[str, ...] | None
    full: tuple[str, ...] = ()
    peer: str | None = None
    given: bool = False
    data: tuple[str, ...] = ()

    def missing_data(self) -> str | None:
        """What to say where its files are not there, else None."""
        root = os.environ.get(DATA)
        if not self.data:
            return None
        if not root:
            return f"{DATA} is not set, and it needs {self.data[0]} of that folder"
        absent = [name for name in self.data if not (Path(root) / name).exists()]
        return f"{absent[0]} is not in the folder that {DATA} names" if absent else None


PNEUMONIA = "medical/medmnist2d_pneumonia/pneumoniamnist.npz"
COMPARISONS = (
    Comparison("loss", "loss.py", ("--batch", "4096", "--rounds", "3"), peer="open_clip"),
    Comparison("loading", "loading.py", ("--images", "1500", "--rounds", "3"), peer="open_clip"),
    Comparison(
        "train-step", "train_step.py", ("--pairs", "4", "--batch", "8", "--threads", "1"), ("--threads", "1"),
        peer="open_clip",
    ),
    Comparison("train-files", "train_step.py", None, ("--end-to-end", "--precision", "bf16"), peer="open_clip"),
    Comparison("step-overhead", "step_overhead.py", ("--case", "ct", "--steps", "60", "--warm", "10")),
    Comparison("large-batch", "large_batch.py", ("--total", "512")),
    Comparison("crops", "crops.py", ("--rounds", "12")),
    Comparison(
        "dicom-conversion", "dicom_conversion.py", ("--studies", "40", "--repeats", "1", "--rounds", "2"),
        peer="dicom2nifti", given=True,
    ),
    Comparison("dicom-speed", "dicom_speed.py", ("--rounds", "3", "--rounds-many", "0"), peer="dcm2niix", given=True),
    Comparison("figures", "figures.py", ("--articles", "40", "--rounds", "3"), peer="pubmed_parser", given=True),
    Comparison("tiles", "tiles.py", ("--side", "3072", "--rounds", "2", "--reads", "100"), peer="torchgeo"),
    Comparison("slides", "slides.py", ("--patches", "300", "--rounds", "3")),
    Comparison("slide-memory", "slide_memory.py", ("--width", "20000", "--height", "16000", "--shares", "0.02,0.06")),
    Comparison("measurements", "measurements.py", ("--labels", "10", "--small"), ("--labels", "10", "--rounds", "3")),
    Comparison("checksums", "checksums.py", ("--rounds", "8")),
    Comparison("remote", "remote.py", ("--items", "512", "--rounds", "2", "--sides", "cold")),
    Comparison("ray", "ray_engine.py", ("--scans", "120", "--rounds", "1"), peer="ray"),
    Comparison("caption-client", "caption_client.py", ("client", "--requests", "8000"), ("client", "slow"), "httpx"),
    Comparison("curation", "curation.py", ("--captions", "400000"), peer="minhash"),
    Comparison("index", "index.py", ("--samples", "3000000")),
    Comparison("ranks", "ranks.py", ("--samples", "10000000", "--steps", "20")),
    Comparison("petabyte", "petabyte.py", ("--quick",)),
    Comparison("evaluation", "evaluation.py", ("--test", "150", "--train", "200")),
    Comparison("zero-shot", "evaluation_scale.py", ("zero-shot", "--images", "50000"), ("zero-shot",)),
    Comparison(
        "retrieval", "evaluation_scale.py", ("retrieval", "--images", "10000", "--captions", "50000"), ("retrieval",)
    ),
    Comparison(
        "clip-benchmark", "clip_benchmark.py", ("--images", "64"), ("--images", "300"), "clip_benchmark", given=True,
        data=(PNEUMONIA,),
    ),
)  # fmt: skip
