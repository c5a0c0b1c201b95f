"""Each strategy against a real HTTP endpoint: what it is asked, what becomes of good replies and of faulty ones."""

import asyncio
import dataclasses
import functools
import io
import json
import re
import shutil

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from chat_endpoint import Endpoint, serving
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies
from voxtile_datasets.captions.context.model_input import fact_line, fact_lines
from voxtile_datasets.captions.context.picture import shown
from voxtile_datasets.captions.context.prompts import installed_prompts
from voxtile_datasets.captions.context.sample import SampleContext, UnsuitableError
from voxtile_datasets.captions.providers.cache import ReplyCache
from voxtile_datasets.captions.providers.cached import CachedProvider
from voxtile_datasets.captions.providers.http.openai import OpenAIProvider
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.strategies.describe import Describe
from voxtile_datasets.captions.strategies.describe_revise_summarise import DescribeReviseSummarise
from voxtile_datasets.captions.strategies.five import Five
from voxtile_datasets.captions.strategies.fuse import Fuse
from voxtile_datasets.captions.strategies.fuse_experts import FuseExperts
from voxtile_datasets.captions.strategies.qa import QuestionsAnswers
from voxtile_datasets.captions.strategies.rewrite import RewriteWhole
from voxtile_datasets.captions.strategies.roi import Roi
from voxtile_datasets.captions.strategies.short_dense import ShortDense
from voxtile_datasets.captions.strategies.strategy import Draft, Missing, StrategyOptions
from voxtile_datasets.captions.strategies.translate import Translate

ALL = (
    Fuse, Describe, DescribeReviseSummarise, Roi, Five, ShortDense, QuestionsAnswers, Translate, FuseExperts,
)  # fmt: skip
SECRET = "0123456789abcdef0123456789abcdef"
RAW = "A 12 mm nodule is seen in the left lung, with emphysema."
TEMPLATE = "There is a 12 mm nodule in the left lung. There is no pleural effusion."
FACTS = (
    {"concept": "nodule", "polarity": "present", "value": 12.0, "unit": "mm", "attributes": {"laterality": "left"},
     "region": 0, "uid": SECRET, "region_id": SECRET, "code": SECRET, "source": SECRET},
    {"concept": "pleural effusion", "polarity": "absent", "value": None, "unit": None, "attributes": {}, "region": None,
     "uid": SECRET, "source": SECRET},
)  # fmt: skip
FAITHFUL = {
    Fuse: ["There is a 12 mm nodule in the left lung and no pleural effusion."],
    Describe: ["A nodule of 12 mm lies in the left lung; there is no pleural effusion."],
    DescribeReviseSummarise: ["A 12 mm nodule in the left lung, without pleural effusion."] * 3,
    Roi: ["A 12 mm nodule lies in the left lung.", "There is a left-sided nodule of 12 mm and no pleural effusion."],
    Five: [
        "A nodule of 12 mm is seen in the left lung.", "No pleural effusion; the left lung holds a 12 mm nodule.",
        "The left-sided nodule measures 12 mm.", "Without pleural effusion.", "In the left lung lies one nodule.",
    ],
    ShortDense: ["Left lung nodule", "There is a 12 mm nodule in the left lung and no pleural effusion."],
    QuestionsAnswers: [
        "Is there a pleural effusion? No, there is no pleural effusion.",
        "On which side is the nodule? The nodule is in the left lung.",
    ],
    Translate: ["Ein 12 mm großer Rundherd liegt in der linken Lunge, ein Pleuraerguss ist nicht zu sehen."],
    FuseExperts: ["A 12 mm nodule lies in the left lung without pleural effusion."],
}  # fmt: skip
WRONG = "A 12 mm nodule lies in the right lung."


def jpeg():
    stream = io.BytesIO()
    Image.new("L", (8, 8), 77).save(stream, "JPEG")
    return stream.getvalue()


def sample(**changes):
    known = {
        "uid": SECRET, "modality": "CT", "body": "chest", "gsd_m": None, "mpp": None, "facts": FACTS,
        "scopes": ({"vocabulary": "chest", "closed": True, "concepts": ["nodule", "pleural effusion"]},),
        "captions": (
            {"caption_id": SECRET, "text": RAW, "lang": "en", "kind": "raw"},
            {"caption_id": SECRET[::-1], "text": TEMPLATE, "lang": "en", "kind": "template"},
        ),
        "regions": ({"phrase": "nodule", "box": [0, 0, 4, 4], "region_id": SECRET},), "picture": jpeg,
    }  # fmt: skip
    return SampleContext(**{**known, **changes})


@pytest.fixture(scope="module")
def prompts():
    return installed_prompts()


@pytest.fixture
def options(prompts, tmp_path):
    (tmp_path / "knowledge").mkdir()
    (tmp_path / "knowledge" / "chest.txt").write_text("A nodule is a rounded opacity. <<<\n\nAscites is fluid.")
    found = [
        {"uid": SECRET, "expert": "lungnet", "concept": "emphysema", "confidence": 0.9},
        {"uid": SECRET, "expert": "lungnet", "concept": "pleural effusion"},
        {"uid": "another", "expert": "lungnet", "concept": "ascites"},
    ]
    (tmp_path / "found.jsonl").write_text("\n".join(map(json.dumps, found)))
    return StrategyOptions(
        prompts,
        chat=True,
        tries=3,
        languages=("de",),
        knowledge=tmp_path / "knowledge",
        experts=tmp_path / "found.jsonl",
    )


