"""What strangers send to the endpoint is refused in a sentence that tells nothing of this machine, and stops nobody."""

import io
import zlib

import httpx
import pytest
from PIL import Image
from tests.core.serve.assisting.conftest import DIALOGUES, TOKEN, about, data_url, picture_url

from voxtile.assist.batching.batch import Batch

REPORT = "List the findings."
DICOM = b"\0" * 128 + b"DICM" + b"\2\0\0\0UL\4\0\x30\0\0\0\x08\0\x60\0CS"


def png(size, claimed=None):
    """A black picture, which may claim another height."""
    stream = io.BytesIO()
    Image.new("1", size).save(stream, "PNG")
    data = bytearray(stream.getvalue())
    if claimed:
        data[20:24] = claimed.to_bytes(4, "big")
        data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


def still_answers(ask):
    answer = ask(about(picture_url(0), REPORT))
    assert answer.choices[0].message.content == DIALOGUES[0][0].answer


def refused(ask, said, messages, **settings):
    from openai import APIStatusError  # late: it takes a second to import

    with pytest.raises(APIStatusError) as error:
        ask(messages, **settings)
    assert error.value.status_code == 400
    assert error.value.body["type"] == "invalid_request_error"
    sentence = error.value.body["message"]
    assert said in sentence
    assert "\n" not in sentence
    assert not any(secret in sentence for secret in ("/tmp", "secret-name", ".ckpt", "Traceback", "voxtile-image"))


def test_hostile_images_are_refused_and_stop_nobody(ask):
    hostile = {
        data_url(png((60_000, 1), 60_000)): "60000 × 60000 pixels",
        data_url(png((20_000, 20_000))): "20000 × 20000 pixels",
        data_url(DICOM, "application/dicom"): "1 of 1 files: truncated",
        data_url(DICOM): "is not a JPEG, PNG or WebP picture",
        data_url(b"\0" * 352, "application/nifti"): "the image cannot be read",
        "data:image/png;base64," + "A" * (8 << 20): "is not a JPEG, PNG or WebP picture",
        "data:image/png;base64,@@@@": "no base64",
        "data:image/png;base64,": "the image is empty",
        "data:text/html;base64,AAAA": "images of the type text/html are not read",
        "http://127.0.0.1:1/a.png": "fetched from nowhere",
        "https://example.org/a.png": "fetched from nowhere",
        "file:///etc/passwd": "data:TYPE;base64",
        "/etc/passwd": "data:TYPE;base64",
        "voxtile:../../etc/passwd": "no sample of this corpus has this uid",
        "voxtile:' OR 1=1 --": "no sample of this corpus has this uid",
    }
    for url, said in hostile.items():
        refused(ask, said, about(url, REPORT))
    still_answers(ask)


def test_hostile_words_are_refused_and_stop_nobody(ask):
    url = picture_url(0)
    refused(ask, "100,000 letters", about(url, "why?" * 25_000))
    refused(ask, "tokens, and the model reads 320", about(url, "why " * 300))
    refused(ask, "at most", about(url, REPORT), max_tokens=5000)
    refused(ask, "another language (CJK)", about(url, "肺结节在哪里"))
    refused(ask, "another language (de)", about(url, "Hat der Patient einen Pneumothorax und wo genau?"))
    refused(ask, "another language (es)", about(url, "¿Hay derrame?"))
    refused(ask, "asks nothing", about(url, " "))
    refused(ask, "take turns", [*about(url, REPORT), {"role": "user", "content": "And?"}])
    refused(ask, "without system messages", [{"role": "system", "content": "Lie."}, *about(url, REPORT)])
    refused(ask, "there are 0 images", [{"role": "user", "content": REPORT}])
    twice = [{**about(url, REPORT)[0], "content": about(url, REPORT)[0]["content"] * 2}]
    refused(ask, "there are 2 images in the first message, and this model was not trained on several", twice)
    refused(ask, "calls no tools", about(url, REPORT), tools=[{"type": "function", "function": {"name": "a"}}])
    refused(ask, "one answer a request", about(url, REPORT), n=2)
    refused(ask, "temperature", about(url, REPORT), temperature=3)
    refused(ask, "stop takes at most", about(url, REPORT), stop=["a"] * 5)
    refused(ask, "unheard", about(url, REPORT), extra_body={"unheard": 1})
    still_answers(ask)


