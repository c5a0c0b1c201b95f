"""Several images in one message are read as `voxtile ask first second` reads them: named, by date, of one patient."""

import asyncio
from dataclasses import replace

import numpy as np
import pydicom
import pytest
import torch
from picture_sets import radiograph
from small_assistants import write_assistant
from tests.core.serve.assisting.conftest import TOKEN, data_url, picture_url

from voxtile.assist import Assistant
from voxtile.assist.scans import prompts_of
from voxtile.assist.writing import write
from voxtile.data import ImagePreset
from voxtile.errors import InputError
from voxtile.types import Shown, Turn

CR = "1.2.840.10008.5.1.4.1.1.1"
QUESTION = "What has changed?"
LONGEST = 12


def film(folder, name, date, patient="p"):
    """A film of a bright half, another one in each."""
    path = folder / name
    radiograph(path, kind=CR)
    data = pydicom.dcmread(path)
    pixels = np.zeros((24, 24), "<u2")
    pixels[{"later.dcm": np.s_[:12], "earlier.dcm": np.s_[:, :12]}.get(name, np.s_[12:])] = 4000
    data.PixelData = pixels.tobytes()
    data.PatientID, data.StudyDate, data.AcquisitionDate = patient, date, date
    data.save_as(path)
    return path


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    return {
        name: film(folder, f"{name}.dcm", date, patient)
        for name, date, patient in (
            ("later", "20240503", "p"), ("earlier", "20240312", "p"), ("other", "20240401", "q"),
            ("nobody's", "20240401", ""),
        )
    }  # fmt: skip


@pytest.fixture(scope="module")
def comparing(tmp_path_factory):
    """An assistant that was told of two images at a time; what it says is noise, and depends on all that it reads."""
    preset = ImagePreset(size=(24, 24), channels=1, mean=(0.5,), std=(0.25,), window="percentile", modalities=("CR",))
    shown = (Shown("a", "Image 1, 12 March 2024, prior"), Shown("b", "Image 2, 3 May 2024"))
    turns = [Turn(QUESTION, "There is a new mass on the left and no effusion.", "comparison", images=shown)]
    connector = {"grid": [2, 2], "pooled": 2, "hidden": 32, "difference": 2}
    path = tmp_path_factory.mktemp("comparing") / "model.ckpt"
    images = torch.zeros(1, 1, 24, 24)
    write_assistant(path, preset.to_config(), images, [tuple(turns)], steps=0, connector=connector)
    assistant = Assistant(str(path))
    assistant.answering.connector.log_size.data += 4  # images outweigh words, so that every change of them is seen
    return assistant


@pytest.fixture(scope="module")
def ask_of(openai, explored, pages, comparing):
    from browsing import at_an_address

    from voxtile.serve.assisting.desk import open_desk

    desk = open_desk(comparing)
    with (
        at_an_address(explored, pages, desk, TOKEN) as address,
        openai.OpenAI(base_url=f"{address}v1", api_key=TOKEN, max_retries=0) as client,
    ):
        yield lambda *paths, said=(QUESTION,), **more: client.chat.completions.create(**message(paths, said), **more)
    desk.close()


def message(paths, said=(QUESTION,)):
    """A request about images: questions and answers, and the last question."""
    urls = [path if isinstance(path, str) else data_url(path.read_bytes(), "application/dicom") for path in paths]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]
    messages[0]["content"] = [*parts, {"type": "text", "text": said[0]}]
    return {"model": "voxtile-assist", "messages": messages, "max_tokens": LONGEST}


def told(answer):
    """The words of an answer, and how sure they are, which depends on all that was read."""
    return answer.choices[0].message.content, pytest.approx(answer.model_extra["voxtile"]["confidence"], abs=5e-9)


def reply_to(assistant, images, names):
    reply = assistant.ask(images, QUESTION, names=names, longest=LONGEST)
    return reply.text, reply.confidence


