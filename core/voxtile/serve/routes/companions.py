"""Other volumes of a sample's study that can be laid over it, such as PET over CT."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from pydantic import BaseModel

from voxtile.errors import VoxtileError
from voxtile.formats.geometry import volume_affine
from voxtile.formats.pictures.planes import is_volume, volume_windows
from voxtile.serve.routes import Served
from voxtile.serve.routes.pictures import ShownWindow

router = APIRouter(prefix="/samples/{uid}", tags=["pictures"])
_MOST = 12


class Companion(BaseModel):
    """A volume that lies in the same patient space; viewers resample it by the two affines."""

    uid: str
    modality: str | None
    units: str | None
    shape: list[int]
    window: ShownWindow


@router.get("/companions")
def companions(served: Served, uid: str) -> list[Companion]:
    """Volumes of the same study with a place in the patient, those of another modality first."""
    row = served.row(uid)
    if row["study"] is None or not is_volume(row) or volume_affine(row) is None:
        return []
    others = served.tables.rows(
        "SELECT uid FROM samples WHERE subject = ? AND study = ? AND uid <> ? AND kind = 'volume' "
        f"AND affine IS NOT NULL ORDER BY modality IS NOT DISTINCT FROM ?, modality, uid LIMIT {_MOST}",
        row["subject"], row["study"], uid, row["modality"],
    )  # fmt: skip
    found = []
    for other in (served.row(one["uid"]) for one in others):
        if not is_volume(other):
            continue
        try:
            with served.source(other) as source:
                window = ShownWindow(**asdict(volume_windows(source)[0]))
        except (VoxtileError, OSError):  # what cannot be read cannot be laid over; its own page says so
            continue
        about = {name: other[name] for name in ("uid", "modality", "units", "shape")}
        found.append(Companion(**about, window=window))
    return found