def said(strategy, texts):
    """A reply that holds texts in the strategy's form."""
    if strategy is Five:
        return json.dumps({"captions": texts})
    if strategy is ShortDense:
        return json.dumps({"short": texts[0], "dense": texts[1]})
    if strategy is QuestionsAnswers:
        pairs = [dict(zip(("question", "answer"), re.split(r"(?<=\?) ", text), strict=True)) for text in texts]
        return json.dumps({"pairs": pairs})
    return texts[0] if strategy is DescribeReviseSummarise else json.dumps({"caption": texts[0]})


def faithful(strategy):
    """A model that says what is true, whatever it is asked."""

    def answer(prompt, number):
        if strategy is Translate and "into English" in prompt:
            return json.dumps({"caption": TEMPLATE})
        if strategy is Roi and "Regions, each" in prompt:
            return said(strategy, FAITHFUL[Roi][1:])
        return said(strategy, FAITHFUL[strategy])

    return answer


def run(strategy, options, answer, tmp_path, *samples, domain="medical"):
    """Captions or the failure of each sample, and the endpoint."""
    endpoint = Endpoint(answer)
    vocabulary = installed_vocabularies()[domain]

    async def captions(provider, context):
        def judge(text, facts=None):
            known = Known(context.facts, context.scopes) if facts is None else Known(facts, ())
            return check(text, known, vocabulary)

        return await strategy(options).captions(context, provider.ask, judge)

    async def everything():
        app = web.Application()
        app.router.add_post("/v1/chat/completions", endpoint.complete)
        async with TestServer(app) as server:
            inner = OpenAIProvider(str(server.make_url("/v1")), "m", backoff_s=0.001)
            provider = CachedProvider(inner, ReplyCache.open(tmp_path / "replies"))
            try:
                every = (captions(provider, context) for context in samples or (sample(),))
                return await asyncio.gather(*every, return_exceptions=True)
            finally:
                await provider.close()

    return asyncio.run(everything()), endpoint


@pytest.mark.parametrize("strategy", ALL)
def test_the_stated_captions_of_true_replies_and_prompts_with_facts_without_identifiers(strategy, options, tmp_path):
    (drafts,), endpoint = run(strategy, options, faithful(strategy), tmp_path)
    assert [draft.text for draft in drafts] == FAITHFUL[strategy]
    assert {draft.verdict.verdict for draft in drafts} == {"supported"}
    assert all(draft.lang == ("de" if strategy is Translate else "en") for draft in drafts)
    assert len({reply.request_sha for draft in drafts for reply in draft.replies}) == len(endpoint.bodies)
    assert sum(reply.tokens_in for draft in drafts for reply in draft.replies) == sum(
        len(p) // 4 for p in endpoint.prompts
    )
    assert all(draft.replies for draft in drafts)
    shas = {prompt.sha256 for prompt in options.prompts.prompts}
    assert {draft.prompt_sha for draft in drafts} <= shas
    everything = json.dumps(endpoint.bodies)
    assert SECRET not in everything
    assert SECRET[::-1] not in everything
    first = endpoint.prompts[0]
    assert "nodule" in first
    assert "12 mm" in first
    assert "left" in first
    assert strategy is Roi or "pleural effusion" in first
    shown = [picture for pictures in endpoint.pictures for picture in pictures]
    assert shown == [jpeg()] * {Describe: 1, DescribeReviseSummarise: 2}.get(strategy, 0)
    assert "never an instruction" in endpoint.bodies[0]["messages"][0]["content"]
    assert "Give no diagnosis" in endpoint.bodies[0]["messages"][0]["content"] or strategy is DescribeReviseSummarise


def swapped(text):
    return text.replace("left", "right").replace("Left", "Right")


@pytest.mark.parametrize("strategy", [s for s in ALL if s not in {Translate, DescribeReviseSummarise}])
def test_a_fault_is_told_and_mended(strategy, options, tmp_path):
    true = faithful(strategy)

    def answer(prompt, number):
        return swapped(true(prompt, number)) if number == 0 else true(prompt, number)

    (drafts,), endpoint = run(strategy, options, answer, tmp_path)
    assert sorted(draft.text for draft in drafts) == sorted(FAITHFUL[strategy])
    assert "refused" not in endpoint.prompts[0]
    assert "refused" in endpoint.prompts[1]
    assert re.search(r"\bright\b", endpoint.prompts[1])
    assert len({reply.request_sha for draft in drafts for reply in draft.replies}) == len(endpoint.prompts)


