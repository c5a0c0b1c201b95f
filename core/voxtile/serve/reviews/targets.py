"""Captions, facts and regions as targets of a judgement, in SQL over the tables of a corpus.

Every query gives `target` (unique together with `uid`), `uid`, `corpus`, `origin` (who says so) and `concept` (what
of); rows that two parts of a table have alike come twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from voxtile.corpus.schema import DESCRIPTIVE
from voxtile.serve.reviews.verdicts import Kind

REPORT = "raw"
"""Kind of the captions that came with the data; they are what captions are judged by."""

_SEPARATOR = " · "
_FACT_COLUMNS = ("uid", "concept", "polarity", "value", "unit", "attributes", "region_id", "source")
# A fact has no name of its own: what it says is its name, so that the same fact in another part is the same target.
_FACT = f"md5(concat_ws(chr(31), {', '.join(f'coalesce({name}::VARCHAR, chr(30))' for name in _FACT_COLUMNS)}))"
# The rarest of the concepts that a sample shows says more of it than what all show.
_RAREST = f"""(SELECT uid, arg_min(concept, (n, concept)) AS concept FROM facts
    JOIN (SELECT concept, count(DISTINCT uid) AS n FROM facts WHERE polarity = 'present' GROUP BY concept)
    USING (concept) WHERE polarity = 'present' AND concept NOT IN {DESCRIPTIVE} GROUP BY uid)"""

_CAPTIONS = f"""SELECT caption_id AS target, c.uid, c.corpus,
    concat_ws('{_SEPARATOR}', kind, nullif(concat_ws(' ', provider, model), '')) AS origin,
    rare.concept, text, kind = '{REPORT}' AS is_report, verdict
    FROM captions c LEFT JOIN judged USING (caption_id) LEFT JOIN {{rarest}} rare ON rare.uid = c.uid"""
_FACTS = f"""SELECT {_FACT} AS target, uid, corpus, coalesce(source, '–') AS origin,
    concept || ' ' || polarity AS concept, concept AS name, polarity, value, unit, attributes, region_id
    FROM facts WHERE concept NOT IN {DESCRIPTIVE}"""
_REGIONS = """SELECT region_id AS target, uid, corpus, coalesce(source, '–') AS origin,
    coalesce(phrase, 'region') AS concept, region_id FROM regions"""
_NOT_ASKED = "(SELECT NULL::VARCHAR AS uid, NULL::VARCHAR AS concept WHERE false)"

TARGETS: Mapping[Kind, str] = {
    "caption": _CAPTIONS.format(rarest=_NOT_ASKED),
    "fact": _FACTS,
    "region": _REGIONS,
}
"""Kind → query of all targets. Captions have no concept here, which takes all facts to say."""

WITH_CONCEPTS: Mapping[Kind, str] = {**TARGETS, "caption": _CAPTIONS.format(rarest=_RAREST)}
"""The same with the concept of captions: the rarest that their sample shows."""
