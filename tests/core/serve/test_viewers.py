"""Fifty viewers at once: every request is answered. How fast is a matter of `benchmarks/explore.py --viewers 50`."""

import json
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from serve_corpus import PATCH, SCENE, VOLUME

pytest.importorskip("fastapi", reason="the extra serve is not installed")
VIEWERS = 50
ASKED = [
    ("search", {"words": "land"}),
    ("search", {"facts": [{"concept": "nodule"}]}),
    (f"samples/{PATCH}", None),
    (f"samples/{SCENE}/thumbnail", None),
    (f"samples/{VOLUME}/planes/axial/20", None),
    (f"samples/{VOLUME}/alike", None),
]


@pytest.fixture(scope="module")
def address(explored, pages):
    import uvicorn

    from voxtile.serve.access import Access
    from voxtile.serve.application import application
    from voxtile.serve.command import _listener

    listener = _listener("127.0.0.1", 0)
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    app = application(explored, Access(frozenset({host})), pages)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://{host}/api/"
    server.should_exit = True
    thread.join()


def test_every_request_of_fifty_viewers_is_answered_alike(address):
    together = threading.Barrier(VIEWERS)

    def view(viewer):
        together.wait()
        answers = []
        for path, body in ASKED[viewer % len(ASKED) :] + ASKED[: viewer % len(ASKED)]:
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(address + path, data, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request) as answer:
                answers.append((path, json.dumps(body), _without_times(answer.read())))
        return set(answers)

    with ThreadPoolExecutor(VIEWERS) as pool:
        seen = list(pool.map(view, range(VIEWERS)))
    assert len(seen[0]) == len(ASKED)
    assert all(answers == seen[0] for answers in seen)


def _without_times(answer):
    try:
        content = json.loads(answer)
    except ValueError:
        return answer
    return json.dumps({name: value for name, value in content.items() if name != "milliseconds"})
