"""The pathology domain's entry point."""

from voxtile.domain import Domain, files_beside

domain = Domain(
    name="pathology",
    title="whole-slide images: SVS, NDPI, MIRAX, DICOM, OME-TIFF",
    files=files_beside(__file__),
    converters={},
    phantoms={},
    recipes={},
    facts={},
    wordings=(),
)