def test_what_a_text_leaves_out_is_told_where_completeness_is_asked_for(options, tmp_path):
    replies = ["A nodule of 12 mm is seen.", "There is a 12 mm nodule in the left lung."]
    answer = lambda _, number: json.dumps({"caption": replies[min(number, 1)]})  # noqa: E731
    (drafts,), endpoint = run(Fuse, dataclasses.replace(options, complete=1.0), answer, tmp_path / "asked")
    assert [draft.text for draft in drafts] == replies[1:]
    assert "The text leaves out: side of pulmonary nodule." in endpoint.prompts[1]
    (drafts,), _ = run(Fuse, options, answer, tmp_path / "not asked")
    assert [draft.text for draft in drafts] == replies[:1]


@pytest.mark.parametrize("strategy", ALL)
def test_replies_that_stay_wrong_are_a_named_failure(strategy, options, tmp_path):
    def answer(prompt, number):
        if strategy is Translate and "into English" not in prompt:
            return faithful(strategy)(prompt, number)
        return swapped(faithful(strategy)(prompt, number)).replace("No, there is no", "Yes, there is a")

    (error,), endpoint = run(strategy, options, answer, tmp_path)
    assert isinstance(error, ReplyError), error
    assert error.reason in {"contradicted", "unsupported", "too-few", "unfit"}
    assert len(endpoint.prompts) <= 2 * options.tries + 1


@pytest.mark.parametrize("strategy", ALL)
def test_the_endpoint_stumbles_and_each_sample_ends_with_its_captions(strategy, options, tmp_path):
    true = faithful(strategy)

    def answer(prompt, number):
        return {0: 503, 1: '{"caption": "A 12 mm nod', 2: 429, 3: "  "}.get(number) or true(prompt, number)

    (drafts,), _ = run(strategy, dataclasses.replace(options, tries=4), answer, tmp_path)
    assert sorted(draft.text for draft in drafts) == sorted(FAITHFUL[strategy])


@pytest.mark.parametrize("strategy", [Fuse, Five, QuestionsAnswers])
def test_replies_in_plain_words_are_read_although_json_was_asked_for(strategy, options, tmp_path):
    lines = FAITHFUL[strategy]
    spoken = {
        Fuse: f"Sure, here it is:\n\n{lines[0]}", Five: "\n".join(f"{n}. {line}" for n, line in enumerate(lines, 1)),
        QuestionsAnswers: "\n".join("Q: " + line.replace("? ", "?\nA: ") for line in lines),
    }  # fmt: skip
    (drafts,), endpoint = run(strategy, options, lambda *_: spoken[strategy], tmp_path)
    assert [draft.text for draft in drafts] == lines
    assert len(endpoint.prompts) == 1
    assert endpoint.bodies[0]["response_format"]["json_schema"]["schema"]["additionalProperties"] is False


def test_fuse_takes_over_what_the_caption_says_and_nothing_that_nobody_said(options, tmp_path):
    added = json.dumps({"caption": "A 12 mm nodule in the left lung, with emphysema."})
    (drafts,), endpoint = run(Fuse, options, lambda *_: added, tmp_path)
    assert drafts[0].verdict.verdict == "unknown"
    assert drafts[0].parents == (SECRET, SECRET[::-1])
    invented = json.dumps({"caption": "A 12 mm nodule in the left lung, with cardiomegaly."})
    (error,), endpoint = run(Fuse, options, lambda *_: invented, tmp_path / "again")
    assert error.reason == "unfit"
    assert "'cardiomegaly' is neither among the facts" in endpoint.prompts[1]
    (error,), _ = run(Fuse, options, lambda *_: added, tmp_path, sample(captions=()))
    assert (type(error), error.reason) == (UnsuitableError, "no-raw-caption")


def test_experts_are_heard_unless_the_facts_refute_them(options, tmp_path):
    added = json.dumps({"caption": "A 12 mm nodule in the left lung; there is emphysema."})
    (drafts,), endpoint = run(FuseExperts, options, lambda *_: added, tmp_path)
    assert drafts[0].verdict.verdict == "unknown"  # an expert's word is no fact
    assert "lungnet: present: emphysema" in endpoint.prompts[0]
    assert "lungnet: present: pleural effusion" not in endpoint.prompts[0]
    assert "ascites" not in endpoint.prompts[0]
    (error,), endpoint = run(
        FuseExperts, options, lambda *_: added.replace("emphysema", "emphysema by lungnet"), tmp_path / "again"
    )
    assert error.reason == "unfit"
    assert "names the model" in endpoint.prompts[1]
    (error,), _ = run(FuseExperts, options, lambda *_: added, tmp_path, sample(uid="unseen"))
    assert (type(error), error.reason) == (UnsuitableError, "no-findings")


def test_regions_are_told_with_background_that_is_no_fact(options, tmp_path):
    (drafts,), endpoint = run(Roi, options, faithful(Roi), tmp_path)
    assert [draft.kind for draft in drafts] == ["roi", "rewrite"]
    assert "<<<A nodule is a rounded opacity.>>>" in endpoint.prompts[0]
    assert "Ascites" not in endpoint.prompts[0]
    assert f"<<<nodule>>>: <<<{FAITHFUL[Roi][0]}>>>" in endpoint.prompts[1]
    (error,), _ = run(Roi, options, faithful(Roi), tmp_path, sample(regions=({"phrase": None, "box": [0, 0, 1, 1]},)))
    assert (type(error), error.reason) == (UnsuitableError, "no-regions")


