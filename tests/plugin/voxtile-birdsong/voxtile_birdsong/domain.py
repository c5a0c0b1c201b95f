"""What the domain offers."""

from voxtile.domain import Command, Domain, files_beside

domain = Domain(
    name="birdsong",
    title="sound recordings of birds: WAV files",
    files=files_beside(__file__),
    converters={
        "wav": Command(
            "voxtile_birdsong.convert:convert_wav",
            "WAV files with recordings.csv",
            "voxtile convert wav recordings corpus --licence CC-BY-4.0",
        )
    },
    endings={"wav": (".wav",)},
    classes=(
        "voxtile_birdsong.preset:SpectrogramPreset",
        "voxtile_birdsong.tower:SpectrogramTower",
        "voxtile_birdsong.objective:CallCentre",
    ),
)
