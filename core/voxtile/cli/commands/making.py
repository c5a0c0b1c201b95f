"""Commands that make a corpus."""

from __future__ import annotations

from collections.abc import Mapping

from voxtile.cli.commands.members import imports, of_domains
from voxtile.cli.entries import CORPUS, Entry, Group
from voxtile.domain import Command

MAKING: Mapping[str, Entry | Group] = {
    "phantom": Group(
        CORPUS,
        "phantom NAME OUT",
        "write native files with known truth, to try everything without data",
        "voxtile phantom ct phantom --n 200",
        "phantom",
        of_domains(lambda domain: domain.phantoms),
    ),
    "convert": Group(
        CORPUS,
        "convert NAME SOURCE CORPUS",
        "raw files to a corpus; run it again to resume",
        "voxtile convert dicom phantom/dicom corpus --reports phantom/reports.csv",
        "converter",
        of_domains(lambda domain: domain.converters),
        adds=True,
        makes=True,
    ),
    "build": Group(
        CORPUS,
        "build NAME SOURCE CORPUS",
        "a public dataset as it is downloaded to a corpus",
        "voxtile build medmnist pneumoniamnist.npz corpus",
        "recipe",
        of_domains(lambda domain: domain.recipes),
        adds=True,
        makes=True,
    ),
    "import": Group(
        CORPUS,
        "import NAME SOURCE CORPUS",
        "image-text pairs to a corpus, bytes as they are; vectors of its patches",
        "voxtile import wds pairs/ corpus",
        "importer",
        imports,
        adds=True,
        makes=True,
    ),
    "materialize": Entry(
        CORPUS,
        "materialize CORPUS OUT --preset P",
        Command(
            "voxtile.stages.materialize.command:materialize_corpus",
            "a derived corpus at a preset's resolution",
            "voxtile materialize corpus small --preset preset.yaml",
        ),
    ),
}
