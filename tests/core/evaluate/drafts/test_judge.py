"""A language model as the judge of drafts: what it finds is counted beside the rules, what it makes up is not."""

import io
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chat_endpoint import Endpoint, serving
from drafted_cases import QUICK, N, corpus_of_cases, drafted, reference, run, uid, values
from rich.console import Console

from voxtile.errors import ConfigError
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.file import load_task
from voxtile_datasets.licences.licence import LicenceError
from voxtile_datasets.report_reading.judge import read_judgement

KINDS = ("false_finding", "omitted_finding", "wrong_place", "wrong_severity", "false_comparison", "omitted_comparison")


def error(kind, words, significant=True):
    return {"kind": kind, "words": words, "significant": significant}


def seen_by_a_reader(own, draft):
    """What somebody would mark who reads both reports of `drafted_cases`."""
    found = []
    if "There is a pneumothorax" in draft and "No pneumothorax" in own:
        found.append(error("false_finding", "There is a pneumothorax"))
    if "stone" in own and "stone" not in draft:
        found.append(error("omitted_finding", "10 mm right kidney stone", significant=False))
    if "30 mm" in draft:
        found.append(error("wrong_severity", "30 mm", significant=False))
    if "right pleural" in draft and "left pleural" in own:
        found.append(error("wrong_place", "right pleural effusion"))
    return found


def reading(prompt):
    """The two reports that a prompt asks about: those that stand last in it."""
    *_, own, draft = (part.partition(">>>")[0] for part in prompt.split("<<<")[1:])
    return own, draft


def judging(prompt, _):
    own, draft = reading(prompt)
    return json.dumps({"errors": seen_by_a_reader(own, draft)})


def judged(cases, make_model, folder, endpoint, texts, more=""):
    with serving(endpoint) as url:
        told = f"judge: {{model: m, base_url: '{url}', replies: replies{more}}}\n"
        return run(cases, make_model, folder, texts, told)


def test_what_a_judge_finds_is_counted_beside_the_rules(cases, make_model, tmp_path):
    endpoint = Endpoint(judging)
    texts = [drafted(number) for number in range(N)]
    evaluation = judged(cases, make_model, tmp_path, endpoint, texts)
    found = values(evaluation)
    marked = [seen_by_a_reader(reference(number), text) for number, text in enumerate(texts)]
    for kind in KINDS:
        count = sum(any(one["kind"] == kind for one in each) for each in marked)
        assert found[f"judge:{kind}", None] == pytest.approx(count / N), kind
        assert found[f"judge:{kind}", None] == pytest.approx(found[kind, None]), kind  # rules and reader agree here
    matters = sum(any(one["significant"] for one in each) for each in marked) / N
    assert found["judge:significant", None] == pytest.approx(matters)
    (row,) = (r for r in evaluation.rows if r.metric == "judge:false_finding" and r.kind == "model")
    assert row.n == N
    assert row.low < row.value < row.high
    own = values(evaluation, "trivial", "own-reports")
    assert all(own[f"judge:{kind}", None] == 0.0 for kind in KINDS)
    assert values(evaluation, "trivial", "trivial-report")["judge:omitted_finding", None] == 0.0  # it has every stone
    assert max(Counter(endpoint.prompts).values()) == 1  # the same two reports are asked about once
    (result,) = evaluation.results
    assert result.details()["judge"]["model"] == "m"
    console = Console(file=io.StringIO(), width=160)
    report(evaluation, tmp_path, console)
    assert "False finding, as judged" in console.file.getvalue()
    assert "Reports with such an error, as m judges" in (tmp_path / "index.html").read_text()
    asked = len(endpoint.prompts)
    (tmp_path / "t.yaml").write_text(
        "kind: report-factuality\ndrafts: drafts.parquet\njudge: {provider: replay, model: m, replies: replies}\n"
    )
    again = evaluate_model(make_model(), "m", cases, [str(tmp_path / "t.yaml")], QUICK)
    assert values(again) == found
    assert len(endpoint.prompts) == asked


