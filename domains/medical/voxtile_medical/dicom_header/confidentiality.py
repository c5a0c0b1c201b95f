"""Which options of the Basic Application Level Confidentiality Profile a conversion follows.

Sources: DICOM PS3.15 annex E (E.1 the profile, E.3 its options), PS3.16 CID 7050 (their codes). Of the options,
those are here that concern what a corpus keeps of a header.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voxtile.corpus.confidentiality import FULL_DATES, MODIFIED_DATES, Code, Dates
from voxtile.errors import ConfigError
from voxtile_medical.dicom_header.element_values import Values

BASIC = "basic"
CLEAN_PIXELS = Code("113101", "Clean Pixel Data Option")  # where text in pixels is looked for and blanked
_BASIC_CODE = Code("113100", "Basic Application Confidentiality Profile")
OPTIONS: Mapping[str, Code] = {
    "clean-descriptors": Code("113105", "Clean Descriptors Option"),
    "full-dates": Code(FULL_DATES, "Retain Longitudinal Temporal Information Full Dates Option"),
    "modified-dates": Code(MODIFIED_DATES, "Retain Longitudinal Temporal Information Modified Dates Option"),
    "patient-characteristics": Code("113108", "Retain Patient Characteristics Option"),
    "device-identity": Code("113109", "Retain Device Identity Option"),
    "uids": Code("113110", "Retain UIDs Option"),
}
DEFAULT = "modified-dates,patient-characteristics,clean-descriptors"

DEVICE = {
    "ManufacturerModelName": "model",
    "DeviceSerialNumber": "serial_number",
    "SoftwareVersions": "software",
    "StationName": "station",
}  # element → name in the attribute `device`
_UIDS = {
    "StudyInstanceUID": "study",
    "SeriesInstanceUID": "series",
    "FrameOfReferenceUID": "frame_of_reference",
}  # element → name in the attribute `uids`
_OF_PATIENT = ("sex", "age_band")
_SUV_OF_NOBODY = ("type", "units", "stated_type", "decay_correction", "half_life_s", "refused", "tag")  # no weight
_DESCRIPTORS = ("described_as",)


@dataclass(frozen=True)
class Profile:
    """The basic profile with some options; by default those of `DEFAULT`.

    Attributes:
        options: names of `OPTIONS`.
    """

    options: frozenset[str] = frozenset(DEFAULT.split(","))

    @classmethod
    def of(cls, text: str) -> Profile:
        """Read `basic` or names of options, separated by commas.

        Raises:
            ConfigError: there is no such option, or two exclude each other.
        """
        names = frozenset(name for part in text.split(",") if (name := part.strip().lower()))
        unknown = sorted(names - OPTIONS.keys() - {BASIC})
        if unknown or not names:
            raise ConfigError(
                f"--profile has no option '{unknown[0] if unknown else ''}'; give {BASIC} alone, or of these what the "
                f"corpus keeps: {', '.join(OPTIONS)}"
            )
        if {"full-dates", "modified-dates"} <= names:
            raise ConfigError("--profile names full-dates and modified-dates, which exclude each other; leave one out")
        return cls(names - {BASIC})

    @property
    def is_default(self) -> bool:
        """What is kept without a word."""
        return self == Profile()

    @property
    def codes(self) -> tuple[Code, ...]:
        """Of the profile and its options, in their order."""
        return tuple(sorted((_BASIC_CODE, *(OPTIONS[name] for name in self.options))))

    @property
    def dates(self) -> Dates:
        """What becomes of dates."""
        return "full" if "full-dates" in self.options else "moved" if "modified-dates" in self.options else "removed"

    def kept(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """A sample's attributes without what no option keeps."""
        found = dict(attributes)
        if "patient-characteristics" not in self.options:
            found = {name: value for name, value in found.items() if name not in _OF_PATIENT}
            if isinstance(suv := found.get("suv"), dict):  # the factor and the dose give the weight
                found["suv"] = {name: value for name, value in suv.items() if name in _SUV_OF_NOBODY}
        if "clean-descriptors" not in self.options:
            found = {name: value for name, value in found.items() if name not in _DESCRIPTORS}
        return found

    @property
    def adds(self) -> bool:
        """Whether `added` may give anything."""
        return bool({"uids", "device-identity"} & set(self.options))

    def added(self, values: Values, identifiers: Mapping[str, tuple[str, ...]]) -> dict[str, dict[str, str]]:
        """What options add to the attributes of a series: UIDs as they are, and the device that acquired it.

        Args:
            values: of a header.
            identifiers: people, numbers and places of the study, of which the first two are cut out of the device's.
        """
        found: dict[str, dict[str, str]] = {}
        if "uids" in self.options:
            found["uids"] = _texts(values, _UIDS)
        if "device-identity" in self.options:
            from voxtile_datasets.deidentification.scrub import clean_control_characters, scrub  # late: many patterns

            people, numbers = identifiers.get("people", ()), identifiers.get("numbers", ())
            found["device"] = {
                name: scrub(clean_control_characters(text), people, numbers)
                for name, text in _texts(values, DEVICE).items()
            }
        return {name: texts for name, texts in found.items() if texts}


def _texts(values: Values, names: Mapping[str, str]) -> dict[str, str]:
    said = {name: " ".join(str(value) for value in values.get(keyword) or ()) for keyword, name in names.items()}
    return {name: text for name, text in said.items() if text.strip()}