def test_a_region_that_fails_is_named_and_the_others_are_kept(options, tmp_path):
    regions = ({"phrase": "nodule", "box": [0, 0, 4, 4]}, {"phrase": "pleural effusion", "box": [0, 0, 2, 2]})
    facts = (FACTS[0], {**FACTS[1], "region": 1})

    def answer(prompt, number):
        if "<<<pleural effusion>>>" in prompt and "<<<nodule>>>" not in prompt:
            return json.dumps({"caption": "There is a large pleural effusion."})
        return faithful(Roi)(prompt, number)

    ((nodule, effusion, whole),), endpoint = run(Roi, options, answer, tmp_path, sample(facts=facts, regions=regions))
    assert [nodule.text, whole.text] == FAITHFUL[Roi]
    assert (effusion.what, effusion.error.reason) == ("the region 'pleural effusion'", "unfit")
    assert f"<<<nodule>>>: <<<{FAITHFUL[Roi][0]}>>>" in endpoint.prompts[-1]
    assert "large pleural effusion" not in endpoint.prompts[-1]


def test_regions_without_facts_are_worded_by_their_phrase_and_left_out_beside_others(options, tmp_path):
    regions = ({"phrase": "trachea", "box": [0, 0, 2, 2]}, {"phrase": "nodule", "box": [0, 0, 4, 4]})
    texts = ["This part is the trachea.", "There is no pleural effusion."]
    replies = [json.dumps({"caption": text}) for text in ("This part is the heart, with cardiomegaly.", *texts)]
    (drafts,), endpoint = run(
        Roi, options, lambda _, number: replies[number], tmp_path, sample(facts=FACTS[1:], regions=regions[:1])
    )
    assert [draft.text for draft in drafts] == texts
    assert "cardiomegaly" in endpoint.prompts[1]
    moved = ({**FACTS[0], "region": 1}, FACTS[1])
    (drafts,), endpoint = run(Roi, options, faithful(Roi), tmp_path / "again", sample(facts=moved, regions=regions))
    assert [draft.text for draft in drafts] == FAITHFUL[Roi]
    assert "trachea" not in json.dumps(endpoint.bodies)


def test_facts_are_told_in_the_numbers_and_words_of_captions():
    def line(**fact):
        return fact_line({"polarity": "present", "value": None, "unit": None, "attributes": {}, **fact})

    assert line(concept="renal_stone", value=27.6436, unit="mm") == "present: renal stone (27.6 mm)"
    assert line(concept="forest", value=0.18576, unit="fraction") == "present: forest (18.6 % of the picture)"
    assert line(concept="lake", value=118400.4, unit="m2") == "present: lake (118000 m2)"
    assert line(concept="ship", value=3.0, unit="count", attributes={"kind": "count"}) == "present: ship (number: 3)"
    near = {"relation": "north_of", "other": "residential_area"}
    assert line(concept="lake", attributes=near) == "present: lake (north of residential area)"
    assert (
        line(concept="cardiomegaly", polarity="absent", value=0.42, attributes={"region": "heart"})
        == "absent: cardiomegaly"
    )
    roads = [
        {"concept": "road", "polarity": "present", "value": float(n), "unit": "m", "region": None}
        for n in range(700, 680, -1)
    ]
    denied = [{"concept": name, "polarity": "absent", "value": None, "unit": None} for name in ("road", "river")]
    bare = {"concept": "road", "polarity": "present", "value": None, "unit": None}
    told = fact_lines(sample(facts=(bare, *roads, *denied), scopes=()), 5)
    assert told == ("present: road (700 m)", "present: road (699 m)", "present: road (698 m)", "absent: river")


def test_an_absence_that_the_facts_refute_is_not_told(options, tmp_path):
    houses = {**FACTS[0], "concept": "houses_with_pools", "value": None, "unit": None, "attributes": {}}
    scope = {"vocabulary": "labels", "closed": True, "concepts": ["houses", "houses_with_pools", "quarry"]}
    text = json.dumps({"short": "Houses with pools", "dense": "There are houses with pools and no quarry."})
    context = sample(modality="MSI", facts=(houses,), scopes=(scope,))
    (drafts,), endpoint = run(ShortDense, options, lambda *_: text, tmp_path, context, domain="remote_sensing")
    assert len(drafts) == 2
    assert "absent: quarry" in endpoint.prompts[0]
    assert "absent: houses" not in endpoint.prompts[0]


def test_the_reviser_is_told_what_is_wrong_with_the_description(options, tmp_path):
    texts = [WRONG, "A 12 mm nodule in the left lung.", "Left lung nodule of 12 mm."]
    (drafts,), endpoint = run(DescribeReviseSummarise, options, lambda _, number: texts[number], tmp_path)
    assert [draft.text for draft in drafts] == texts
    assert [draft.verdict.verdict for draft in drafts] == ["contradicted", "supported", "supported"]
    assert [draft.after for draft in drafts] == [(), (0,), (1,)]
    assert WRONG in endpoint.prompts[1]
    assert "refused" in endpoint.prompts[1]
    assert texts[1] in endpoint.prompts[2]
    assert [len(draft.replies) for draft in drafts] == [1, 1, 1]


