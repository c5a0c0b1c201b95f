"""Safe: no page of another site reads or writes, no file or its name leaves, and refusals tell nothing."""

import json
import time
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from serve_corpus import OTHER, PATCH, SCENE, SCRIPT, SECRET, VOLUME

pytest.importorskip("fastapi", reason="the extra serve is not installed")
TOKEN = "a token of a test, long enough"
HOST = "10.0.0.5:8000"


@pytest.fixture
def guarded(explored, pages):
    from starlette.testclient import TestClient

    from voxtile.serve.access import Access
    from voxtile.serve.application import application

    def make(lifetime_s=3600.0, clock=time.monotonic, after_wrong_s=0.0):
        access = Access(frozenset({HOST}), TOKEN, lifetime_s, clock=clock, after_wrong_s=after_wrong_s)
        app = application(explored, access, pages)
        return TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False)

    return make


def refused(answer, status):
    assert answer.status_code == status
    assert answer.content == b"", "no detail"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:9999", "127.0.0.1.evil.example:8000", ""])
def test_another_host_is_refused(client, host):
    """A name of another site that was made to lead to this machine (DNS rebinding)."""
    refused(client.get("/api/corpus", headers={"host": host}), 403)
    refused(client.get("/", headers={"host": host}), 403)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8001", "http://["])
def test_a_page_of_another_site_is_refused(client, origin):
    refused(client.post("/api/search", json={}, headers={"origin": origin}), 403)
    refused(client.get("/api/corpus", headers={"origin": origin}), 403)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_picture_in_a_page_of_another_site_is_refused(client, site):
    refused(client.get(f"/api/samples/{VOLUME}/thumbnail", headers={"sec-fetch-site": site}), 403)
    assert client.get("/", headers={"sec-fetch-site": site, "sec-fetch-mode": "navigate"}).status_code == 200


def test_its_own_page_may_ask(client):
    own = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
    assert client.post("/api/search", json={}, headers=own).status_code == 200


def test_without_the_token_nothing_is_told(guarded):
    client = guarded()
    for path in (
        "/api/corpus",
        f"/api/samples/{VOLUME}",
        "/api/openapi.json",
        f"/api/samples/{VOLUME}/thumbnail",
        "/api/x",
    ):
        refused(client.get(path), 401)
        refused(client.get(path, headers={"authorization": "Bearer wrong"}), 401)
        refused(client.get(path, headers={"cookie": "voxtile-session=wrong"}), 401)
    refused(client.post("/api/search", json={}), 401)
    refused(client.post("/api/session", json={"token": "wrong"}), 401)
    assert client.get("/").status_code == 200, "the page itself holds nothing of the corpus"


def test_guessing_takes_long_whichever_way_the_token_is_given(guarded):
    client, began = guarded(after_wrong_s=0.02), time.monotonic()
    refused(client.get("/api/corpus", headers={"authorization": "Bearer wrong"}), 401)
    assert client.get("/v1/models", headers={"authorization": "bearer wrong"}).status_code == 401
    refused(client.post("/api/session", json={"token": "wrong"}), 401)
    assert time.monotonic() - began >= 0.06