def test_two_examinations_are_read_as_the_command_reads_them(ask_of, comparing, films, tmp_path):
    paths = [films["later"], films["earlier"]]
    (prompt,) = prompts_of(paths, comparing.preset, tmp_path, several=True)
    assert prompt.names == ("Image 1, 12 March 2024, prior", "Image 2, 3 May 2024")
    own = reply_to(comparing, prompt.images, prompt.names)
    answer = ask_of(*paths)
    assert told(answer) == own
    assert told(ask_of(*reversed(paths))) == own  # by their dates, however they were sent
    for other in (
        reply_to(comparing, prompt.images.flip(0), prompt.names),
        reply_to(comparing, prompt.images, ("Image 1", "Image 2")),
        reply_to(comparing, prompt.images[1], ()),
    ):
        assert told(answer) != other  # order, names and number of images make a difference that is seen
    shown = comparing.seen_together(prompt.images, prompt.names)[0]
    words = comparing.answering.question_tokens(QUESTION)
    assert answer.usage.prompt_tokens == shown.shape[1] + len(words)
    rests = answer.model_extra["voxtile"]["claims"]
    support = comparing.support(comparing.seen(prompt.images[1:])[1][0], [claim["text"] for claim in rests])
    assert [claim["support"] for claim in rests] == pytest.approx(support)  # by the newest image


def test_one_and_several_images_are_answered_together_as_each_alone(ask_of, films):
    asked = [(films["later"],), (films["earlier"], films["later"]), (films["earlier"],), (films["later"],) * 3] * 3
    alone = [told(ask_of(*paths)) for paths in asked]

    async def together():
        return await asyncio.gather(*(asyncio.to_thread(ask_of, *paths) for paths in asked))

    found = [(a.choices[0].message.content, a.model_extra["voxtile"]["confidence"]) for a in asyncio.run(together())]
    assert found == alone
    assert all(one != alone[(n + 1) % 4] for n, one in enumerate(found[:4]))


def test_that_images_do_not_say_whose_they_are_is_said_beside_the_answer(ask_of, films):
    noted = lambda *paths: ask_of(*paths).model_extra["voxtile"]["notes"]  # noqa: E731
    for nobodys in (films["nobody's"], picture_url(0)):
        assert noted(nobodys, nobodys) == ["the images do not say whose they are; they are taken for one patient's"]
        assert noted(nobodys) == []
    assert noted(films["later"], films["earlier"]) == []
    *_, last = [piece for piece in ask_of(picture_url(0), picture_url(1), stream=True) if piece.choices]
    assert len(last.model_extra["voxtile"]["notes"]) == 1


def test_answers_are_held_against_each_other_where_they_are_of_one_image(ask_of, comparing, monkeypatch):
    """Of several an answer may be of another than the one before."""
    monkeypatch.setattr(comparing.answering, "text_of", lambda tokens: "There is a pleural effusion.")
    image, said = picture_url(0), ("Is there a pleural effusion?", "No.", "And now?")
    for images, expected in (((image,), 1), ((image, image), 0)):
        notes = ask_of(*images, said=said).model_extra["voxtile"]["notes"]
        assert sum("one of them is wrong" in note for note in notes) == expected
    answers, written = [], write

    def replaced(*args, **options):
        return [replace(answer, text=answers.pop(0)) for answer in written(*args, **options)]

    monkeypatch.setattr("voxtile.assist.speaking.talk.write", replaced)
    one = torch.zeros(1, 24, 24)
    for images, names, expected in ((one, (), 1), (torch.stack([one, one]), ("Image 1", "Image 2"), 0)):
        answers[:] = ["No effusion.", "There is an effusion."]
        talk = comparing.talk(images, longest=LONGEST, names=names)
        assert talk.ask(QUESTION).notes == ()
        assert len(talk.ask(QUESTION).notes) == expected


def test_what_the_command_refuses_is_refused_here(openai, ask_of, comparing, films, tmp_path):
    with pytest.raises(InputError, match="is not of the patient of"):
        list(prompts_of([films["later"], films["other"]], comparing.preset, tmp_path, several=True))
    for paths, said in (
        ((films["later"], films["other"]), "the images are not of one patient"),
        ((films["later"],) * 17, "there are 17 images in the first message; send at most 16"),
        ((films["later"],) * 16, "and the model reads 320; ask in fewer words, or of fewer images"),
        ((films["later"], picture_url(0)), "some of the images do not say whose they are"),
        ((films["later"], films["nobody's"]), "some of the images do not say whose they are"),
        ((films["later"], "http://127.0.0.1:1/a.png"), "fetched from nowhere"),
    ):
        with pytest.raises(openai.BadRequestError) as error:
            ask_of(*paths)
        assert said in error.value.body["message"]
    messages = [*message([films["later"]])["messages"], {"role": "assistant", "content": "It is new."}]
    messages += message([films["earlier"]])["messages"]
    with pytest.raises(openai.BadRequestError, match="there are 2 images in the messages, 1 of them in later ones"):
        ask_of(films["later"], extra_body={"messages": messages})
    assert told(ask_of(films["later"]))  # and the next is answered
