"""A language model beside the rules of reports: what it adds, what is disputed, what it cannot do."""

import csv
import json

import pytest
from chat_endpoint import Endpoint, serving
from report_corpus import answering, facts_of, finding, findings, reported

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError, RunFailedError
from voxtile_datasets.licences.licence import LicenceError
from voxtile_datasets.report_reading.compare import compare
from voxtile_datasets.report_reading.reply import Claim, read_reply
from voxtile_datasets.report_reading.rules import RuleFact, RuleReading
from voxtile_medical.reports.command import facts_from_reports
from voxtile_medical.reports.lexicon import LEXICON
from voxtile_medical.reports.rules import RadiologyRules

REPORT = (
    "INDICATION: pneumonia?\nFINDINGS: Large left pleural effusion. No pneumothorax. The cardiac shadow looks plumper "
    "than one would like. Something odd of 14 mm sits in the right lung."
)
REPLY = findings(
    finding("pleural effusion", "pleural effusion", side="left"),
    finding("pneumothorax", "pneumothorax"),
    finding("cardiomegaly", "cardiac shadow looks plumper"),
    finding("pneumonia", "pneumonia"),
    finding("pulmonary nodule", "Something odd", side="right", place="right lung", size_mm=[14]),
    finding("emphysema", "emphysematous change"),
    finding("zorkosis", "plumper"),
)
OTHER = "FINDINGS: Small right pleural effusion. Cardiomegaly."


def read(corpus, endpoint, **options):
    with serving(endpoint) as url:
        facts_from_reports(
            corpus, reader="model", provider="openai", model="m", base_url=url, vocabulary="general", **options
        )
    return corpus


def test_the_model_adds_what_was_not_read_and_the_rules_word_stands(tmp_path, capsys):
    corpus = read(reported(tmp_path / "c", {"a": REPORT}), answering({"Large left": REPLY}), listing=tmp_path / "l.csv")
    assert facts_of(corpus, "reports@") == [("a", "pleural_effusion", "present"), ("a", "pneumothorax", "absent")]
    assert facts_of(corpus, "model-reports/m@") == [
        ("a", "cardiomegaly", "present"),
        ("a", "pulmonary_nodule", "present"),
    ]
    nodule = next(row for row in Corpus(corpus).table("facts").to_pylist() if row["concept"] == "pulmonary_nodule")
    told = json.loads(nodule["attributes"])
    assert (told["provider"], told["model"], told["called"]) == ("openai", "m", "pulmonary nodule")
    assert (told["laterality"], told["location"], told["size_mm"]) == ("right", "right lung", [14.0])
    assert REPORT[slice(*told["spans"][0])] == told["words"] == "Something odd"
    assert nodule["value"] == 14.0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == (
        "findings read by the rules: 2, by the model alone: 2, disputed: 1, sentences not read: 0; statements of the "
        "model that are the rules' too: 1, not taken: 1 not-of-this-examination, 1 words-not-in-report, 1 not-named"
    )
    with (tmp_path / "l.csv").open() as file:
        listed = {(row["reason"], row["uid"]): row["text"] for row in csv.DictReader(file)}
    assert listed["disputed", "a"] == "'pneumothorax': the model says pneumothorax present, the rules absent"


def test_a_limit_counts_samples_that_have_a_report(tmp_path):
    corpus = reported(tmp_path / "c", {"a": None, "b": REPORT, "c": OTHER})  # as of a slide's patches one has it
    read(corpus, answering({"Large left": REPLY}), limit=1)
    assert {uid for uid, _, _ in facts_of(corpus, "model-reports/m@")} == {"b"}


def test_the_rules_are_the_default_and_no_fact_of_the_model_counts_as_theirs(tmp_path):
    plain = reported(tmp_path / "plain", {"a": REPORT})
    facts_from_reports(plain, vocabulary="general", engine="inline")
    asked = read(reported(tmp_path / "asked", {"a": REPORT}), answering({"Large left": REPLY}))
    assert facts_of(plain) == facts_of(asked, "reports")  # what --facts-source reports chooses
    assert facts_of(asked, "model-reports")
    assert not facts_of(plain, "model-reports")


