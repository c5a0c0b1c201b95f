"""The corpus tables as pyarrow schemas, with a version.

A corpus is immutable image shards plus append-only tables. Each table is a folder of Parquet parts; a stage adds parts
and never rewrites one. Readers accept every earlier major version and refuse a newer one.
"""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = "2.0"  # 2.0: arrays carry checksums; what 1.0 wrote is read as ever
PACKED_VERSION = "3.0"  # parts of tables lie in packed files: of corpora that `voxtile compact` has packed
NEWEST_VERSION = PACKED_VERSION  # a corpus states the oldest version that can read it; this one reads up to here
VERSION_KEY = b"voxtile_schema"

CHANNEL = pa.struct(
    [
        ("name", pa.string()),
        ("wavelength_nm", pa.float64()),
        ("unit", pa.string()),
        ("scale", pa.float64()),  # physical = stored · scale + offset
        ("offset", pa.float64()),
    ]
)

# One row a sample. Arrays are stored in the order that `axes` names; volumes are ZYX after a lossless reorientation to
# the axes nearest RAS+. `affine` is row-major and maps the voxel index (x, y, z, 1) to RAS+ mm. `offset` and `nbytes`
# address the payload inside the tar. `spacing` is in mm, in array axis order (z, y, x) or (y, x).
# An `overview` is a picture of a whole slide or scene, for people: it carries masks, and no view or task selects it.
OVERVIEW = "overview"

# The key of `attributes` that says what made a sample that no device acquired, by a mark of its file.
SYNTHETIC = "synthetic"

# The concept of a fact that says what a sample is within its study: its attributes hold {"role": …} and the evidence.
# Roles choose the samples of a study (`voxtile.data.presets.roles`); they are never a target of training or evaluation.
ROLE = "series role"

# The concept of a fact that says what a region's mask shows: `code` holds the ontology's code, and the attributes the
# structure's name, side, and where its mask came from. It describes the region and is never a target or a caption.
STRUCTURE = "structure"

# Facts whose source begins so are measurements of a region: sizes, distances and the like, with a value and a unit.
# What follows from them (that a spleen is large) is another fact of another source. They are never a target or caption.
MEASURED = "measurements/"

# Concepts that describe a sample or a region and state no finding.
DESCRIPTIVE = (ROLE, STRUCTURE)

SAMPLES = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),
        ("study", pa.string()),
        pa.field("kind", pa.string(), nullable=False),  # image | volume | tile | patch | overview
        ("modality", pa.string()),  # CT, MR, PT, CR, DX, RGB, MSI, SAR, … (DICOM defined terms where they exist)
        ("axes", pa.string()),  # e.g. ZYX, CYX, YXC
        ("shape", pa.list_(pa.int64())),
        ("dtype", pa.string()),
        ("units", pa.string()),  # HU, SUVbw, reflectance, dB, a.u.
        ("channels", pa.list_(CHANNEL)),
        ("affine", pa.list_(pa.float64())),  # 16 numbers
        ("spacing", pa.list_(pa.float64())),
        ("crs", pa.string()),
        ("transform", pa.list_(pa.float64())),  # 6 numbers, rasterio order
        ("bounds", pa.list_(pa.float64())),  # min x, min y, max x, max y in crs
        ("gsd_m", pa.float64()),
        ("mpp", pa.list_(pa.float64())),  # micrometres a pixel (x, y)
        ("level0_box", pa.list_(pa.int64())),  # x0, y0, x1, y1 at level 0
        ("datetime", pa.string()),  # ISO 8601; shifted per subject where de-identification is on
        ("valid_fraction", pa.float64()),
        ("source", pa.string()),  # relative path, or keyed hash where de-identification is on
        ("licence", pa.string()),
        ("shard", pa.string()),  # path relative to the corpus, e.g. shards/dicom-0123456789abcdef.tar; null for ref
        pa.field("codec", pa.string(), nullable=False),  # b2nd | jpg | png | ref
        ("offset", pa.int64()),
        ("nbytes", pa.int64()),
        ("sha256", pa.string()),  # of the payload bytes (of the referenced content for codec ref)
        ("ref", pa.string()),  # JSON {"uri", "box", "reader", …} for codec ref; see voxtile.corpus.references
        ("geometry", pa.binary()),  # WKB in EPSG:4326, split at the dateline
        ("attributes", pa.string()),  # JSON of whitelisted acquisition facts (series role, kernel, sex, age band, …)
    ]
)

