"""The studies: one objective each, with and without it, on data where it is said to help."""

from __future__ import annotations

from collections.abc import Sequence

from mosaic_studies import MOSAIC_STUDIES
from scene_studies import SCENE_STUDIES
from study import Study

STUDIES: Sequence[Study] = (*SCENE_STUDIES, *MOSAIC_STUDIES)