@pytest.mark.parametrize("first", ["rules", "model"])
def test_what_the_rules_read_is_there_once_whoever_reads_first(tmp_path, first):
    corpus = reported(tmp_path / "c", {"a": REPORT, "b": OTHER})
    endpoint = answering({"Large left": REPLY, "Small right": findings()})
    for reader in ("rules", "model") if first == "rules" else ("model", "rules"):
        if reader == "model":
            read(corpus, endpoint)
        else:
            facts_from_reports(corpus, vocabulary="general", engine="inline")
    rows = facts_of(corpus)
    assert len(rows) == len(set(rows)) == 6
    assert len(facts_of(corpus, "model-reports")) == 2
    assert Corpus(corpus).table("scopes").num_rows == 2


def test_a_rerun_asks_nothing_and_a_replay_needs_no_model(tmp_path, capsys):
    corpus, endpoint = reported(tmp_path / "c", {"a": REPORT, "b": OTHER}), answering({"": findings()})
    read(corpus, endpoint)
    said = capsys.readouterr().out.splitlines()[-1]
    before = facts_of(corpus)
    read(corpus, endpoint)
    assert len(endpoint.prompts) == 2
    assert facts_of(corpus) == before
    assert capsys.readouterr().out.splitlines()[-1] == said
    again = reported(tmp_path / "again", {"a": REPORT, "b": OTHER})
    facts_from_reports(again, reader="model", provider="replay", vocabulary="general", replies=tmp_path / "c.replies")
    assert facts_of(again) == before


def test_a_dry_run_asks_nothing_and_says_what_it_would_take(tmp_path, capsys):
    corpus, endpoint = reported(tmp_path / "c", {"a": REPORT, "b": OTHER}), answering({"": findings()})
    read(corpus, endpoint, dry_run=True)
    assert endpoint.prompts == []
    assert "2 reports, first tries alone" in capsys.readouterr().out
    assert not (tmp_path / "c.replies").exists()


def test_a_dry_run_by_rules_reads_no_report_also_where_some_were_read_before(tmp_path, capsys, monkeypatch):
    corpus = reported(tmp_path / "c", {"a": REPORT})
    facts_from_reports(corpus)
    assert "not read: " in capsys.readouterr().out
    monkeypatch.setattr(RadiologyRules, "rows", None)
    facts_from_reports(corpus, dry_run=True, retry=True)
    assert "not read: " not in capsys.readouterr().out


ENTRY = '{"finding": "cardiomegaly", "words": "cardiac shadow looks plumper", "polarity": "present"}'
BAD = {
    "Markdown": f"Here are the findings:\n\n```json\n[{ENTRY}]\n```\nLet me know!",
    "prose around it": f'Sure! {{"findings": [{ENTRY}]}} I hope that helps.',
    "half a JSON": f'{{"findings": [{ENTRY}, {{"finding": "pleural eff',
    "repeated": f'{{"findings": [{", ".join([ENTRY] * 300)}]}}',
    "repeated and cut": f'{{"findings": [{", ".join([ENTRY] * 300)}, {{"find',
    "other words for present": ENTRY.replace("present", "Positive").join(["[", "]"]),
    "one object": ENTRY,
    "with entries that are none": f'{{"findings": [{ENTRY}, {{"finding": "x"}}, {{"words": 3, "polarity": 1}}]}}',
}


@pytest.mark.cases(3)
@pytest.mark.parametrize("kind", BAD)
def test_replies_of_every_form_are_read(tmp_path, kind):
    corpus = read(reported(tmp_path / "c", {"a": REPORT}), answering({"Large left": BAD[kind]}))
    assert facts_of(corpus, "model-reports") == [("a", "cardiomegaly", "present")]