FACTS = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("concept", pa.string(), nullable=False),
        pa.field("polarity", pa.string(), nullable=False),  # present | absent | uncertain
        ("value", pa.float64()),
        ("unit", pa.string()),
        ("attributes", pa.string()),  # JSON: laterality, segment, colour, …
        ("region_id", pa.string()),
        ("code", pa.string()),
        ("source", pa.string()),  # rule id and version, e.g. labels@1
    ]
)

SCOPES = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("vocabulary", pa.string(), nullable=False),
        pa.field("closed", pa.bool_(), nullable=False),  # closed: unmentioned means absent
        ("concepts", pa.list_(pa.string())),
    ]
)

CAPTIONS = pa.schema(
    [
        pa.field("caption_id", pa.string(), nullable=False),
        pa.field("uid", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        ("lang", pa.string()),
        pa.field("kind", pa.string(), nullable=False),  # raw | template | rewrite | fusion | vlm | roi | mention | qa
        ("parents", pa.list_(pa.string())),
        ("provider", pa.string()),
        ("model", pa.string()),
        ("prompt_sha", pa.string()),
        ("request_sha", pa.string()),
        ("tokens_in", pa.int64()),
        ("tokens_out", pa.int64()),
        ("cost_usd", pa.float64()),
        ("created", pa.string()),
    ]
)

VERDICTS = pa.schema(
    [
        pa.field("caption_id", pa.string(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),  # supported | contradicted | unsupported | unknown
        ("detail", pa.string()),
        ("checker", pa.string()),
        ("checker_version", pa.string()),
    ]
)

QUESTIONS = "qa"
"""Kind of captions that are questions with their answers, from a set that has them: no descriptions of an image."""

# One row a caption that describes a region or answers a question, with its parts apart: the triplet of picture (`uid`),
# region and description (the caption's text), or a row of instructions. The caption's text holds question and answer.
INSTRUCTIONS = pa.schema(
    [
        pa.field("caption_id", pa.string(), nullable=False),
        pa.field("uid", pa.string(), nullable=False),
        ("region_id", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
    ]
)

# `box` is half-open, in pixel-edge coordinates and array index order: min corner, then max corner.
REGIONS = pa.schema(
    [
        pa.field("region_id", pa.string(), nullable=False),
        pa.field("uid", pa.string(), nullable=False),
        ("phrase", pa.string()),
        ("box", pa.list_(pa.float64())),
        ("angle", pa.float64()),  # degrees counter-clockwise
        ("mask_shard", pa.string()),
        ("mask_offset", pa.int64()),
        ("mask_nbytes", pa.int64()),
        ("source", pa.string()),
    ]
)

SPLITS = pa.schema(
    [
        pa.field("scheme", pa.string(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # train | val | test
    ]
)

# `uid` is that of a sample, or the caption_id of a caption.
SCORES = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        ("value", pa.float64()),
        ("producer", pa.string()),
    ]
)

LEDGER = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("attempt", pa.int64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # used | dropped | failed
        ("reason", pa.string()),
        ("error_class", pa.string()),
        ("uid", pa.string()),
    ]
)

# One row a sample and model, from `voxtile embed`. SQL views leave `vector` out: DuckDB has no half precision.
EMBEDDINGS = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),  # as `voxtile embed` printed it
        pa.field("vector", pa.list_(pa.float16()), nullable=False),
    ]
)

