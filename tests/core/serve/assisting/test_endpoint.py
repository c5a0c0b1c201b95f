"""OpenAI's own client is answered: whole and in pieces, 32 at a time, and each as it would be alone."""

import asyncio

import pytest
import torch
from serve_corpus import PATCH, VOLUME
from tests.core.serve.assisting.conftest import DIALOGUES, TOKEN, about, picture_url, pixels

from voxtile.assist.batching.batch import Batch
from voxtile.assist.speaking.replies import CANNOT_BE_TOLD, WARNING

MODEL = "voxtile-assist"
REPORT = "List the findings."


def text_of(answer):
    return answer.choices[0].message.content


def test_answers_are_what_was_learned_with_what_they_rest_on(ask, openai_client):
    assert [model.id for model in openai_client.models.list()] == [MODEL]
    assert openai_client.models.retrieve(MODEL).id == MODEL
    for number, (report, later) in enumerate(DIALOGUES):
        url = picture_url(number)
        answer = ask(about(url, REPORT))
        assert text_of(answer) == report.answer
        assert answer.choices[0].finish_reason == "stop"
        rests = answer.model_extra["voxtile"]
        assert " ".join(claim["text"] for claim in rests["claims"]) == report.answer
        assert all(0 <= claim["support"] <= 1 for claim in rests["claims"])
        assert rests["warning"] == WARNING
        assert text_of(ask(about(url, REPORT, report.answer, later.question))) == later.answer
        usage = answer.usage
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_the_ways_of_answering(ask):
    url, whole = picture_url(0), DIALOGUES[0][0].answer
    cut = ask(about(url, REPORT), max_tokens=4)
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage.completion_tokens == 4
    assert whole.startswith(text_of(cut))
    stopped = ask(about(url, REPORT), stop=[" No"])
    assert text_of(stopped) == whole.partition(" No")[0]
    assert stopped.choices[0].finish_reason == "stop"
    assert text_of(ask(about(url, REPORT), extra_body={"least": 1.0})) == CANNOT_BE_TOLD
    drawn = [text_of(ask(about(url, "Why?"), temperature=2, seed=seed, max_tokens=20)) for seed in (1, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1


def test_pieces_are_those_of_the_whole(ask):
    url, whole = picture_url(2), DIALOGUES[2][0].answer
    chunks = list(ask(about(url, REPORT), stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole
    assert sum(bool(piece) for piece in pieces) > 5
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-2].model_extra["voxtile"]["claims"][0]["text"] == "There is an effusion on the right."
    assert chunks[-1].choices == []
    assert chunks[-1].usage == ask(about(url, REPORT)).usage
    assert len({chunk.id for chunk in chunks}) == 1
    withheld = list(ask(about(url, REPORT), stream=True, extra_body={"least": 1.0}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in withheld) == CANNOT_BE_TOLD


def test_an_answer_that_contradicts_an_earlier_one_says_so_whole_and_in_pieces(ask, desk, monkeypatch):
    monkeypatch.setattr(desk.assistant.answering, "text_of", lambda tokens: "Yes, there is a pleural effusion.")
    question = "Is there a pleural effusion?"
    notes = lambda answer: answer.model_extra["voxtile"]["notes"]  # noqa: E731
    denied = about(picture_url(0), REPORT, "The heart is enlarged. No pleural effusion.", question)
    (said,) = notes(ask(denied))
    assert "“No pleural effusion.”" in said
    assert "one of them is wrong" in said
    *_, last = [piece for piece in ask(denied, stream=True) if piece.choices]
    assert notes(last) == [said]
    assert notes(ask(about(picture_url(0), REPORT, "There is a pleural effusion.", question))) == []
    assert notes(ask(about(picture_url(0), question))) == []
    withheld = ask(denied, extra_body={"least": 1.0})
    assert text_of(withheld) == CANNOT_BE_TOLD
    assert notes(withheld) == []


def test_a_sample_of_the_corpus_is_asked_about_by_its_uid(openai, ask, assistant, explored):
    row = explored.row(PATCH)
    with explored.source(row) as source:
        alone = assistant.report(assistant.preset(source, None))
    assert text_of(ask(about(f"voxtile:{PATCH}", REPORT))) == alone.text
    with pytest.raises(openai.BadRequestError, match=r"this model reads pictures, but this is a volume"):
        ask(about(f"voxtile:{VOLUME}", REPORT))


def test_32_clients_at_once_are_answered_as_each_alone(openai, address, ask, monkeypatch):
    """Half of them in pieces; every other goes on with a dialogue, so that prompts are of several lengths."""
    questions = [
        about(picture_url(n % 4), *((REPORT,) if n % 2 else (REPORT, DIALOGUES[n % 4][0].answer, f"How large? {n}")))
        for n in range(32)
    ]
    alone = [text_of(ask(messages, max_tokens=24)) for messages in questions]
    together = []
    step = Batch.step

    def counted(self):
        together.append(len(self.rows))
        return step(self)

    monkeypatch.setattr(Batch, "step", counted)

    async def answer(client, number):
        settings = {"model": MODEL, "messages": questions[number], "max_tokens": 24}
        if number % 4 < 2:
            return text_of(await client.chat.completions.create(**settings))
        stream = await client.chat.completions.create(**settings, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def all_of_them():
        async with openai.AsyncOpenAI(base_url=f"{address}v1", api_key=TOKEN, max_retries=0) as client:
            return await asyncio.gather(*(answer(client, number) for number in range(32)))

    assert asyncio.run(all_of_them()) == alone
    assert len(set(alone)) >= 5
    assert max(together) > 4, "they are written together"


def test_the_command_serves_an_assistant_alone_and_says_what_is_missing(assistant, monkeypatch, capsys):
    from starlette.testclient import TestClient

    from voxtile.cli.main import main
    from voxtile.serve import command

    served = []

    def run(app, listener):
        with TestClient(app, base_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
            served.append((client.get("/v1/models").json()["data"][0]["id"], client.get("/").status_code))
            asked = {"model": MODEL, "messages": about(picture_url(1), REPORT)}
            served.append(client.post("/v1/chat/completions", json=asked).json()["choices"][0]["message"]["content"])
            asked["messages"] = about(f"voxtile:{PATCH}", REPORT)
            served.append(client.post("/v1/chat/completions", json=asked).json()["error"]["message"])
            described = client.get("/api/openapi.json").json()["paths"]["/v1/chat/completions"]["post"]
            served.append(described["requestBody"]["content"]["application/json"]["schema"]["title"])
        listener.close()

    monkeypatch.setattr(command, "_run", run)
    assert main(["serve", "--assist", assistant.name, "--port", "0"]) == 0
    assert "chats at http://127.0.0.1:" in capsys.readouterr().out
    assert served == [
        (MODEL, 404), DIALOGUES[1][0].answer, "no corpus is served whose samples could be named; send the image itself",
        "ChatRequest",
    ]  # fmt: skip
    for words, said in (
        (["serve"], "or a model that writes with --assist"),
        (["serve", "--assist", "nowhere.ckpt"], "nowhere.ckpt"),
        (["serve", "--assist", assistant.name, "--model", "last.ckpt"], "go with a corpus"),
    ):
        assert main(words) == 2
        assert said in " ".join(capsys.readouterr().err.split())


def test_nothing_is_held_of_who_has_left(desk):
    import gc
    import threading
    import weakref

    from voxtile.api.inputs import array_sample
    from voxtile.assist.batching.batch import Prompt
    from voxtile.serve.assisting.answer_writer import Job, Written
    from voxtile.serve.assisting.shown_images import Shown

    answering, preset = desk.assistant.answering, desk.assistant.preset
    image = preset(array_sample(pixels(0), preset, {}), None)

    def put(name, leaves):
        over = threading.Event()

        def say(event):
            job.is_left = leaves
            if leaves or isinstance(event, Written):
                over.set()

        tokens = tuple(answering.question_tokens(REPORT))
        job = Job(Shown(name, image), Prompt(image=torch.zeros(0), tokens=tokens, longest=40), say)
        desk.writer.put(job)
        return weakref.ref(job), over

    left = [put("one", leaves=True) for _ in range(4)]
    assert all(over.wait(60) for _, over in left)
    assert put("two", leaves=False)[1].wait(60)  # the writer has gone on since
    gc.collect()
    assert [job() for job, _ in left] == [None] * 4
