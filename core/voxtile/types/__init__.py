"""Shaped types shared by towers, objectives, loaders and evaluation.

Shape letters: B items of a batch, S samples (images) of a batch (S = B unless a study has several), T texts of a batch,
L tokens of a text, C channels, D embedding width, F facts, N tokens of an image, *G a 2D (Y, X) or 3D (Z, Y, X) grid.
"""

from voxtile.types.batch import Batch, RowsOf
from voxtile.types.dialogues import Preferred, Shown, Turn
from voxtile.types.encoded import Encoded, Members
from voxtile.types.features import Features, ItemScales
from voxtile.types.regions import OtherImages, Regions

__all__ = [
    "Batch",
    "Encoded",
    "Features",
    "ItemScales",
    "Members",
    "OtherImages",
    "Preferred",
    "Regions",
    "RowsOf",
    "Shown",
    "Turn",
]