def test_what_is_wrong_with_replies_is_counted():
    assert dict(read_reply(BAD["repeated"]).faults) == {"repeated": 299}
    assert dict(read_reply(BAD["half a JSON"]).faults) == {"cut-short": 1}
    assert dict(read_reply(BAD["with entries that are none"]).faults) == {"malformed": 2}
    both = f"[{ENTRY}, {ENTRY.replace('present', 'absent')}]"
    assert read_reply(both).claims == ()
    assert read_reply(both).faults["contradicts-itself"] == 1
    for empty in ("[]", '{"findings": []}'):
        assert read_reply(empty).is_readable
    for text in (
        "",
        "There are no findings.",
        "- effusion: absent",
        '{"answer": 3}',
        "[1, 2]",
        "[" * 10_000,
        "{" * 9999,
    ):
        assert not read_reply(text).is_readable
        assert read_reply(text).claims == ()


def test_a_model_that_denies_everything_is_not_believed(tmp_path, capsys):
    """It denies what the rules read as present, so that nothing of the reply is taken, not what nobody else read."""
    report = "FINDINGS: Left pleural effusion. Cardiomegaly. Pneumothorax. Emphysema. No such thing as a lumpy liver."
    names = {"effusion": "pleural effusion", "Cardiomegaly": "cardiomegaly", "Pneumothorax": "pneumothorax"}
    entries = [finding(name, words, "absent") for words, name in names.items()]
    entries += [finding("abnormality", "No abnormality", "absent"), finding("liver lesion", "lumpy liver", "absent")]
    corpus = read(reported(tmp_path / "c", {"a": report}), answering({"Left": findings(*entries)}))
    assert facts_of(corpus, "model-reports") == []
    assert {polarity for *_, polarity in facts_of(corpus, "reports")} == {"present"}
    assert "disputed: 3, sentences not read: 1;" in (line := capsys.readouterr().out.splitlines()[-1])
    assert "1 reply-distrusted" in line


def test_a_reply_that_cannot_be_read_costs_its_report_only_the_model(tmp_path, capsys):
    corpus = reported(tmp_path / "c", {"a": REPORT, "b": OTHER})
    endpoint = answering({"Large left": "I cannot do that.", "Small right": ["Well.", findings()]})
    with pytest.raises(RunFailedError, match="reply-unreadable"):
        read(corpus, endpoint)
    assert len(endpoint.prompts) == 4  # two tries each
    assert endpoint.bodies[0]["temperature"] == 0
    assert len(facts_of(corpus, "reports")) == 4
    assert "reports without a reply that can be read: 1" in capsys.readouterr().out
    with serving(answering({"": REPLY})) as url:  # more tries are asked of what failed alone
        options = {"provider": "openai", "model": "m", "base_url": url, "vocabulary": "general"}
        facts_from_reports(corpus, reader="model", tries=3, retry=True, **options)
    assert len(facts_of(corpus, "model-reports")) == 2
    rows = facts_of(corpus)
    assert len(rows) == len(set(rows)) == 6


def test_what_names_a_patient_is_not_sent(tmp_path):
    corpus = reported(tmp_path / "c", {"a": "FINDINGS: Effusion of subject-of-a1234567.", "b": OTHER})
    corpus = reported(tmp_path / "d", {"a1234567": "FINDINGS: Cardiomegaly in subject-of-a1234567.", "b": OTHER})
    endpoint = answering({"": findings()})
    with pytest.raises(RunFailedError, match="identifier"):
        read(corpus, endpoint)
    assert [prompt for prompt in endpoint.prompts if "a1234567" in prompt] == []
    assert ("a1234567", "cardiomegaly", "present") in facts_of(corpus, "reports")


def test_credentialed_reports_do_not_leave_the_machine_unasked(tmp_path):
    corpus = reported(tmp_path / "c", {"a": REPORT}, licence="PhysioNet Credentialed Health Data License 1.5.0")
    with pytest.raises(LicenceError, match="allow-remote-credentialed"):
        facts_from_reports(corpus, reader="model", provider="openai", model="m", base_url="https://models.example/v1")
    assert not facts_of(corpus)
    read(corpus, answering({"": REPLY}))  # on this machine they may be read
    assert facts_of(corpus, "model-reports")