@pytest.mark.parametrize(
    ("reading", "verdict"),
    [
        (TEMPLATE, "supported"), (TEMPLATE + " There is emphysema.", "unknown"),
        (TEMPLATE.replace("left", "right"), None), (TEMPLATE.replace("12", "21"), None),
        (TEMPLATE.replace(" There is no pleural effusion.", ""), None),
    ],
)  # fmt: skip
def test_a_translation_is_judged_by_what_it_says_read_back(options, tmp_path, reading, verdict):
    def answer(prompt, number):
        return json.dumps({"caption": reading if "into English" in prompt else FAITHFUL[Translate][0]})

    (drafts,), endpoint = run(Translate, options, answer, tmp_path)
    if verdict is None:
        assert isinstance(drafts, ReplyError)
        assert len(endpoint.prompts) == 2 * options.tries
    else:
        assert [(draft.lang, draft.verdict.verdict, draft.parents) for draft in drafts] == [
            ("de", verdict, (SECRET[::-1],))
        ]


def test_a_translation_into_another_language_or_with_other_numbers_is_refused(options, tmp_path):
    for text in (TEMPLATE, FAITHFUL[Translate][0].replace("12 mm", "12 cm 5")):

        def answer(prompt, number, text=text):
            return json.dumps({"caption": TEMPLATE if "into English" in prompt else text})

        (error,), _ = run(Translate, options, answer, tmp_path / text[:5])
        assert error.reason in {"malformed", "unfit"}


def test_a_language_that_fails_is_named_and_the_others_are_kept(options, tmp_path):
    def answer(prompt, number):
        if "into English" in prompt:
            return json.dumps({"caption": TEMPLATE})
        return json.dumps({"caption": FAITHFUL[Translate][0]})  # German, whatever is asked for

    both = dataclasses.replace(options, languages=("fr", "de"))
    ((french, german),), _ = run(Translate, both, answer, tmp_path)
    assert (french.what, french.error.reason) == ("French", "malformed")
    assert (german.lang, german.text) == ("de", FAITHFUL[Translate][0])


@pytest.mark.parametrize(
    ("pair", "accepted"),
    [
        ("Is there a nodule? Yes, there is a nodule.", True),
        ("How large is the nodule? The nodule measures 12 mm.", True),
        ("Is there a nodule? No, there is no nodule.", False), ("Is there a nodule? No, there is a nodule.", False),
        ("Is there a pleural effusion? Yes, there is a pleural effusion.", False),
        ("Is there a nodule? Yes.", False),
        ("Which side is the nodule on? It is on the right side.", False),
        ("Is there a nodule? There is a nodule.", False),
        ("Where is the pleural effusion? The nodule is in the left lung.", False), ("How large is it? Large.", False),
        ("Is the nodule large? Yes, the nodule measures 30 mm.", False),
    ],
)  # fmt: skip
def test_pairs_whose_answer_is_not_among_the_facts_are_refused(options, tmp_path, pair, accepted):
    alone = sample(facts=FACTS[:1], scopes=sample().scopes)
    only = dataclasses.replace(options, absent=0, tries=1)
    (drafts,), _ = run(QuestionsAnswers, only, lambda *_: said(QuestionsAnswers, [pair]), tmp_path, alone)
    assert isinstance(drafts, list) == accepted, drafts


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (FAITHFUL[QuestionsAnswers][0], "supported"),
        ("Is there a pleural effusion? Yes, a pleural effusion.", "contradicted"),
        ("Is there a pleural effusion?", "unknown"), ("A pleural effusion is seen?", "contradicted"),
    ],
)  # fmt: skip
def test_a_stored_pair_is_judged_by_its_answer_alone(text, verdict):
    assert check(text, Known(FACTS, ()), installed_vocabularies()["medical"]).verdict == verdict


def test_repeats_are_asked_for_again_until_five_differ(options, tmp_path):
    texts = FAITHFUL[Five]

    def answer(prompt, number):
        return said(Five, [texts[0], texts[0] + " ", *texts[1:3]] if number == 0 else texts[2:])

    (drafts,), endpoint = run(Five, options, answer, tmp_path)
    assert sorted(draft.text for draft in drafts) == sorted(texts)
    assert "Write 2 different captions" in endpoint.prompts[1]
    assert f"- {texts[0]}" in endpoint.prompts[1]


def test_many_samples_at_once_each_end_with_their_own_captions(options, tmp_path):
    sizes = [10.0 + number for number in range(12)]
    samples = [
        sample(uid=f"{number:032x}", facts=({**FACTS[0], "value": size},), scopes=())
        for number, size in enumerate(sizes)
    ]

    def answer(prompt, number):
        size = re.search(r"nodule \((\d+) mm", prompt)[1]
        return json.dumps({"short": f"Nodule of {size} mm", "dense": f"A left nodule of {size} mm."})

    results, _ = run(ShortDense, options, answer, tmp_path, *samples)
    assert [[d.text for d in drafts] for drafts in results] == [
        [f"Nodule of {size:g} mm", f"A left nodule of {size:g} mm."] for size in sizes
    ]


