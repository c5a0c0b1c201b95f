"""The DICOM task, which also writes down what its worker process has imported."""

import sys
from dataclasses import dataclass
from pathlib import Path

from voxtile.engine.task import Item, Outcome
from voxtile_medical.dicom.task import DicomTask


@dataclass(frozen=True)
class ModuleLister(DicomTask):
    """Of several series, the last one sees what storing the others took."""

    listed: Path = Path()

    def process(self, item: Item) -> Outcome:
        """Convert, then list."""
        outcome = super().process(item)
        self.listed.write_text("\n".join(sys.modules))
        return outcome
