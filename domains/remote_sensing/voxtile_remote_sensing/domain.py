"""The remote-sensing domain's entry point."""

from voxtile.domain import Domain, files_beside

domain = Domain(
    name="remote_sensing",
    title="satellite and aerial scenes: Sentinel, Landsat, SAR, GeoTIFF, OpenStreetMap",
    files=files_beside(__file__),
    converters={},
    phantoms={},
    recipes={},
    facts={},
    wordings=(),
)
