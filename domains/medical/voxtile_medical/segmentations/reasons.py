"""Why a mask, or a structure of one, gives no region: a sentence for each reason of the ledger."""

from __future__ import annotations

from collections.abc import Mapping

ADVICE: Mapping[str, str] = {
    "absent-slices": "the mask has voxels on slices that the image lacks; convert the whole series",
    "ambiguous-image": "several images go by the label map's name and none has its grid; say which with --pairs FILE",
    "duplicate-file": "the file is a copy of a mask that is used; nothing is to be done",
    "empty-mask": "no voxel is set, so there is no region; nothing is to be done unless the mask should not be empty",
    "mixed-orientations": "the frames point in different directions and are not on the image's grid; export one stack",
    "no-geometry": "the frames do not say where they lie in the patient; export the segmentation with its geometry",
    "no-image": "no image goes by the label map's name; say which with --pairs FILE (columns mask and uid)",
    "no-label-names": "the label map has several labels and a name for none; give a table with --label-names FILE",
    "no-series": "the series that the object marks is not in the corpus; convert the images first",
    "no-voxel": "the structure is smaller than a voxel and contains no voxel centre; nothing is to be done",
    "not-labels": "the values are not labels; keep images out of the folder of masks, or narrow --label-pattern",
    "not-planar": "a contour does not lie in a plane of the image; draw it on the image's own slices",
    "open-contour": "open contours enclose nothing; close them, or give the structure as a mask",
    "other-frame-of-reference": "the mask's frame of reference is not the image's; register them first",
    "outside-image": "the mask has voxels outside the image: it is larger, or of another image",
    "point-contour": "points enclose nothing; they mark a place and are not kept",
    "self-crossing-contour": "a contour crosses itself, so that what it encloses is not certain; draw it again",
    "unequal-steps": "the frames are neither on the image's grid nor at equal steps; export them on the image",
    "unnamed-label": "labels without a name in the label map's table are left out; add them to the table",
    "unsupported-dimensions": "a label map of several volumes; give one file a volume",
}