def test_the_budget_ends_the_asking_and_keeps_what_was_read(tmp_path):
    corpus = reported(tmp_path / "c", {f"{n}": f"{OTHER} {n}" for n in range(6)})
    endpoint = answering({"": findings()})
    with pytest.raises(RunFailedError, match="budget"):
        read(corpus, endpoint, max_tokens=500, concurrency=1)
    assert 0 < len(endpoint.prompts) < 6
    assert len(facts_of(corpus, "reports")) == 12


def test_a_long_report_is_asked_in_pieces(tmp_path):
    text = "FINDINGS: " + " ".join(f"Line {n} is about nothing in particular." for n in range(80)) + " Cardiomegaly."
    endpoint = answering({"": findings()})
    read(reported(tmp_path / "c", {"a": text}), endpoint)
    asked = [prompt.rpartition("<<<")[2].partition(">>>")[0] for prompt in endpoint.prompts]
    assert len(asked) == 3
    assert " ".join(asked) == text
    assert max(map(len, asked)) <= 1500


def test_options_of_a_model_need_one(tmp_path):
    corpus = reported(tmp_path / "c", {"a": REPORT})
    with pytest.raises(ConfigError, match="--max-usd goes with --reader model"):
        facts_from_reports(corpus, max_usd=1.0)
    with pytest.raises(ConfigError, match="no reader 'modle'"):
        facts_from_reports(corpus, reader="modle")
    with pytest.raises(ConfigError, match="no provider named 'x'"):
        facts_from_reports(corpus, reader="model", provider="x")
    with pytest.raises(ConfigError, match="give --listing the path"):
        facts_from_reports(corpus, listing=tmp_path)


def test_the_command_line_takes_it(tmp_path, capsys):
    corpus = reported(tmp_path / "c", {"a": REPORT})
    with serving(answering({"": REPLY})) as url:
        words = ["facts", str(corpus), "--from", "reports", "--reader", "model", "--provider", "openai"]
        assert main([*words, "--model", "m", "--base-url", url, "--vocabulary", "general"]) == 0
    assert "by the model alone: 2" in capsys.readouterr().out
    assert main(["facts", "--from", "reports", "--help"]) == 0
    assert "--reader" in capsys.readouterr().out


def test_sentences_that_are_not_read_are_shown_by_count(tmp_path, capsys):
    odd = "The squiggle is squiggly in slice {}."
    corpus = reported(tmp_path / "c", {f"{n}": f"FINDINGS: Cardiomegaly. {odd.format(n)}" for n in range(3)})
    facts_from_reports(corpus, listing=tmp_path / "l.csv", engine="inline")
    said = capsys.readouterr().out
    assert "squiggle is squiggly" in said
    assert "3 sentences of findings and impressions, in 3 reports" in said
    rows = list(csv.reader((tmp_path / "l.csv").open()))
    assert rows == [["count", "reason", "text", "uid"], ["3", "sentence-not-read", odd.format(0), "0"]]


RULES = RadiologyRules(LEXICON, "general")


def outcomes(report, *claims):
    return compare(claims, RULES.read("u", report), report, RULES)


def test_a_statement_needs_words_of_one_sentence_that_tells_a_finding():
    report = "HISTORY: Old fracture.\nFINDINGS: No effusion. No nodule. The cardiac shadow looks plump."
    reasons = [
        outcomes(report, Claim("x", words, "present")).refused[0].reason
        for words in ("pleural thickening", "effusion. No nodule", "Old fracture", "nod", "shadow")
    ]
    expected = [
        "words-not-in-report",
        "several-sentences",
        "not-of-this-examination",
        "words-not-in-report",
        "not-named",
    ]
    assert reasons == expected


