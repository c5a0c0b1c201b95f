"""A sample as a notebook shows it: a volume by NiiVue (extra `notebook`), anything flat as a picture."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from voxtile.corpus.reader import Corpus
from voxtile.corpus.source import StoredSample
from voxtile.errors import VoxtileError
from voxtile.formats.pictures.band_pictures import band_picture
from voxtile.formats.pictures.encode import png
from voxtile.formats.pictures.nifti_stream import label_stream, volume_stream
from voxtile.formats.pictures.picture import whole_picture
from voxtile.formats.pictures.planes import is_volume, plane, plane_stacks, volume_windows
from voxtile.formats.pictures.values import size_along

Bundle: TypeAlias = dict[str, Any] | tuple[dict[str, Any], dict[str, Any]]
"""What IPython displays, by media type; with its metadata where there is some."""

_MOST_BYTES = 256 << 20  # of a volume that is sent to the browser; of a larger one its middle planes are shown
_OPACITY = 0.45  # of masks


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this code, and not a terminal, whose display has no pictures."""
    found = sys.modules.get("IPython")
    shell = None if found is None else found.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def bundle(corpus: Corpus, source: StoredSample, regions: Sequence[Mapping[str, Any]]) -> Bundle | None:
    """A sample for display; None where it has no picture.

    Args:
        corpus: that holds the masks.
        source: the sample.
        regions: its rows of the table `regions`.
    """
    try:
        if is_volume(source.meta):
            voxels = size_along(source.meta, "Z") * size_along(source.meta, "Y") * size_along(source.meta, "X")
            fits = voxels * np.dtype(str(source.meta["dtype"])).itemsize <= _MOST_BYTES
            if fits and all(find_spec(module) is not None for module in ("ipyniivue", "nibabel")):
                found: Bundle = niivue(corpus, source, regions)._repr_mimebundle_()
                return found
            return {"image/png": png(_middle_planes(source))}
        data, kind = whole_picture(source, band_picture(source.meta, None))
        return {kind: data}
    except (VoxtileError, OSError):  # a notebook's cell shows the text, and asking for pixels says why
        return None


def niivue(corpus: Corpus, source: StoredSample, regions: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401 - a widget
    """NiiVue with a volume and the masks of its regions.

    Raises:
        VoxtileError: the sample cannot be read.
    """
    from ipyniivue import NiiVue, Volume

    window = volume_windows(source)[0]
    shown = {"cal_min": window.low, "cal_max": window.high, "colorbar_visible": False}
    volumes = [Volume(data=b"".join(volume_stream(source)[1]), name="volume.nii", colormap="gray", **shown)]
    masked = [region for region in regions if region["mask_shard"] is not None]
    if masked:
        labels = b"".join(label_stream(corpus, source.meta, masked)[1])
        volumes.append(Volume(data=labels, name="regions.nii", colormap="warm", opacity=_OPACITY, cal_min=0.0))
    viewer = NiiVue(is_radiological_convention=True)
    viewer.load_volumes(volumes)
    return viewer


def _middle_planes(source: StoredSample) -> Any:  # noqa: ANN401 - [Y, X] uint8
    """The middle plane of each direction, side by side, black below those that are less high."""
    window = volume_windows(source)[0]
    shown = [plane(source, stack.name, stack.count // 2, window) for stack in plane_stacks(source.meta)]  # type: ignore[arg-type]
    height = max(one.shape[0] for one in shown)
    return np.concatenate([np.pad(one, ((0, height - one.shape[0]), (0, 0))) for one in shown], axis=1)