PLANTED = ("PID-77120-DOE", "ACC9911887", "doe_john", "19370412", "REG-55012", "1937-04-12")


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "made-by-hand")
    for name in ("a", "b"):
        row = {
            "uid": name * 32,
            "subject": f"PID-77120-DOE-{name}",
            "study": "ACC9911887",
            "kind": "image",
            "axes": "YX",
        }
        row |= {"modality": "DX", "source": f"scans/doe_john_19370412_{name}.png", "datetime": "1937-04-12"}
        picture = io.BytesIO()
        Image.new("L", (8, 8), ord(name)).save(picture, "PNG")
        writer.add(Sample(row, picture.getvalue()))
    writer.publish()
    for uid in ("a" * 32, "b" * 32):
        rows = [
            {**fact, "uid": uid, "attributes": json.dumps({**fact["attributes"], "reader": "doe_john"})}
            for fact in FACTS
        ]
        rows = [{k: v for k, v in row.items() if k != "region"} | {"region_id": "REG-55012" + uid} for row in rows]
        append_rows(root, "facts", uid, rows)
        append_rows(root, "scopes", uid, [{**scope, "uid": uid} for scope in sample().scopes])
        append_rows(
            root,
            "regions",
            uid,
            [{"uid": uid, "region_id": "REG-55012" + uid, "phrase": "nodule", "box": [0, 0, 4, 4]}],
        )
        captions = [{**c, "caption_id": uid[:31] + c["kind"][0], "uid": uid} for c in sample().captions]
        append_rows(root, "captions", uid, captions)
    return root


def caption(root, url, strategy, options, *words):
    needs = {Translate: ["--languages", "de"], Roi: ["--knowledge", str(options.knowledge)], FuseExperts: []}
    chosen = ["--strategy", strategy.name, "--base-url", url, "--model", "m", *needs.get(strategy, []), *words]
    return main(["caption", str(root), "--provider", "openai", *chosen])


def test_commands_write_captions_with_verdicts_and_name_nobody(corpus, options, tmp_path):
    found = [{"uid": name * 32, "expert": "lungnet", "concept": "nodule"} for name in "ab"]
    (tmp_path / "experts.jsonl").write_text("\n".join(map(json.dumps, found)))
    endpoint = Endpoint(None)
    with serving(endpoint) as url:
        for strategy in ALL:
            before = {row["caption_id"] for row in Corpus(corpus).table("captions").to_pylist()}
            endpoint.answer = faithful(strategy)
            more = ["--experts", str(tmp_path / "experts.jsonl")] if strategy is FuseExperts else []
            assert caption(corpus, url, strategy, options, *more) == 0
            rows = [row for row in Corpus(corpus).table("captions").to_pylist() if row["caption_id"] not in before]
            assert sorted(row["text"] for row in rows) == sorted(FAITHFUL[strategy] * 2)
            asked = len(endpoint.bodies)
            assert caption(corpus, url, strategy, options, *more) == 0
            assert len(endpoint.bodies) == asked
    store = Corpus(corpus)
    captions = {row["caption_id"]: row for row in store.table("captions").to_pylist()}
    apart = [(row, captions[row["caption_id"]]) for row in store.table("instructions").to_pylist()]
    asked_of = [(row, text) for row, text in apart if row["question"]]
    assert [f"{row['question']} {row['answer']}" for row, _ in asked_of] == [row["text"] for _, row in asked_of]
    assert sorted(row["text"] for _, row in asked_of) == sorted(FAITHFUL[QuestionsAnswers] * 2)
    regions = {row["text"]: told["region_id"][:9] for told, row in apart if told["region_id"]}
    worded = {*FAITHFUL[QuestionsAnswers], *FAITHFUL[Five]}
    assert regions == dict.fromkeys((*worded, FAITHFUL[Roi][0]), "REG-55012")  # of which both facts are
    own = [row["parents"] for row in captions.values() if row["text"] in worded]
    assert all(own)
    assert {parent[-1] for parents in own for parent in parents} == {"r", "t"}  # the raw and the template caption
    described = {row["caption_id"]: row["region_id"] for row, caption in apart if caption["kind"] == "roi"}
    assert sorted(described.values()) == ["REG-55012" + name * 32 for name in "ab"]
    wholes = [row for row in captions.values() if row["text"] == FAITHFUL[Roi][1]]
    assert sorted(parent for row in wholes for parent in row["parents"]) == sorted(described)
    assert all(row["question"] or row["region_id"] for row, _ in apart)
    verdicts = {row["verdict"] for row in Corpus(corpus).table("verdicts").to_pylist()}
    assert verdicts == {"supported"}
    everything = json.dumps(endpoint.bodies)
    assert not [name for name in (*PLANTED, "a" * 32, "b" * 32) if name.casefold() in everything.casefold()]


