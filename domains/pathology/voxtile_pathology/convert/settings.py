"""What a conversion of slides is asked to do, in plain values that are hashed into every job's id."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from voxtile.errors import ConfigError
from voxtile_pathology.tissue.mask import OTSU, TissueSpec, tissue_spec

Sampling: TypeAlias = Literal["grid", "random", "annotations", "coords"]
Codec: TypeAlias = Literal["jpg", "png"]
Icc: TypeAlias = Literal["keep", "srgb"]

# Scanners state 0.499 or 0.5034 for what is called 0.5. To resample by 0.2 % is to blur: 43 % of the variance of the
# Laplacian of a real slide is lost, and no measure of tissue is known that well.
MPP_TOLERANCE = 0.02
PRIVATE_IMAGES = frozenset({"label", "macro"})  # a label shows names and numbers, a macro picture shows the label


@dataclass(frozen=True)
class WsiSettings:
    """Settings that change the output.

    Attributes:
        mpp: micrometres a pixel of a patch; None takes level 0 as it is.
        mpp_tolerance: relative difference of scale up to which pixels are taken as they are.
        patch_px: width and height of a patch.
        overlap: pixels that neighbouring patches share.
        sampling: where patches lie.
        patches_per_slide: number of random patches a slide.
        seed: of random places.
        tissue: finds tissue.
        tissue_mpp: micrometres a pixel of the masks.
        min_tissue, max_pen, max_fold: shares of a patch.
        min_sharpness: least variance of the Laplacian; 0 keeps all.
        min_annotated: share of a patch that an annotation must cover, for annotation sampling.
        codec, quality: how pixels are encoded.
        pass_through: native JPEG tiles are copied where one tile is one patch.
        coords_only: pixels stay in the slides.
        icc: whether patches are turned into sRGB by the slide's ICC profile.
        assume_mpp: of slides that do not say.
        associated: associated images to store as overviews.
        licence: noted with every sample.
        deidentify: identifiers are replaced.
    """

    mpp: float | None = 0.5
    mpp_tolerance: float = MPP_TOLERANCE
    patch_px: int = 256
    overlap: int = 0
    sampling: Sampling = "grid"
    patches_per_slide: int = 256
    seed: int = 0
    tissue: TissueSpec = field(default_factory=lambda: tissue_spec(OTSU))
    tissue_mpp: float = 8.0
    min_tissue: float = 0.5
    max_pen: float = 0.05
    max_fold: float = 1.0
    min_sharpness: float = 0.0
    min_annotated: float = 0.5
    codec: Codec = "jpg"
    quality: int = 90
    pass_through: bool = False
    coords_only: bool = False
    icc: Icc = "keep"
    assume_mpp: float | None = None
    associated: tuple[str, ...] = ()
    licence: str | None = None
    deidentify: bool = True

    def __post_init__(self) -> None:
        for name in ("mpp", "tissue_mpp", "assume_mpp"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and 0 < value <= 1000):
                raise ConfigError(f"--{_dashed(name)} is micrometres a pixel, such as 0.5; got {value:g}")
        for name in ("min_tissue", "max_pen", "max_fold", "min_annotated"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"--{_dashed(name)} is a share of a patch, 0 to 1; got {getattr(self, name):g}")
        if not 8 <= self.patch_px <= 8192:
            raise ConfigError(f"--patch-px must lie between 8 and 8192; got {self.patch_px}")
        if not 0 <= self.overlap < self.patch_px:
            raise ConfigError(f"--overlap is pixels, 0 to less than --patch-px {self.patch_px}; got {self.overlap}")
        if not 0 <= self.mpp_tolerance <= 0.1:
            raise ConfigError(f"--mpp-tolerance is a relative difference, 0 to 0.1; got {self.mpp_tolerance:g}")
        if not 1 <= self.quality <= 100:
            raise ConfigError(f"--quality must lie between 1 and 100; got {self.quality}")
        if self.patches_per_slide < 1:
            raise ConfigError(f"--patches-per-slide must be at least 1; got {self.patches_per_slide}")
        if self.pass_through and self.coords_only:
            raise ConfigError("--pass-through copies tiles and --coords-only stores none; choose one of them")
        if self.icc == "srgb" and (self.pass_through or self.coords_only):
            raise ConfigError(
                "--icc srgb computes new pixels, and --pass-through and --coords-only keep the slide's own; choose one"
            )
        private = sorted(PRIVATE_IMAGES & set(self.associated))
        if self.deidentify and private:
            raise ConfigError(
                f"the {' and '.join(private)} image may show a patient's name, and de-identification is on; "
                "leave it out of --associated, or add --no-deidentify if you may store names"
            )

    @property
    def needs_pixels(self) -> bool:
        """Whether patches are decoded even where their bytes are copied or left in place."""
        return self.min_sharpness > 0

    def config(self) -> Mapping[str, Any]:
        """JSON-able."""
        return asdict(self) | {"tissue": self.tissue.config(), "associated": list(self.associated)}


def _dashed(name: str) -> str:
    return name.replace("_", "-")
