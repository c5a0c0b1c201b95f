"""An image of the viewer's own, by which to search."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from voxtile.errors import ConfigError
from voxtile.serve.explored import Explored
from voxtile.serve.routes import Served
from voxtile.serve.search.image_file import MOST_BYTES

router = APIRouter(tags=["images"])


class Held(BaseModel):
    """An image whose vector the server holds; `image` of a question names it. The image itself is not kept."""

    image: str


@router.post("/images")
async def send(
    request: Request,
    served: Served,
    name: Annotated[str, Query(max_length=300)],
    modality: Annotated[str | None, Query(max_length=16)] = None,
) -> Held:
    """Read an image, the body of the request: PNG, JPEG, NIfTI, a DICOM file or a raster, as the model takes it.

    The slices of a DICOM series come as one zip file.

    `name` is its file's name, of which the ending is looked at; `modality` that of a NIfTI file, which does not say.
    """
    handle, path = tempfile.mkstemp(prefix="voxtile-image-")
    try:
        taken = 0
        with os.fdopen(handle, "wb") as file:
            async for piece in request.stream():
                taken += len(piece)
                if taken > MOST_BYTES:
                    raise HTTPException(413)
                file.write(piece)
        return await run_in_threadpool(_held, served, Path(path), name, modality)
    finally:
        Path(path).unlink(missing_ok=True)


def _held(served: Explored, path: Path, name: str, modality: str | None) -> Held:
    meaning = served.meaning
    if meaning is None:
        raise ConfigError("no model was named; start voxtile serve with --model to search by images")
    image = meaning.images.reader.read(path, name, meaning.model.preset, modality)
    return Held(image=meaning.images.add(meaning.encoded(image)))