def test_what_one_language_lacks_is_asked_for_again_and_the_other_is_kept_once(corpus, options, capsys):
    french = "Il y a un nodule de 12 mm dans le poumon gauche. Il n'y a pas d'épanchement pleural."

    def answer(prompt, number, speaks_french=False):
        if "into English" in prompt:
            return json.dumps({"caption": TEMPLATE})
        is_french = speaks_french and "French" in prompt
        return json.dumps({"caption": french if is_french else FAITHFUL[Translate][0]})

    def languages():
        return sorted(c["lang"] for c in Corpus(corpus).table("captions").to_pylist() if c["provider"] == "openai")

    endpoint = Endpoint(answer)
    with serving(endpoint) as url:
        assert caption(corpus, url, Translate, options, "--languages", "de,fr", "--tries", "1") == 1
        said = " ".join(capsys.readouterr().out.split())
        assert "French: the model's text will not do" in said
        assert languages() == ["de", "de"]
        shutil.rmtree(corpus.with_name("corpus.replies"))  # the faulty replies are kept, and would come again
        endpoint.answer = functools.partial(answer, speaks_french=True)
        assert caption(corpus, url, Translate, options, "--languages", "de,fr", "--tries", "1", "--retry", "true") == 0
    assert languages() == ["de", "de", "fr", "fr"]


def test_captions_that_came_are_stored_once_and_more_tries_add_the_others(corpus, options, capsys):
    def answer(prompt, number):
        return said(Five, FAITHFUL[Five][3:] if FAITHFUL[Five][0] in prompt else [*FAITHFUL[Five][:3], WRONG])

    def stored():
        return sorted(c["text"] for c in Corpus(corpus).table("captions").to_pylist() if c["provider"] == "openai")

    endpoint = Endpoint(answer)
    with serving(endpoint) as url:
        assert caption(corpus, url, Five, options, "--tries", "1") == 1
        assert "3 of 5 texts were accepted in 1 tries" in " ".join(capsys.readouterr().out.split())
        assert stored() == sorted(FAITHFUL[Five][:3] * 2)
        assert caption(corpus, url, Five, options, "--tries", "3") == 0
    assert stored() == sorted(FAITHFUL[Five] * 2)
    assert len(endpoint.bodies) == 4


def test_a_sample_without_captions_is_named_and_the_others_go_on(corpus, options, capsys):
    def answer(prompt, number):
        return said(Five, FAITHFUL[Five] if number == 0 else ["A nodule in the right lung."])

    with serving(Endpoint(answer)) as url:
        assert caption(corpus, url, Five, options, "--concurrency", "1", "--tries", "2") == 1
    rows = [row for row in Corpus(corpus).table("captions").to_pylist() if row["kind"] == "rewrite"]
    assert len(rows) == 5
    assert len({row["uid"] for row in rows}) == 1
    reasons = [row["reason"] for row in Corpus(corpus).ledger().to_pylist() if row["status"] == "failed"]
    assert reasons == ["too-few"]
    assert "0 of 5 texts were accepted in 2 tries" in " ".join(capsys.readouterr().out.split())


def test_pictures_are_sent_without_what_their_file_says_of_itself():
    exif = Image.Exif()
    exif[270] = "DOE JOHN"
    stream, large = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (40, 30), (200, 10, 10)).save(stream, "JPEG", exif=exif, comment=b"PID-77120")
    Image.new("RGBA", (4000, 1000), (0, 90, 0, 255)).save(large, "PNG")
    plain = shown(stream.getvalue())
    assert b"DOE JOHN" in stream.getvalue()
    assert b"DOE" not in plain
    assert b"PID" not in plain
    for data, size, colour in ((plain, (40, 30), (200, 10, 10)), (shown(large.getvalue()), (1536, 384), (0, 90, 0))):
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.format, picture.size) == ("JPEG", size)
            assert max(abs(a - b) for a, b in zip(picture.getpixel((5, 5)), colour, strict=True)) <= 6
    assert shown(jpeg()) == jpeg()


def test_what_cannot_be_asked_is_refused_before_anything_is_sent(options, prompts):
    for strategy in ALL:
        with pytest.raises(ConfigError, match="follows instructions"):
            strategy(dataclasses.replace(options, chat=False))
    for languages in (("en",), (), ("de", "xx")):
        with pytest.raises(ConfigError, match="--languages"):
            Translate(dataclasses.replace(options, languages=languages))
    with pytest.raises(ConfigError, match="--experts"):
        FuseExperts(dataclasses.replace(options, experts=None))
    with pytest.raises(InputError, match="knowledge"):
        Roi(dataclasses.replace(options, knowledge=options.knowledge / "gone"))