def test_nothing_is_added_to_a_sentence_that_the_rules_read():
    report = "FINDINGS: Cardiomegaly with a baggy aorta. Thyroid nodule."
    for claim, reason in (
        (Claim("aortic aneurysm", "baggy aorta", "present"), "read-otherwise"),
        (Claim("goiter", "Thyroid", "present"), "disputed"),
        (Claim("pulmonary nodule", "nodule", "present"), None),
        (Claim("emphysema", "Cardiomegaly", "present"), None),
    ):
        found = outcomes(report, claim)
        assert [refused.reason for refused in found.refused] == ([reason] if reason else [])
        assert found.added == []


def test_sides_and_sizes_are_held_against_the_rules():
    report = "FINDINGS: 8 mm nodule in the right upper lobe."
    assert outcomes(report, Claim("nodule", "nodule", "present", "right", size_mm=(8.0,))).agreed == 1
    assert outcomes(report, Claim("nodule", "nodule", "present")).agreed == 1
    for claim in (Claim("nodule", "nodule", "present", "left"), Claim("nodule", "nodule", "present", size_mm=(80.0,))):
        assert [refused.reason for refused in outcomes(report, claim).refused] == ["disputed"]


def test_a_detail_that_its_sentence_does_not_say_is_not_taken():
    report = "FINDINGS: The cardiac shadow looks plumper on the left. There is a right effusion of 20 mm."
    claim = Claim("cardiomegaly", "cardiac shadow", "present", "right", "upper lobe", (20.0,))
    fact = outcomes(report, claim).added[0]
    assert (fact.side, fact.place, fact.size_mm) == (None, None, ())


def test_what_the_model_denies_needs_words_that_deny():
    report = "FINDINGS: The cardiac shadow looks plumper."
    assert outcomes(report, Claim("cardiomegaly", "cardiac shadow", "absent")).disputed
    report = "FINDINGS: The cardiac shadow does not look plumper."
    assert outcomes(report, Claim("cardiomegaly", "cardiac shadow does not look plumper", "present")).disputed


class Judging:
    """Rules that know one concept and judge words as a test says."""

    def __init__(self, polarity):
        self.polarity = polarity

    def concepts_in(self, words, report):
        return ["effusion"] if "effusion" in words else []

    def polarity_at(self, report, start, end):
        return self.polarity

    def sizes_in(self, text):
        return []

    def kinds_of(self, concept):
        return frozenset()


def test_two_readings_against_one_are_written_and_say_so():
    """The rules' fact rests on these words alone, and they judge the very words as the model does."""
    report = "The effusion has gone."
    reading = RuleReading((RuleFact("effusion", "present", spans=((4, 12),)),), ((0, len(report)),))
    claim = Claim("effusion", "effusion", "absent")
    found = compare([claim], reading, report, Judging("absent"))
    assert [(fact.polarity, fact.rules) for fact in found.added] == [("absent", "present")]
    assert found.overruled == {"effusion"}
    assert compare([claim], reading, report, Judging("present")).disputed
    twice = RuleReading((RuleFact("effusion", "present", spans=((4, 12), (20, 22))),), ((0, len(report)),))
    assert compare([claim], twice, report, Judging("absent")).disputed  # another place says it, too


def test_what_denies_a_finding_may_stand_among_the_words():
    class OfTheLastWord(Judging):
        """Judges words as present that take their own denial along."""

        def polarity_at(self, report, start, end):
            return "present" if report[start:end].startswith("not") else self.polarity

    report = "One sees not an effusion."
    reading = RuleReading((), ((0, len(report)),), ((0, len(report)),))
    claim = Claim("effusion", "not an effusion", "present")
    assert compare([claim], reading, report, OfTheLastWord("absent")).disputed
    assert compare([claim], reading, report, OfTheLastWord("present")).added


def test_a_model_that_continues_texts_is_refused(tmp_path, monkeypatch):
    from voxtile_datasets.captions.providers import factory

    class Base(Endpoint):
        name, model, chat, concurrency = "local", "base", False, 1

        async def close(self):
            return None

    monkeypatch.setattr(factory, "_local", lambda *_, **__: Base(None))
    with pytest.raises(ConfigError, match="only continues texts"):
        facts_from_reports(reported(tmp_path / "c", {"a": REPORT}), reader="model")
