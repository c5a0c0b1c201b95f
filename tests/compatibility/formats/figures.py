"""What a reader makes of a corpus, for `figures.json`: values, texts, splits. Older code runs it too.

python tests/compatibility/formats/figures.py CORPUS > figures.json
"""

import hashlib
import json
import sys
from pathlib import Path

from voxtile.corpus.reader import Corpus

TABLES = ("captions", "facts", "scopes", "regions", "splits")
PLACES = ("mask_shard", "mask_offset", "mask_nbytes")


def figures(root: Path) -> dict[str, object]:
    """Values of each sample by uid, as type, shape and hash, and the rows of the other tables in their order."""
    corpus = Corpus(root)
    values = {}
    for row in corpus.table("samples").to_pylist():
        array = corpus.source(row).array()
        values[row["uid"]] = [array.dtype.str, list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
    rows = {name: corpus.table(name).to_pylist() for name in TABLES}
    rows["regions"] = [{k: v for k, v in row.items() if k not in PLACES} for row in rows["regions"]]
    return {"values": values, "split of": corpus.splits(), **rows}


if __name__ == "__main__":
    print(json.dumps(figures(Path(sys.argv[1])), indent=1, sort_keys=True))
