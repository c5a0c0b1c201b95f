"""The two stains of a patch: Macenko's estimate through torchstain, Vahadane's through scikit-learn.

Macenko et al., ISBI 2009; Vahadane et al., IEEE TMI 35:1962, 2016; Reinhard et al., IEEE CG&A 21:34, 2001.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.errors import required
from voxtile_pathology.stain.density import WHITE, Floats, Pixels, concentrations, density, tissue

_FEWEST = 500  # stained pixels; with fewer the estimate says more of noise than of stain
_VAHADANE_PIXELS = 2000
_VAHADANE_SPARSITY = 0.1  # λ of the paper
_WEAK = 0.01


@dataclass(frozen=True)
class Stains:
    """The two stains of a patch.

    Attributes:
        vectors: [2, 3] unit optical density (red, green, blue) of haematoxylin and of eosin.
        strongest: [2] 99th percentile of each one's amount.
    """

    vectors: Floats
    strongest: Floats


@dataclass(frozen=True)
class Lab:
    """Mean and standard deviation [3] of CIE L*a*b* (Reinhard's statistics)."""

    mean: Floats
    deviation: Floats


def macenko(pixels: Pixels) -> Stains | None:
    """Stains by the extreme angles in the plane of the two largest components; None with too little tissue.

    Args:
        pixels: [Y, X, 3].

    Raises:
        MissingExtraError: torchstain is not installed.
    """
    if tissue(density(pixels)).sum() < _FEWEST:
        return None
    normaliser = _torchstain("MacenkoNormalizer")(backend="numpy")
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            normaliser.fit(pixels, Io=WHITE + 1)
    except (np.linalg.LinAlgError, ValueError, IndexError):
        return None
    return _ordered(np.asarray(normaliser.HERef, np.float32).T, pixels)


def vahadane(pixels: Pixels) -> Stains | None:
    """Stains by sparse non-negative factorisation of the density; None with too little tissue.

    Args:
        pixels: [Y, X, 3].
    """
    from sklearn.decomposition import DictionaryLearning
    from sklearn.exceptions import ConvergenceWarning

    densities = density(pixels)
    stained = densities[tissue(densities)]
    if len(stained) < _FEWEST:
        return None
    chosen = stained[np.linspace(0, len(stained) - 1, min(len(stained), _VAHADANE_PIXELS)).astype(int)]
    model = DictionaryLearning(
        n_components=2, alpha=_VAHADANE_SPARSITY, fit_algorithm="cd", transform_algorithm="lasso_cd", max_iter=50,
        positive_code=True, positive_dict=True, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(chosen)
    return _ordered(np.asarray(model.components_, np.float32), pixels)


def reinhard(pixels: Pixels) -> Lab:
    """Statistics of the patch in CIE L*a*b* (L* 0 to 100).

    Args:
        pixels: [Y, X, 3].

    Raises:
        MissingExtraError: torchstain is not installed.
    """
    normaliser = _torchstain("ReinhardNormalizer")(backend="numpy")
    normaliser.fit(pixels)
    return Lab(np.asarray(normaliser.target_means, np.float32), np.asarray(normaliser.target_stds, np.float32))


STAIN_METHODS: Mapping[str, Callable[[Pixels], Stains | None]] = MappingProxyType(
    {"macenko": macenko, "vahadane": vahadane}
)


def _ordered(vectors: npt.NDArray[np.float32], pixels: Pixels) -> Stains | None:
    """Unit vectors, haematoxylin (which absorbs more red) first; None where the two do not differ."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(vectors).all() or (lengths < _WEAK).any():
        return None
    unit = vectors / lengths
    unit = unit[np.argsort(-unit[:, 0])]
    if np.linalg.norm(np.cross(unit[0], unit[1])) < _WEAK:
        return None
    amounts = concentrations(density(pixels), unit)
    return Stains(unit.astype(np.float32), np.percentile(amounts, 99, axis=0).astype(np.float32))


def _torchstain(name: str) -> Any:  # noqa: ANN401
    with required("torchstain", "pathology"):
        from torchstain.base import normalizers
    return getattr(normalizers, name)
