"""Pictures in Parquet files, as `datasets` of Hugging Face writes them."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tests.support.picture_sets import grey

SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("id", pa.string()),
        ("caption", pa.string()),
        ("source", pa.string()),
    ]
)


def encoded(name):
    """A PNG that differs from name to name."""
    out = io.BytesIO()
    Image.fromarray(grey(name)).save(out, "PNG")
    return out.getvalue()


def write(path, rows):
    """A Parquet file with two rows a group."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path, row_group_size=2)


def medtrinity(root):
    """MedTrinity-25M's demonstration part."""
    rows = [
        {
            "image": {"bytes": encoded(name), "path": f"{name}.png"},
            "id": name,
            "caption": f"A caption of {name}.",
            "source": "nih",
        }
        for name in "abc"
    ]
    write(root / "25M_demo/train-00000-of-00002.parquet", rows)