# What people say of a caption, fact or region (`voxtile serve`, Judge); of several rows of a reader on a target the
# last counts.
REVIEWS = pa.schema(
    [
        pa.field("review_id", pa.string(), nullable=False),
        pa.field("uid", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # what is judged: caption | fact | region
        pa.field("target", pa.string(), nullable=False),  # its caption_id or region_id; a hash of what a fact says
        ("claim", pa.string()),  # the words that are meant; null for the whole
        pa.field("verdict", pa.string(), nullable=False),  # right | wrong | cannot tell
        ("comment", pa.string()),
        pa.field("reader", pa.string(), nullable=False),
        pa.field("drawn", pa.string(), nullable=False),  # random | stratified | by fact | objected | disagreed
        pa.field("created", pa.string(), nullable=False),  # ISO 8601, UTC
    ]
)

# One row a turn of a dialogue about one image or several: a question and its answer, a report that was asked for, or
# several questions in a row. All turns of a dialogue have the same `uids`. What a turn of the assistant says is judged
# as a caption is; a dialogue with a contradicted turn stays here and is never drawn.
DIALOGUES = pa.schema(
    [
        pa.field("dialogue_id", pa.string(), nullable=False),
        pa.field("turn", pa.int64(), nullable=False),  # from 0
        pa.field("role", pa.string(), nullable=False),  # user | assistant
        pa.field("text", pa.string(), nullable=False),
        pa.field("uids", pa.list_(pa.string()), nullable=False),  # the images, in the order of the prompt
        # report | presence | count | side | size | place | comparison | unanswerable | region | grounded
        pa.field("kind", pa.string(), nullable=False),
        ("region_ids", pa.list_(pa.string())),  # that the turn speaks of
        ("answer", pa.string()),  # the short answer of a question that has one, in one form: yes, left, 12 mm
        ("provider", pa.string()),  # who worded it
        ("parents", pa.list_(pa.string())),  # ids of captions and regions, and facts as concept:polarity, that it is of
        ("created", pa.string()),  # ISO 8601; null where it is made again alike from the same facts
        ("verdict", pa.string()),  # supported | contradicted | unsupported | unknown; null for what is not judged
        ("detail", pa.string()),  # why
    ]
)

# One row a pair of answers to one request about an image: the facts speak for `chosen` against `rejected`, of which at
# least one was drawn by a model that is to be tuned. Made of the training split alone.
PREFERENCES = pa.schema(
    [
        pa.field("preference_id", pa.string(), nullable=False),
        pa.field("uids", pa.list_(pa.string()), nullable=False),  # the images, in the order of the prompt
        pa.field("question", pa.string(), nullable=False),
        pa.field("chosen", pa.string(), nullable=False),
        pa.field("rejected", pa.string(), nullable=False),
        # corrected: the draft with what is wrong said as the facts have it | shortened: the draft without false denials
        # and wrong details | kept: what is not wrong of it, over the same without something that the facts support
        pa.field("kind", pa.string(), nullable=False),
        ("wrong", pa.list_(pa.string())),  # sentences of `rejected` that the facts contradict
        ("right", pa.list_(pa.string())),  # sentences that `chosen` has in their place
        ("detail", pa.string()),  # why the first of them is wrong
        ("model", pa.string()),  # the checkpoint that drew the drafts: the stem of its file and a hash
        ("parents", pa.list_(pa.string())),  # facts as uid:concept:polarity that the right sentences are of
        ("checker", pa.string()),  # that judged, with its version
        ("created", pa.string()),  # ISO 8601; null where the same run makes it again alike
    ]
)

TABLES: dict[str, pa.Schema] = {
    "samples": SAMPLES,
    "facts": FACTS,
    "scopes": SCOPES,
    "captions": CAPTIONS,
    "verdicts": VERDICTS,
    "instructions": INSTRUCTIONS,
    "dialogues": DIALOGUES,
    "preferences": PREFERENCES,
    "regions": REGIONS,
    "splits": SPLITS,
    "scores": SCORES,
    "embeddings": EMBEDDINGS,
    "reviews": REVIEWS,
}
