"""Reports lead to the cases behind their figures, the ledger to what was dropped, a CT to the PET of its study."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from serve_corpus import OTHER, PATCH, SCENE, VOLUME
from serve_report import GONE, write_report

from voxtile.corpus.records import Sample
from voxtile.corpus.schema import LEDGER
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError

pytest.importorskip("fastapi", reason="the extra serve is not installed")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    write_report(out)
    return out


@pytest.fixture
def cases(serving, served_corpus, report):
    from voxtile.serve.reports.report import open_reports

    client = serving(served_corpus, reports=open_reports([report]))

    def ask(order, **query):
        asked = {"task": "findings", "model": "mine", "class": "nodule", "order": order, **query}
        return client.get("/api/reports/0/cases", params=asked)

    ask.client = client
    return ask


def test_cases_come_by_how_confidently_they_are_wrong(cases):
    [listed] = cases.client.get("/api/reports").json()
    assert (listed["has_cases"], listed["models"]) == (True, ["mine", "theirs"])
    assert [(f["class_name"], f["value"]) for f in listed["figures"]] == [("nodule", 0.67), ("nodule", 1.0)]
    found = cases("false-positives").json()
    assert [(c["uid"], c["score"]) for c in found["cases"]] == [(PATCH, 0.7), (GONE, 0.3), (SCENE, 0.1)]
    assert [c["card"] is None for c in found["cases"]] == [False, True, False], "one is not in this corpus"
    assert found["cases"][0]["card"]["uid"] == PATCH
    missed = cases("false-negatives", limit=1).json()
    assert (missed["total"], [c["uid"] for c in missed["cases"]]) == (2, [OTHER])
    beside = cases("false-negatives", other="theirs").json()["cases"][0]
    assert (beside["score"], beside["other_score"]) == (0.2, 0.9)
    assert (beside["rank"], beside["other_rank"]) == (0.2, 0.8)
    assert cases("disagreements", other="theirs").json()["cases"][0]["uid"] == OTHER


def test_the_reports_own_page_leads_to_its_cases_and_says_nothing_of_files(serving, served_corpus, tmp_path):
    from voxtile.serve.reports.report import open_reports

    write_report(tmp_path)
    listed = "".join(f'<code class="case">{uid}</code> ' for uid in (PATCH, GONE))
    told = '<section class="provenance" id="p"><dd>/home/doe/last.ckpt</dd></section>'
    (tmp_path / "index.html").write_text(f"<!doctype html><p>{listed}</p>{told}<footer>end</footer>")
    client = serving(served_corpus, reports=open_reports([tmp_path]))
    assert client.get("/api/reports").json()[0]["has_page"]
    answer = client.get("/api/reports/0/page")
    assert f'<a href="/#/sample/{PATCH}"><code class="case">{PATCH}</code></a>' in answer.text
    assert f' <code class="case">{GONE}</code> ' in answer.text, "one that is not in this corpus is no link"
    assert "doe" not in answer.text
    assert "<footer>end" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert "script-src 'self'" in client.get("/api/reports").headers["content-security-policy"]
    (tmp_path / "index.html").write_text("<p>/home/doe/last.ckpt</p>")  # of a version that told of files elsewhere
    assert (client.get("/api/reports/0/page").status_code, client.get("/api/reports/1/page").status_code) == (422, 404)


def test_what_a_report_does_not_hold_is_refused(cases, tmp_path):
    from voxtile.serve.reports.report import open_reports

    assert cases("false-positives", model="nobody").status_code == 422
    assert cases("disagreements").status_code == 422
    assert cases.client.get("/api/reports/1/cases", params={"task": "a", "model": "b", "class": "c"}).status_code == 404
    with pytest.raises(ConfigError, match="no report of voxtile evaluate"):
        open_reports([tmp_path])


def test_dropped_inputs_are_told_by_reason_and_not_by_name(serving, tmp_path):
    new_corpus(tmp_path / "corpus")
    writer = JobWriter(tmp_path / "corpus", "job")
    row = {"uid": VOLUME, "subject": "p", "kind": "image", "axes": "YX", "source": "doe/1.dcm", "licence": "CC0-1.0"}
    writer.add(Sample(row, np.zeros((4, 4), np.uint8)))
    writer.publish()
    told = [
        ("doe/1.dcm", "used", None, None, VOLUME),
        ("doe/2.dcm", "failed", "input-error", "InputError", None),
        ("doe/3.dcm", "dropped", "too-few-slices", None, GONE),
        ("doe/4.dcm", "dropped", "too-few-slices", None, None),
        ("doe/4.dcm", "dropped", "too-few-slices", None, OTHER),  # another series of the same file
        ("doe/1.dcm", "dropped", "undeclared-nodata", None, "b.tif: 4 pixels"),
        ("doe/1.dcm#2", "dropped", "undeclared-nodata", None, None),
        ("doe/1.dcm#3", "used", None, None, None),
    ]
    names = ("source", "status", "reason", "error_class", "uid")
    rows = [{**dict(zip(names, one, strict=True)), "attempt": 1} for one in told]
    (tmp_path / "corpus" / "ledger").mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=LEDGER), tmp_path / "corpus" / "ledger" / "a.parquet")
    client = serving(tmp_path / "corpus")
    answer = client.get("/api/dropped")
    found = answer.json()
    assert (found["used"], found["total"]) == (1, 6)
    assert [(r["reason"], r["inputs"], r["parts"]) for r in found["reasons"]] == [
        ("too-few-slices", 2, 0), ("input-error", 1, 0), ("undeclared-nodata", 0, 2)
    ]  # fmt: skip
    assert [one["is_part"] for one in found["inputs"]] == [False] * 4 + [True] * 2
    assert "doe" not in answer.text
    chosen = client.get("/api/dropped", params={"reason": "too-few-slices"}).json()
    assert chosen["total"] == 3
    assert [(one["status"], one["uid"], one["is_sample"]) for one in chosen["inputs"]] == [
        ("dropped", OTHER, False),
        ("dropped", GONE, False),
        ("dropped", None, False),
    ]


def test_volumes_of_a_study_can_be_laid_over_each_other(serving, tmp_path):
    new_corpus(tmp_path / "corpus")
    writer = JobWriter(tmp_path / "corpus", "job")
    affine = np.eye(4).ravel().tolist()
    shared = {"subject": "p", "study": "s", "kind": "volume", "axes": "ZYX", "source": "x", "licence": "CC0-1.0"}
    volumes = {VOLUME: ("CT", "HU", affine), OTHER: ("CT", "HU", affine), PATCH: ("PT", "SUVbw", affine),
               SCENE: ("PT", "SUVbw", None)}  # fmt: skip
    for uid, (modality, units, place) in volumes.items():
        row = {"uid": uid, "modality": modality, "units": units, "affine": place, "spacing": [1.0, 1.0, 1.0]}
        writer.add(Sample(shared | row, np.zeros((3, 4, 5), np.int16)))
    writer.publish()
    found = serving(tmp_path / "corpus").get(f"/api/samples/{VOLUME}/companions").json()
    assert [(one["uid"], one["units"]) for one in found] == [(PATCH, "SUVbw"), (OTHER, "HU")], "of another kind first"
    assert found[0]["window"] == {"name": "0 to 10", "low": 0.0, "high": 10.0}