def test_what_a_judge_makes_up_or_does_not_say_counts_nowhere(cases, make_model, tmp_path):
    def wild(prompt, _):
        own, draft = reading(prompt)
        if "30 mm" in draft:
            return "I think it is fine."
        made_up = error("false_finding", "a large liver abscess")
        invented = error("rudeness", draft)
        real = [one for one in seen_by_a_reader(own, draft) if one["kind"] == "false_finding"]
        return f"Here you are:\n```json\n{json.dumps([made_up, invented, *real])}\n```"

    texts = [drafted(number) for number in range(N)]
    endpoint = Endpoint(wild)
    evaluation = judged(cases, make_model, tmp_path, endpoint, texts, ", controls: false")
    silent = sum("30 mm" in text for text in texts)
    marked = sum("There is a pneumothorax" in text and "30 mm" not in text for text in texts)
    assert values(evaluation)["judge:false_finding", None] == pytest.approx(marked / (N - silent))
    assert not any("judge:" in metric for metric, _ in values(evaluation, "trivial", "trivial-report"))
    notes = " ".join(evaluation.results[0].notes)
    assert f"no reply that can be read: {silent} reply-unreadable; they count nowhere" in notes
    named = 2 * (N - silent)
    assert f"{named:,} of {named + marked:,} errors that the judge names do not count" in notes
    distinct = {(reference(number), text) for number, text in enumerate(texts)}
    unreadable = {pair for pair in distinct if "30 mm" in pair[1]}
    assert len(endpoint.prompts) == len(distinct) + len(unreadable)  # each once, the unreadable ones twice


@pytest.mark.parametrize(
    ("reply", "errors"),
    [
        ('{"errors": []}', {}),
        ('{"errors": [{"kind": "Omitted-Finding", "words": "\\"A cyst.\\"", "significant": "no"}]}',
         {"omitted_finding": 1}),
        ('{"errors": [{"kind": "omitted_finding", "words": "mass", "significant": true}]}', {}),  # of the draft
        ('{"errors": [{"kind": "false_finding", "words": "mass", "significant": true}, {"kind": "wro', None),
        ('{"errors": [{"kind": "false_finding", "words": "mass"}]}', None),
        ('{"errors": [{"kind": "false_finding", "words": " ", "significant": true}]}', None),
        ("The draft has no errors.", None),
    ],
)  # fmt: skip
def test_a_reply_is_read_or_is_none(reply, errors):
    found = read_judgement(reply, "There is a cyst and a\nscar. A cyst.", "There is a mass.")
    assert (None if found is None else found.errors) == errors


def test_reports_do_not_leave_where_they_may_not_and_bad_judges_are_refused(make_model, tmp_path):
    cases = corpus_of_cases(tmp_path / "credentialed", licence="PhysioNet Credentialed Health Data License 1.5.0")
    pq.write_table(pa.table({"uid": [uid(0)], "text": ["x"]}), tmp_path / "drafts.parquet")

    def told(judge):
        (tmp_path / "t.yaml").write_text(f"kind: report-factuality\ndrafts: drafts.parquet\njudge: {judge}\n")
        return str(tmp_path / "t.yaml")

    away = told("{model: m, base_url: 'https://models.example.org/v1'}")
    with pytest.raises(LicenceError, match="lets only credentialed people see the data"):
        evaluate_model(make_model(), "m", cases, [away], QUICK)
    for judge, said in (
        ("{}", "at judge.model: expected the name of the model at the endpoint"),
        ("{provider: oracle}", "'oracle' is not a choice"),
        ("{model: m, max_usd: -1}", "at judge.max_usd: expected a number above 0, found -1"),
        ("{model: m, max_tokens: 1.5}", "expected a whole number"),
        ("{modle: m}", "did you mean 'model'?"),
    ):
        with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
            load_task(told(judge))
    assert not list(tmp_path.glob("*.replies"))