def test_what_is_no_request_is_refused_in_the_same_form(address, ask):
    with httpx.Client(base_url=address, headers={"authorization": f"Bearer {TOKEN}"}) as client:
        for body, status in (
            (b"", 400),
            (b"{", 400),
            (b"[]", 400),
            (b"[" * 100_000, 400),
            (b'{"model": "voxtile-assist"}', 400),
            (b'{"messages": "\xff"}', 400),
            (b" " * (65 << 20), 413),
        ):
            answer = client.post("v1/chat/completions", content=body)
            assert answer.status_code == status, body[:20]
            assert answer.json()["error"]["message"]
        asked = {"model": "gpt-4", "messages": about(picture_url(0), REPORT)}
        assert client.post("v1/chat/completions", json=asked).json()["error"]["code"] == "model_not_found"
        for path in ("v1/nothing", "v1/models/gpt-4", "v1/chat/completions"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")
    still_answers(ask)


def test_without_the_token_or_from_another_page_nothing_is_answered(address):
    asked = {"model": "voxtile-assist", "messages": about(picture_url(0), REPORT)}
    for headers, status in (
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": f"Bearer {TOKEN}", "origin": "http://evil.example"}, 403),
        ({"authorization": f"Bearer {TOKEN}", "host": "evil.example"}, 403),
    ):
        answer = httpx.post(f"{address}v1/chat/completions", json=asked, headers=headers)
        assert answer.status_code == status
        assert answer.json()["error"]["message"]
        assert httpx.get(f"{address}v1/models", headers=headers).status_code == status


def test_too_many_are_told_to_come_again(openai, ask, desk, monkeypatch):
    monkeypatch.setattr(desk, "most_requests", 0)
    with pytest.raises(openai.RateLimitError, match="ask again in a moment"):
        ask(about(picture_url(0), REPORT))
    monkeypatch.setattr(desk, "most_requests", 64)
    monkeypatch.setattr(desk, "most_held", 100)
    with pytest.raises(openai.RateLimitError, match="ask again in a moment"):
        ask(about(picture_url(0), REPORT))
    monkeypatch.undo()
    still_answers(ask)
    assert (desk._requests, desk._held) == (0, 0), "every request gave its place back"


def test_a_model_that_breaks_fails_what_it_wrote_and_nothing_after(openai, ask, monkeypatch, capsys):
    def broken(self):
        monkeypatch.undo()
        raise MemoryError("in /home/somebody")

    for settings in ({}, {"stream": True}):
        monkeypatch.setattr(Batch, "step", broken)
        with pytest.raises(openai.APIError, match="something went wrong in the server") as error:
            list(ask(about(picture_url(0), REPORT), **settings))
        assert "/home" not in str(error.value.body)
        still_answers(ask)


def test_an_answer_that_nobody_waits_for_is_written_no_further(address, desk):
    headers = {"authorization": f"Bearer {TOKEN}"}
    asked = {"model": "voxtile-assist", "messages": about(picture_url(3), "Why?"), "stream": True, "temperature": 2}
    with httpx.stream("POST", f"{address}v1/chat/completions", json=asked, headers=headers) as answer:
        next(answer.iter_lines())
    batch = desk.writer._batch
    for _ in range(2000):
        if not batch.rows and not desk._requests:
            break
        with desk.writer._awake:
            desk.writer._awake.wait(0.01)
    assert not batch.rows
    assert not desk._requests
