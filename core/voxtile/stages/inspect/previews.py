"""Small pictures of samples, for the HTML page: previews from the shard, or scaled pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.reference_roots import ON_A_PAGE, OutsideCorpusError
from voxtile.corpus.schema import MEASURED, ROLE
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.corpus.source import REFERENCE_CODEC
from voxtile.errors import StopRunError, VoxtileError

THUMBNAIL_PX = 256
_ENLARGE_BELOW_PX = 96  # smaller pictures are shown with visible pixels rather than blurred
_WIDE = 1.8
_QUALITY = 82


@dataclass(frozen=True)
class Preview:
    """One picture of the montage.

    Attributes:
        data: `data:` URI; None where the sample has no preview or cannot be read.
        problem: why there is none.
        is_tiny: show the pixels, do not smooth them.
        is_wide: it gets two columns, as do the three planes of a volume side by side.
        facts: (concept, polarity) of what is present or uncertain.
        absent: concepts that are stated to be absent.
        measured: what was measured of regions, such as a volume; a finding that has a size is present.
    """

    uid: str
    title: str
    subtitle: str
    data: str | None
    problem: str | None
    is_tiny: bool
    is_wide: bool
    facts: Sequence[tuple[str, str]]
    absent: Sequence[str]
    text: str | None
    measured: Sequence[str] = ()


def choose_uids(corpus: Corpus, count: int) -> list[str]:
    """Uids of samples to show: round robin over modality and first present concept, at random but repeatable."""
    connection = corpus.connection()
    try:
        rows = connection.execute(
            """WITH told AS (SELECT uid, min(concept) AS concept FROM facts WHERE polarity = 'present' GROUP BY uid),
            grouped AS (
                SELECT uid, row_number() OVER (PARTITION BY kind, modality, concept ORDER BY md5(uid)) AS place
                FROM samples LEFT JOIN told USING (uid) WHERE kind <> 'overview'
            )
            SELECT uid FROM grouped ORDER BY place, md5(uid) LIMIT ?""",
            [count],
        ).fetchall()
    finally:
        connection.close()
    return [row[0] for row in rows]


def make_previews(corpus: Corpus, uids: Sequence[str]) -> list[Preview]:
    """Previews of samples with their facts, split and first caption; a damaged sample says so in its place.

    Of several captions a raw one is the first: further texts say less of the picture (a sentence that cites a figure).
    """
    connection = corpus.connection()
    try:
        chosen = "SELECT unnest(?::VARCHAR[])"
        facts = connection.execute(
            f"""SELECT uid, concept, polarity, bool_and(starts_with(coalesce(source, ''), '{MEASURED}')) FROM facts
            WHERE uid IN ({chosen}) AND concept <> '{ROLE}' GROUP BY ALL ORDER BY 2, 3""",
            [uids],
        ).fetchall()
        roles = dict(
            connection.execute(
                f"""WITH stated AS (
                    SELECT uid, CASE WHEN json_valid(attributes) THEN attributes ->> '$.role' END AS role FROM facts
                    WHERE uid IN ({chosen}) AND concept = '{ROLE}' AND polarity = 'present'
                )
                SELECT uid, list_sort(list(DISTINCT role)) FROM stated WHERE role IS NOT NULL GROUP BY uid""",
                [uids],
            ).fetchall()
        )
        texts = dict(
            connection.execute(
                f"""SELECT uid, arg_min(text, (kind <> 'raw', caption_id)) FROM captions
                WHERE uid IN ({chosen}) GROUP BY uid""",
                [uids],
            ).fetchall()
        )
        splits = dict(
            connection.execute(
                f"""SELECT uid, min(split) FROM samples JOIN splits USING (subject)
                WHERE scheme = 'default' AND uid IN ({chosen}) GROUP BY uid""",
                [uids],
            ).fetchall()
        )
    finally:
        connection.close()
    return [
        _preview(
            corpus,
            corpus.row(uid),
            [fact for owner, *fact in facts if owner == uid],
            texts.get(uid),
            splits.get(uid),
            roles.get(uid, []),
        )
        for uid in uids
    ]


def _preview(
    corpus: Corpus,
    row: Mapping[str, Any],
    facts: Sequence[Sequence[Any]],
    text: str | None,
    split: str | None,
    roles: Sequence[str],
) -> Preview:
    data = problem = None
    is_tiny = is_wide = False
    try:
        picture = _picture(corpus, row)
        if picture is None:
            problem = "no preview"
        else:
            is_tiny = max(picture.size) < _ENLARGE_BELOW_PX
            is_wide = picture.width >= _WIDE * picture.height
            data = _data_uri(picture, is_tiny=is_tiny)
    except StopRunError:
        raise
    except (VoxtileError, OSError, ValueError) as error:
        problem = picture_problem(row, error)
    shape = " × ".join(str(size) for size in row["shape"] or ())
    day = (row["datetime"] or "")[:10]  # a place and a patient have several
    details = [shape, row["units"] if row["units"] != "a.u." else None, day, split]
    return Preview(
        uid=row["uid"],
        title=" · ".join(part for part in (row["modality"], row["kind"], *roles) if part),
        subtitle=" · ".join(part for part in details if part),
        data=data,
        problem=problem,
        is_tiny=is_tiny,
        is_wide=is_wide,
        facts=[(concept, polarity) for concept, polarity, number in facts if polarity != "absent" and not number],
        absent=[concept for concept, polarity, _ in facts if polarity == "absent"],
        text=text,
        measured=list(dict.fromkeys(concept for concept, polarity, number in facts if number and polarity != "absent")),
    )


def picture_problem(row: Mapping[str, Any], error: Exception) -> str:
    """Why a page has no picture of a sample, in words that may be passed on: a file outside the corpus has no name.

    Args:
        row: of the sample.
        error: what its reader said.
    """
    if isinstance(error, OutsideCorpusError):
        return ON_A_PAGE
    if row["codec"] == REFERENCE_CODEC:
        return "the file outside the corpus that it refers to cannot be read; voxtile verify says which"
    return str(error)


def _picture(corpus: Corpus, row: Mapping[str, Any]) -> Image.Image | None:
    source = corpus.source(row)
    if row["codec"] in {"jpg", "png"}:
        return Image.fromarray(decode_picture(source.encoded()))
    stored = source.preview()
    return Image.open(io.BytesIO(stored), formats=["JPEG"]) if stored else None


def _data_uri(picture: Image.Image, *, is_tiny: bool) -> str:
    stream = io.BytesIO()
    if is_tiny:
        picture.save(stream, "PNG")
        kind = "png"
    else:
        picture.thumbnail((2 * THUMBNAIL_PX, THUMBNAIL_PX))
        picture.convert("L" if picture.mode == "L" else "RGB").save(stream, "JPEG", quality=_QUALITY)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
