"""One server with an assistant for all tests, asked by OpenAI's own client."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from small_assistants import write_assistant

from voxtile.types import Turn

TOKEN = "a token of a test, long enough"
ASKED = [("List the findings.", "report"), ("How large?", "")]
ANSWERS = [
    ("There is a nodule of 8 mm on the left. No effusion.", "8 mm."),
    ("No effusion.", "Nothing is there."),
    ("There is an effusion on the right. There is a mass.", "12 mm."),
    ("There is a mass.", "It is 40 mm large."),
]
DIALOGUES = [
    tuple(Turn(question, said, kind) for (question, kind), said in zip(ASKED, two, strict=True)) for two in ANSWERS
]


def pixels(number):
    return np.random.default_rng(number).integers(0, 255, (28, 28, 3), dtype=np.uint8)


def data_url(content, kind="image/png"):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def picture_url(number):
    stream = io.BytesIO()
    Image.fromarray(pixels(number)).save(stream, "PNG")
    return data_url(stream.getvalue())


def about(url, *said):
    """Messages: the questions and answers of a dialogue, with an image in the first."""
    first = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": said[0]}]
    later = [{"role": ("assistant", "user")[n % 2], "content": text} for n, text in enumerate(said[1:])]
    return [{"role": "user", "content": first}, *later]


@pytest.fixture(scope="session")
def assistant(tmp_path_factory):
    from voxtile.api.inputs import array_sample
    from voxtile.assist import Assistant
    from voxtile.data import ImagePreset

    preset = ImagePreset(size=(28, 28))
    images = torch.stack([preset(array_sample(pixels(n), preset, {}), None) for n in range(len(DIALOGUES))])
    path = tmp_path_factory.mktemp("assistants") / "secret-name.ckpt"
    return Assistant(str(write_assistant(path, preset.to_config(), images, DIALOGUES)))


@pytest.fixture(scope="session")
def desk(assistant):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from voxtile.serve.assisting.desk import open_desk

    opened = open_desk(assistant)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def address(explored, pages, desk):
    from browsing import at_an_address

    with at_an_address(explored, pages, desk, TOKEN) as found:
        yield found


@pytest.fixture(scope="session")
def openai():
    """The package, which takes a second to import: only where these tests run."""
    return pytest.importorskip("openai", reason="the extra dev is not installed")


@pytest.fixture(scope="session")
def openai_client(openai, address):
    with openai.OpenAI(base_url=f"{address}v1", api_key=TOKEN, max_retries=0) as client:
        yield client


@pytest.fixture
def ask(openai_client):
    """An answer of the server."""

    def make(messages, **settings):
        return openai_client.chat.completions.create(model="voxtile-assist", messages=messages, **settings)

    return make
