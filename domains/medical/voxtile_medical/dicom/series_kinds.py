"""What a series is, from its class and modality: a volume, pictures, or something that is not stored, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_planes.enhanced import is_enhanced
from voxtile_medical.dicom_planes.nuclear import is_nuclear, is_reconstruction
from voxtile_medical.verdicts import Verdict

_STORAGE = "1.2.840.10008.5.1.4.1.1."
VOLUME_MODALITIES = frozenset({"CT", "MR", "PT"})
PICTURE_MODALITIES = frozenset({"CR", "DX", "MG", "RG", "PX", "IO"})
_OTHER_MODALITIES = frozenset({"NM", "OPT", "IVOCT"})
# Pictures with overlays burned in as a rule, and photographs, which show people.
SCREEN_MODALITIES = frozenset({"US", "IVUS", "SC", "OT", "XA", "RF", "DG", "XC", "GM", "OP", "ES"})
_KNOWN = VOLUME_MODALITIES | PICTURE_MODALITIES | SCREEN_MODALITIES | _OTHER_MODALITIES
PHOTOGRAPHS = frozenset({"XC", "GM", "DG", "ES", "DMS"})
_PHOTOGRAPH_CLASSES = frozenset({"77.1.1", "77.1.1.1", "77.1.2.1", "77.1.4", "77.1.4.1", "77.1.7"})  # visible light
_BLANK = "--find-text blank looks for text and blanks it, --allow-burned-in keeps the picture as it is"
_OBJECTS = """
    SEG SR PR KO RTSTRUCT RTPLAN RTDOSE RTRECORD REG FID ANN DOC PLAN ECG EPS HD AU RWV BMD SMR STAIN M3D TEXTUREMAP