def test_the_token_is_exchanged_for_a_cookie_that_scripts_and_other_sites_cannot_use(guarded):
    client = guarded()
    answer = client.post("/api/session", json={"token": TOKEN})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in answer.headers["set-cookie"]
    assert client.get("/api/corpus").status_code == 200
    assert guarded().get("/api/corpus", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    stolen = answer.headers["set-cookie"].partition(";")[0]
    refused(guarded().get("/api/corpus", headers={"cookie": stolen}), 401)


def test_servers_at_two_ports_of_one_machine_have_cookies_of_their_own(guarded):
    """Browsers send the cookies of a machine to all its ports."""
    from voxtile.serve.access import Access

    names = [
        guarded()
        .post("/api/session", json={"token": TOKEN}, headers={"host": HOST})
        .headers["set-cookie"]
        .split("=")[0],
        Access(frozenset(), TOKEN).cookie("10.0.0.5:9000"),
        Access(frozenset(), TOKEN).cookie("[::1]"),
    ]
    assert len({*names}) == 3


def test_nothing_is_kept_by_browsers(client):
    """Regions, models and subjects change, under the same address."""
    for name in ("thumbnail", "planes/axial/1?regions=true", "volume.nii", "regions.nii"):
        assert client.get(f"/api/samples/{VOLUME}/{name}").headers["cache-control"] == "no-store"


def test_connections_on_which_nothing_comes_are_closed(client):
    import uvicorn

    from voxtile.serve.slow_connections import PatientServer

    class Connection:
        def __init__(self, **cycle):
            self.transport, self.cycle = Mock(), SimpleNamespace(**cycle) if cycle else None

    scope = {"method": "POST", "path": "/api/session"}
    idle, answering = Connection(), Connection(response_complete=False, more_body=False)
    slow = Connection(response_complete=False, more_body=True, scope=scope)
    image = Connection(response_complete=False, more_body=True, scope={**scope, "path": "/api/images"})
    busy = Connection(response_complete=True, more_body=False)
    server = PatientServer(uvicorn.Config(client.app))
    server.server_state.connections = {idle, answering, slow, image, busy}
    server.close_late(0.0)
    busy.cycle = SimpleNamespace(response_complete=True, more_body=False)  # a further request
    server.close_late(40.0)
    closed = [one.transport.close.called for one in (idle, answering, slow, image, busy)]
    assert closed == [True, False, True, False, False]
    server.close_late(700.0)
    assert (image.transport.close.called, busy.transport.close.called) == (True, True)


def test_a_token_has_a_lifetime(guarded):
    now = [0.0]
    client = guarded(lifetime_s=60, clock=lambda: now[0])
    client.post("/api/session", json={"token": TOKEN})
    assert client.get("/api/corpus").status_code == 200
    now[0] = 61
    refused(client.get("/api/corpus"), 401)
    refused(client.post("/api/session", json={"token": TOKEN}), 401)


@pytest.mark.parametrize(
    "path",
    ["/api/samples/..%2f..%2fetc%2fpasswd", "/../application.py", "/%2e%2e/command.py", "/api/samples/none", "/x"],
)
def test_a_wrong_path_is_not_found(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "voxtile" not in answer.text


def test_requests_are_limited(client):
    refused(client.get(f"/api/corpus?{'x' * 9000}"), 414)
    refused(client.post("/api/search", content=b" " * 70_000), 413)
    refused(client.post("/api/search", content=b"{}", headers={"content-length": "9" * 5000}), 413)
    deep = client.post("/api/search", json={"where": "(/*)*/" * 1001})
    assert (deep.status_code, "more than 1,000 brackets" in deep.text) == (422, True), deep.text
    chunks = (b" " * 1000 for _ in range(100))  # says no length
    assert client.post("/api/search", content=chunks).status_code >= 400


VERDICT = {"review_id": "0" * 32, "uid": PATCH, "target": "d", "verdict": "wrong", "reader": "e", "drawn": "random"}


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_form_of_another_site_writes_nothing(client, served_corpus, kind):
    """What a form can send without asking first, from a browser so old that it names no origin."""
    body = json.dumps(VERDICT).encode()
    assert client.post("/api/judge/verdicts", content=body, headers={"content-type": kind}).status_code == 422
    foreign = {"content-type": "application/json", "origin": "http://evil.example"}
    refused(client.post("/api/judge/verdicts", content=body, headers=foreign), 403)
    refused(client.options("/api/judge/verdicts", headers={"origin": "http://evil.example"}), 403)
    assert not (served_corpus / "tables" / "reviews").exists()


@pytest.mark.cases(2)
@pytest.mark.parametrize("token", ["", "é", "\x00", "a" * 512])
def test_a_token_that_is_none_is_refused_like_any_other(guarded, token):
    asked = {"content": json.dumps({"token": token}), "headers": {"content-type": "application/json"}}
    refused(guarded().post("/api/session", **asked), 401)
    refused(guarded().get("/api/corpus", headers={"authorization": f"Bearer {token!a}"}), 401)
    assert guarded().post("/api/session", json={"token": "a" * 513}).status_code == 422


def test_judging_needs_the_token_too(guarded):
    client = guarded()
    refused(client.post("/api/judge/verdicts", json=VERDICT), 401)
    for path in (
        "next?reader=a",
        "rates",
        f"region?uid={PATCH}&region_id=r2",
        f"item?kind=caption&uid={PATCH}&target=d",
    ):
        refused(client.get(f"/api/judge/{path}"), 401)


def test_every_answer_forbids_scripts_of_others(client):
    for answer in (
        client.get("/"),
        client.get("/api/corpus"),
        client.get("/none"),
        client.get("/", headers={"host": "x"}),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers


def test_no_file_its_name_or_folder_leaves(client, served_corpus):
    told = [
        client.get("/api/corpus"),
        client.get("/api/openapi.json"),
        client.post("/api/search", json={"words": "scan"}),
    ]
    for uid in (VOLUME, PATCH, SCENE, OTHER):
        told += [client.get(f"/api/samples/{uid}"), client.get(f"/api/samples/{uid}/shown")]
    for answer in told:
        assert answer.status_code == 200
        for secret in (SECRET, "patient-doe", str(served_corpus), ".tar", "sha256"):
            assert secret not in answer.text, secret


def test_what_comes_from_data_is_json_and_never_a_page(client):
    answer = client.get(f"/api/samples/{VOLUME}")
    assert SCRIPT in answer.json()["captions"][0]["pieces"][-1]["text"]
    assert answer.headers["content-type"] == "application/json"


def test_nothing_is_written_to_the_corpus(client, served_corpus):
    def state():
        return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in served_corpus.rglob("*")}

    before = state()
    client.post("/api/search", json={"words": "scan", "where": "modality = 'CT'"})
    client.get(f"/api/samples/{VOLUME}/volume.nii")
    for method in ("put", "patch", "delete"):
        assert getattr(client, method)(f"/api/samples/{VOLUME}").status_code in (404, 405)
    assert state() == before


def test_a_wider_address_gets_a_token_and_a_short_one_is_refused():
    from voxtile.errors import ConfigError
    from voxtile.serve.access import check_listening
    from voxtile.serve.command import _hosts, _token

    assert _token("127.0.0.1", None) == ""
    assert _token("localhost", None) == ""
    assert len(_token("0.0.0.0", None)) >= 32
    assert _token("192.168.1.4", None) != _token("192.168.1.4", None)
    with pytest.raises(ConfigError, match="16"):
        check_listening(8000, "short", 12)
    for port, hours, option in ((-1, 12, "--port"), (70_000, 12, "--port"), (8000, 0, "--token-hours")):
        with pytest.raises(ConfigError, match=option):
            check_listening(port, TOKEN, hours)
    assert "gpu-box:8000" in _hosts("GPU-Box", 8000), "as browsers write it"
    assert "evil.example:80" not in _hosts("127.0.0.1", 80)


def test_without_built_pages_the_command_says_how_to_get_them(tmp_path):
    from voxtile.errors import ConfigError
    from voxtile.serve.front_end import front_end

    with pytest.raises(ConfigError, match="make serve"):
        front_end(tmp_path)