def test_every_prompt_says_what_its_domain_forbids_and_marks_material(prompts):
    mine = {strategy.name for strategy in ALL}
    chosen = [prompt for prompt in prompts.prompts if prompt.strategy.partition("/")[0] in mine]
    domains = {prompt.domain for prompt in chosen}
    assert domains == {"general", "medical", "pathology", "remote_sensing"}
    for domain in domains:
        steps = {prompt.strategy.partition("/")[0] for prompt in chosen if prompt.domain == domain}
        assert len(steps) >= 7, domain
    values = {
        "image": "CT", "scale": "", "look": False, "facts": ["F1"], "fault": "FAULT", "words": 9, "raw": "R",
        "synthetic": "S", "text": "T", "phrase": "P", "knowledge": ["K"],
        "regions": [{"phrase": "P", "text": "T", "place": "10 %"}],
        "count": 5, "accepted": ["A"], "place": "10 to 20 %", "is_cut_out": True, "context": [],
        "short_words": 5, "dense_words": 9, "language": "German", "code": "de", "captions": ["C"], "findings": ["X"],
    }  # fmt: skip
    for prompt in chosen:
        system, text = prompt.filled(**values)
        assert len(prompt.forbidden) >= 3
        assert all(rule in system for rule in prompt.forbidden), prompt.name
        assert "FAULT" in text or prompt.strategy == "translate/back"
        assert "<<<" in system


def drafts_and_missing(found):
    return [d.text for d in found if isinstance(d, Draft)], [m for m in found if isinstance(m, Missing)]


def test_what_is_good_of_a_reply_is_kept_where_the_rest_stays_wrong(options, tmp_path):
    """Paid for is paid for: of five captions two, of two one, of two pairs one; what is missing is named."""
    cases = {
        Five: [FAITHFUL[Five][0], WRONG, FAITHFUL[Five][1], "A nodule in the right lung.", "A right nodule."],
        ShortDense: [FAITHFUL[ShortDense][0], WRONG],
        QuestionsAnswers: [FAITHFUL[QuestionsAnswers][0], "Which side is the nodule on? It is in the right lung."],
    }  # fmt: skip
    kept = {Five: 2, ShortDense: 1, QuestionsAnswers: 1}
    for strategy, texts in cases.items():
        (found,), endpoint = run(
            strategy, options, lambda *_, s=strategy, t=texts: said(s, t), tmp_path / strategy.name
        )
        made, missing = drafts_and_missing(found)
        assert made == [text for text in texts if text in FAITHFUL[strategy]]
        assert len(made) == kept[strategy]
        assert {part.error.reason for part in missing} == {"too-few"}
        assert len(found) == len(FAITHFUL[strategy])
        first = [draft for draft in found if isinstance(draft, Draft)]
        assert all(len(draft.replies) == 1 for draft in first)  # a later run, with more tries, makes the same caption
        assert sum(reply.tokens_in for draft in first for reply in draft.replies) == len(endpoint.prompts[0]) // 4


def test_a_wrong_sentence_does_not_throw_the_others_away(options, tmp_path):
    dense = "There is a 12 mm nodule in the left lung. There is cardiomegaly. It is marked. No pleural effusion."
    reply = json.dumps({"short": "Left lung nodule", "dense": dense})
    (drafts,), endpoint = run(ShortDense, options, lambda *_: reply, tmp_path)
    assert drafts[1].text == "There is a 12 mm nodule in the left lung. No pleural effusion."
    assert drafts[1].verdict.verdict == "supported"
    assert len(endpoint.prompts) == 1
    mostly = json.dumps(
        {"short": "Left lung nodule", "dense": f"There is cardiomegaly. It is marked. {WRONG} No effusion."}
    )
    (found,), _ = run(ShortDense, options, lambda *_: mostly, tmp_path / "again")
    assert drafts_and_missing(found)[0] == ["Left lung nodule"]


@pytest.mark.parametrize("strategy", [Fuse, RewriteWhole, Describe])
def test_a_model_that_repeats_the_facts_is_asked_for_sentences_of_its_own(strategy, options, tmp_path):
    def answer(prompt, number):
        if number:
            return json.dumps({"caption": FAITHFUL[Fuse][0]})
        return json.dumps({"caption": "; ".join(re.findall(r"^- (.+)$", prompt, re.M))})

    (drafts,), endpoint = run(strategy, options, answer, tmp_path)
    assert [draft.text for draft in drafts] == FAITHFUL[Fuse]
    assert "The text only repeats the facts as they were given; write sentences of your own." in endpoint.prompts[1]


@pytest.mark.parametrize("strategy", [Fuse, Describe, Five, ShortDense, FuseExperts, RewriteWhole])
def test_a_model_that_only_denies_is_refused_where_something_is_there(strategy, options, tmp_path):
    nothing = {
        Five: said(Five, ["No pleural effusion.", "There is no pleural effusion to be seen.", "Without any effusion.",
                          "The pleural space holds no effusion.", "Pleural effusion is absent on both sides here."]),
        ShortDense: said(ShortDense, ["No pleural effusion", "There is no pleural effusion."]),
    }.get(strategy, json.dumps({"caption": "Pleural effusion is absent."}))  # fmt: skip
    (error,), endpoint = run(strategy, options, lambda *_: nothing, tmp_path)
    assert isinstance(error, ReplyError), error
    assert error.reason in {"unfit", "too-few"}
    assert "names nothing of what is there (nodule)" in str(error)
    assert any("names nothing of what is there (nodule)" in prompt for prompt in endpoint.prompts)
    only = sample(facts=FACTS[1:])
    (drafts,), _ = run(strategy, dataclasses.replace(options, tries=1), lambda *_: nothing, tmp_path / "only", only)
    assert isinstance(drafts, list), drafts
