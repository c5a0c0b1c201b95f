"""What the physical values of an image are, as far as its header proves it.

HU are claimed for CT alone, and not where the header says "unspecified" or that the image is a map of something else.
"""

from __future__ import annotations

from voxtile_medical.dicom_header.element_values import Values

SUV_UNITS = {
    "BW": "SUVbw",
    "LBM": "SUVlbm",
    "LBMJAMES128": "SUVlbm",
    "LBMJANMA": "SUVlbm",
    "IBW": "SUVibw",
    "BSA": "SUVbsa",
}
# Units (0054,1001) other than g/ml and cm²/ml keep the standard's term (PS3.3 C.8.9.1.1.3).
_PET = frozenset(
    {"BQML", "CNTS", "PROPCNTS", "CPS", "PROPCPS", "PCNT", "MGMINML", "UMOLMINML", "MLMING", "MLG", "1CM", "UMOLML"}
    | {"MLMINML", "MLML", "STDDEV", "CM2"}
)
# Words of Image Type that say that a CT image holds no CT numbers: perfusion (PS3.3
# C.8.15.1.1.6, and consoles), multi-energy maps (C.8.2.1.1.1), arithmetic of images.
_MAPS = frozenset(
    [
        "CBF",
        "CBV",
        "MTT",
        "TTP",
        "TTD",
        "TMAX",
        "PBV",
        "BF",
        "BV",
        "PS",
        "FE",
        "KTRANS",
        "PERFUSION",
        "PERF",
        "IODINE",
        "IOD",
        "MAT_SPECIFIC",
        "MAT_FRACTIONAL",
        "MAT_VALUE_BASED",
        "MAT_REMOVED",
        "MAT_MODIFIED",
        "EFF_ATOMIC_NUM",
        "ZEFF",
        "Z_EFF",
        "ELECTRON_DENSITY",
        "EDENSITY",
        "ED",
        "RHO",
        "SUBTRACTION",
        "SUB",
        "DIVISION",
        "MULTIPLICATION",
        "STD_DEVIATION",
        "QUANTITY",
        "UNCERTAINTY",
    ]
)


def units_of(values: Values, modality: str) -> str:
    """Unit of the physical values: what the header proves, else a.u."""
    stated = str((values.get("RescaleType") or ("",))[0]).upper()
    if modality == "CT":
        return "a.u." if not_hu(values) else "HU"
    if modality == "PT":
        return pet_units(str((values.get("Units") or (stated,))[0]), str((values.get("SUVType") or ("",))[0]))
    return "Hz" if modality == "MR" and stated == "HZ" else "a.u."


def not_hu(values: Values) -> str | None:
    """Why the header of a CT does not prove HU; None where it does.

    An absent RescaleType says HU (PS3.3 C.8.2.1: it is required where values are something else).
    """
    stated = str((values.get("RescaleType") or ("HU",))[0]).upper()
    if stated == "US":
        return "RescaleType is US: what the values are is not specified"
    if stated != "HU":
        return "RescaleType is not HU"
    said = [str(word).upper() for word in values.get("ImageType", ())]
    is_map = next((word for word in said if word in _MAPS or _MAPS & set(word.replace("_", " ").split())), None)
    return f"the image type says that it is a map ({_word(is_map)})" if is_map else None


def pet_units(units: str, suv_type: str) -> str:
    """Units of PET values as the header states them: an SUV by its own type, or a.u. where the two contradict.

    >>> pet_units("GML", ""), pet_units("GML", "LBMJANMA"), pet_units("GML", "IBW"), pet_units("CM2ML", "")
    ('SUVbw', 'SUVlbm', 'SUVibw', 'SUVbsa')
    >>> pet_units("GML", "BSA"), pet_units("BQML", ""), pet_units("GML", "OTHER")
    ('a.u.', 'BQML', 'a.u.')
    """
    stated = units.upper()
    if stated in ("GML", "CM2ML"):
        kind = suv_type.upper() or ("BSA" if stated == "CM2ML" else "BW")
        return SUV_UNITS[kind] if kind in SUV_UNITS and (kind == "BSA") == (stated == "CM2ML") else "a.u."
    return stated if stated in _PET else "a.u."


def _word(found: str) -> str:
    """The word of the closed list that was found; a header's own text is never repeated."""
    return found if found in _MAPS else next(part for part in found.replace("_", " ").split() if part in _MAPS)
