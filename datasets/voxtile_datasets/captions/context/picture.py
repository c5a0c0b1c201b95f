"""The picture of a sample as a vision model is shown it: of moderate size, and without what a file says of itself."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.reference_roots import named_roots, only_references_in
from voxtile.corpus.source import ARRAY_CODEC
from voxtile.errors import CorpusError
from voxtile_datasets.captions.context.sample import Row, UnsuitableError
from voxtile_datasets.captions.providers.provider import ReplyError

# Endpoints scale what is larger (OpenAI to 2048, then 768 pixels; Anthropic to 1568), and bill what is sent.
LONGEST_SIDE = 1536
_QUALITY = 90


@dataclass(frozen=True)
class SamplePicture:
    """Encodes a sample when it is called; of an array, its preview.

    Args:
        root: the corpus.
        row: of the samples table.
    """

    root: Path
    row: Row

    def __call__(self) -> bytes:
        """JPEG or PNG bytes.

        Raises:
            UnsuitableError: the sample is an array without a preview.
            ReplyError: the picture is damaged or gone.
        """
        source = Corpus(self.root).source(self.row)
        try:
            with only_references_in(named_roots(None)):  # what an endpoint is sent leaves this machine
                data = source.preview() if self.row["codec"] == ARRAY_CODEC else source.encoded()
            if data is None:
                raise UnsuitableError("no-picture", "the sample is an array without a preview to show a model")
            return shown(data)
        except (CorpusError, OSError, ValueError, Image.DecompressionBombError) as error:
            raise ReplyError("damaged-picture", f"the sample's picture cannot be read: {error}") from error


def shown(data: bytes) -> bytes:
    """A picture as it is sent: the same bytes where it is a plain one of moderate size, else a smaller JPEG.

    Metadata (EXIF and the like) may hold places, dates and names; a picture that has any is written anew without it.

    Args:
        data: an encoded picture.
    """
    with Image.open(io.BytesIO(data), formats=["JPEG", "PNG"]) as picture:
        is_plain = picture.format in {"JPEG", "PNG"} and not _says_more(picture)
        if is_plain and max(picture.size) <= LONGEST_SIDE and picture.mode in {"L", "RGB"}:
            return data
        small = picture.convert("L" if picture.mode in {"1", "L", "LA"} else "RGB")
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    small.info.clear()
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def _says_more(picture: Image.Image) -> bool:
    """Whether a file holds more than pixels and how to show them."""
    harmless = {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "progressive", "progression", "gamma"}
    return bool(picture.info.keys() - harmless - {"icc_profile", "adobe", "adobe_transform", "srgb", "chromaticity"})