"""
NOT_IMAGES = frozenset(_OBJECTS.split())
# Storage classes whose objects are not images, by the part after the common root (PS3.6 annex A).
_NOT_IMAGE_CLASSES = (
    *("9.", "11.", "66", "67", "68.", "78.", "79.", "88.", "91.1", "104."),
    *("481.2", "481.3", "481.4", "481.5", "481.8"),
)
# Storage classes that are refused by what they are: reason and sentence.
_OTHER_CLASSES: Mapping[str, tuple[str, str]] = {
    "66.5": ("not-an-image", "surfaces of a segmentation, which are not read; export the segmentation as voxels"),
    "77.1.6": ("whole-slide", "a whole slide; `voxtile convert wsi` reads it"),
    "77.1.9": ("whole-slide", "a tiled pyramid of confocal microscopy; `voxtile convert wsi` reads slides"),
    "13.1.4": ("projections", "projections of a tomosynthesis; its slices (Breast Tomosynthesis) are converted"),
    "13.1.5": ("projections", "projections of a tomosynthesis; its slices (Breast Tomosynthesis) are converted"),
    "30": ("parametric-map", "a map of quantities computed from images; the images are converted"),
    "81.1": ("parametric-map", "a map of the thickness of the retina; the tomography is converted"),
    "481.1": ("unsupported-modality", "a portal image of radiotherapy, which shows the beam and its limits"),
}
_OCT_CLASSES = frozenset({"77.1.5.4", "77.1.5.7", "14.1", "14.2"})  # optical coherence tomography
_NEITHER = "neither CT, MR, PET, SPECT, a radiograph, tomosynthesis, ultrasound, angiography, fundus nor OCT"
_UNSUPPORTED = {
    "SM": "microscopy by place on a slide; `voxtile convert wsi` reads whole slides",
    "NM": f"nuclear medicine in a storage class of another kind; {_NEITHER}",
}
_SCREEN_CLASSES = ("7.", "6.1", "6.2", "3.1")  # secondary capture (and "7" itself), ultrasound, ultrasound multi-frame
# Storage classes of what a scanner measured: a ConversionType, which some writers set on whatever they touch, does not
# make a screenshot of these.
_MEASURED_CLASSES = frozenset({"2", "2.1", "2.2", "4", "4.1", "4.4", "128", "128.1", "130"})
_CONVERSIONS = frozenset({"DV", "DI", "DF", "WSD", "SD", "SI", "DRW", "SYN"})  # PS3.3 C.8.6.1: how a capture was made


def kind_of(header: FileHeader) -> Literal["volume", "picture"]:
    """What to make of a series, from its first header.

    Raises:
        Verdict: `not-an-image`, `localizer`, `whole-slide`, `projections`, `parametric-map` or `unsupported-modality`.
    """
    modality, storage = header.text("Modality"), header.text("SOPClassUID").removeprefix(_STORAGE)
    if storage in _OTHER_CLASSES:
        raise Verdict(*_OTHER_CLASSES[storage])
    if modality in NOT_IMAGES or storage.startswith(_NOT_IMAGE_CLASSES):
        raise Verdict(
            "not-an-image",
            "an object that describes images (segmentation, plan, …) and is not one; reports are for --reports",
        )
    if is_localizer(header):
        raise Verdict("localizer", "a localizer (ImageType says so)")
    if is_screen(header):
        return "picture"
    if modality in VOLUME_MODALITIES or is_enhanced(header) or is_reconstruction(header):
        return "volume"
    if modality in PICTURE_MODALITIES or is_nuclear(header) or storage in _OCT_CLASSES:
        return "picture"
    raise Verdict("unsupported-modality", _UNSUPPORTED.get(modality, _NEITHER))


def filed_as(header: FileHeader) -> str:
    """What parts the objects that share a series UID: raw data, screens and localizers are no planes of its volume.

    Some exports hold each image twice, as one enhanced file and as single planes; those of Philips have objects of
    private classes without pixels under the UIDs of the images. A plane of a scanner without pixels is a damaged one.
    """
    storage = header.text("SOPClassUID").removeprefix(_STORAGE)
    if header.pixel_tag == 0 and storage and storage not in _MEASURED_CLASSES:
        return "other"
    if storage in _OTHER_CLASSES or storage.startswith(_NOT_IMAGE_CLASSES):
        return "other"
    if is_localizer(header):
        return "localizer"
    return "screen" if is_screen(header) else "enhanced" if is_enhanced(header) else ""


def is_localizer(header: FileHeader) -> bool:
    """ImageType says LOCALIZER (PS3.3 C.7.6.1.1.2)."""
    return "LOCALIZER" in header.values.get("ImageType", ())


def is_screen(header: FileHeader) -> bool:
    """Ultrasound, secondary capture, a saved screen or a photograph: pictures that may name or show a person."""
    storage = header.text("SOPClassUID").removeprefix(_STORAGE)
    image_type = " ".join(str(v) for v in header.values.get("ImageType", ())).replace("_", " ")
    return (
        (header.text("Modality") in SCREEN_MODALITIES and not is_enhanced(header))
        or storage == "7"
        or storage.startswith(_SCREEN_CLASSES)
        or "SCREEN SAVE" in image_type
        or (header.text("ConversionType") in _CONVERSIONS and storage not in _MEASURED_CLASSES)
    )


def states_text(header: FileHeader) -> bool:
    """BurnedInAnnotation says that the pixels hold text that identifies."""
    return header.text("BurnedInAnnotation") == "YES"


def refuse_burned_in(header: FileHeader, *, looked_for: bool = False) -> None:
    """Fail closed where text may be burned into the pixels.

    Args:
        header: of a file.
        looked_for: text is looked for in the pixels afterwards.

    Raises:
        Verdict: `burned-in`, the header says so; `burned-in-risk`, ultrasound, secondary capture or a photograph.
    """
    modality, storage = header.text("Modality"), header.text("SOPClassUID").removeprefix(_STORAGE)
    if states_text(header) and not looked_for:
        raise Verdict("burned-in", f"BurnedInAnnotation is YES; {_BLANK}")
    if modality in PHOTOGRAPHS or storage in _PHOTOGRAPH_CLASSES:
        raise Verdict("burned-in-risk", "a photograph may show who the patient is; --allow-burned-in keeps it")
    if looked_for:
        return
    if is_screen(header):
        raise Verdict("burned-in-risk", f"ultrasound, a film or a saved screen may name the patient; {_BLANK}")
    if storage in _OCT_CLASSES and header.text("BurnedInAnnotation") != "NO":
        raise Verdict("burned-in-risk", f"an OCT without BurnedInAnnotation NO, which its standard asks for; {_BLANK}")


def modality_of(header: FileHeader) -> str:
    """The modality as a defined term; OT (other) for anything that is not one."""
    modality = header.text("Modality")
    return modality if modality in _KNOWN else "OT"
