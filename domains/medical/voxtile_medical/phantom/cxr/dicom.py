"""A radiograph as DICOM: Digital X-Ray Image for presentation, PS3.3 A.26."""

from __future__ import annotations

from functools import cache

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from voxtile_medical.phantom.ct.dicom import code, patient_and_study
from voxtile_medical.phantom.cxr.film import BITS, COLUMNS, ROWS, Film
from voxtile_medical.phantom.template import Marks, Template, decimals, encode, pixel_element


def film_file(film: Film) -> bytes:
    """The radiograph as one file."""
    identity = film.identity
    fields = identity.fields() | {
        "sop_uid": identity.instance_uid("film"),
        "spacing": decimals([film.spacing, film.spacing]),
    }
    template = _template(film.turned)
    head = template.fill({name: value for name, value in fields.items() if name in template.fields})
    values = np.uint16(2**BITS - 1) - film.values if film.turned else film.values
    return bytes(head) + pixel_element(values.astype("<u2").tobytes())


@cache
def _template(turned: bool) -> Template:
    marks = Marks()
    ds = patient_and_study(marks, "DX")
    ds.StudyDescription, ds.SeriesDescription = "XR CHEST", "CHEST AP"
    del ds.PatientPosition
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = 1, 1, 1
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.PresentationIntentType = "FOR PRESENTATION"
    _shown(ds, turned)
    ds.ImagerPixelSpacing = marks.decimals("spacing", 2)
    ds.PixelSpacing = ds.ImagerPixelSpacing
    ds.BurnedInAnnotation, ds.LossyImageCompression = "NO", "00"
    ds.DerivationDescription = "Parallel rays through a painted body"
    _positioned(ds)
    content = encode(ds, DigitalXRayImageStorageForPresentation, marks.uid("sop_uid"), ExplicitVRLittleEndian)
    return Template(content, marks.fields)


def _shown(ds: Dataset, turned: bool) -> None:
    """What stored values mean, and which way round they are shown."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if turned else "MONOCHROME2"
    ds.PresentationLUTShape = "INVERSE" if turned else "IDENTITY"
    ds.Rows, ds.Columns = ROWS, COLUMNS
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, BITS, BITS - 1, 0
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = 1 if turned else -1  # -1: larger values where fewer X-rays come through
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.WindowCenter, ds.WindowWidth = str(2 ** (BITS - 1)), str(2**BITS)


def _positioned(ds: Dataset) -> None:
    """How the patient stood, and what took the picture."""
    ds.ViewPosition, ds.PatientOrientation, ds.ImageLaterality = "AP", ["L", "F"], "U"
    ds.AnatomicRegionSequence = Sequence([code("51185008", "SCT", "Chest")])
    view = code("399348003", "SCT", "antero-posterior")
    view.ViewModifierCodeSequence = Sequence([])
    ds.ViewCodeSequence = Sequence([view])
    ds.PatientOrientationCodeSequence = Sequence([code("10904000", "SCT", "erect")])
    ds.PositionerType, ds.DetectorType, ds.KVP = "NONE", "DIRECT", "120"
    ds.AcquisitionContextSequence = Sequence([])
