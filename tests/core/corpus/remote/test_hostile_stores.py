"""A store that lies, or sends without end, costs one sentence: neither memory, nor the disk, nor the day."""

import asyncio
import hashlib
import json
import resource
import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import pytest

from voxtile.corpus.header import header_bytes
from voxtile.corpus.remote import endless, stores, synchronise
from voxtile.corpus.remote.address import Address
from voxtile.corpus.remote.block_cache import CacheSpace, cache_root
from voxtile.corpus.remote.mirror import Mirror
from voxtile.corpus.remote.objects import identity_unknown
from voxtile.corpus.schema import SCHEMA_VERSION
from voxtile.errors import CorpusError

WHEN, TAG = "Tue, 14 Nov 2023 22:13:20 GMT", '"t"'
ENDLESS = b"<a>" * (1 << 14)


def listing(names, more=None):
    """A page of names with sizes, as S3 writes it."""
    entry = "<Contents><Key>ct/{}</Key><LastModified>2023-11-14T22:13:20.000Z</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>"  # noqa: E501
    entries = "".join(entry.format(escape(name), escape(TAG), size) for name, size in names.items())
    token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    return f"<ListBucketResult><IsTruncated>{str(bool(more)).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        store, path = self.server.store, urlsplit(self.path)
        store.asked.append(self.path)
        name = path.path.partition("/ct/")[2]
        if "list-type" in parse_qs(path.query):
            return self.say(200, store.list().encode())
        if name not in store.files:
            return self.say(404, b"")
        content = store.files[name]
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        stop = int(last or len(content)) + bool(last)
        part = content[int(first) : stop]
        span = f"bytes {first}-{stop - 1}/{len(content)}"
        return self.say(206 if last else 200, part, {"Content-Range": span} if last else {}, name in store.endless)

    def say(self, status, body, headers=None, is_endless=False):
        self.send_response(self.server.store.status or status)
        said = {"ETag": TAG, "Last-Modified": WHEN, "Content-Length": str(1 << 50 if is_endless else len(body))}
        for name, value in (said | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        while is_endless:
            self.wfile.write(ENDLESS)

    def say_for_ever(self, status):
        self.send_response(status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(ENDLESS), ENDLESS))

    def log_message(self, *_):
        """Say nothing."""


class Hostile:
    """Files of a corpus by name, and what is said of them."""

    def __init__(self):
        self.files = {"corpus.json": header_bytes(SCHEMA_VERSION)}
        self.endless, self.status, self.asked = set(), None, []
        self.list = lambda: listing({name: len(content) for name, content in self.files.items()})

    def record(self, **files):
        """Write the first manifest: it says of these files how many bytes they have."""
        entry = {name: {"sha256": "0" * 64, "bytes": size} for name, size in files.items()}
        self.files["manifests/0001.json"] = json.dumps({"files": entry}).encode()


@pytest.fixture
def store():
    made = Hostile()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        server.store, server.daemon_threads, made.url = made, True, f"http://127.0.0.1:{server.server_port}"
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        server.shutdown()


@pytest.fixture
def opened(store, monkeypatch, tmp_path):
    """Opens the corpus of the store in this process, by its list or over the web."""
    monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stores, "ATTEMPTS", 1)
    monkeypatch.setenv(stores.PATIENCE_VARIABLE, "0.001")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "K",
        "AWS_SECRET_ACCESS_KEY": "S",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": store.url,
    }.items():
        monkeypatch.setenv(name, value)

    def open_it(is_listed=True):
        address = Address("s3://data/ct" if is_listed else f"{store.url}/ct")

        async def work():
            found = stores.Store(address)
            await synchronise.fetch_header(found, Mirror.empty(address))
            return await synchronise.synchronise(found, Mirror.empty(address), CacheSpace(cache_root()))

        cache_root().mkdir(mode=0o700, parents=True, exist_ok=True)
        return asyncio.run(work())

    return open_it


@pytest.mark.parametrize("name", ["corpus.json", "tables/samples/a.parquet"])
def test_a_body_that_has_no_end_is_read_as_far_as_it_may_be_long(store, opened, name):
    store.files["tables/samples/a.parquet"] = b"PAR1PAR1"
    store.endless.add(name)
    with pytest.raises(CorpusError, match=r"more than \d+ bytes came|no such file has more than 1,048,576"):
        opened()


def test_a_list_that_goes_on_for_ever_ends_by_its_objects(store, opened, monkeypatch):
    monkeypatch.setattr(stores, "MOST_OBJECTS", 2000)
    store.list = lambda: listing({f"junk/{len(store.asked)}-{n}": 1 for n in range(500)}, f"t{len(store.asked)}")
    with pytest.raises(CorpusError, match="has more than 2,000 objects, and no corpus has so many"):
        opened()
    assert len(store.asked) < 12


def test_a_list_of_empty_pages_ends_by_time(store, opened, monkeypatch):
    monkeypatch.setattr(stores, "_PAGE_S", 0.1)
    monkeypatch.setattr(endless, "_LOOKED_AT_EVERY_S", 0.05)
    store.list = lambda: listing({}, f"t{len(store.asked)}")
    with pytest.raises(CorpusError, match="goes on without naming an object"):
        opened()


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_page_or_a_refusal_without_end_ends_by_what_it_takes(store, opened, monkeypatch, is_refused):
    monkeypatch.setattr(stores, "_PAGE_BYTES", 32 << 20)
    monkeypatch.setattr(stores.ending, "__defaults__", (32 << 20,))
    monkeypatch.setattr(endless, "_LOOKED_AT_EVERY_S", 0.01)
    monkeypatch.setattr(_Answers, "do_GET", lambda self: self.say_for_ever(400 if is_refused else 200))
    address = Address("s3://data/ct")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CorpusError, match=r"what the store sends for 's3://data/ct.*' has no end"):
        asyncio.run(stores.Store(address).listed())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 << 10


def test_a_request_whose_bytes_drip_is_given_up(store, opened, monkeypatch):
    monkeypatch.setattr(stores, "_ANSWER_S", 0.1)
    monkeypatch.setattr(endless, "_LOOKED_AT_EVERY_S", 0.05)
    waiting = threading.Event()
    monkeypatch.setattr(_Answers, "do_GET", lambda self: waiting.wait(5))
    with pytest.raises(CorpusError, match=r"corpus.json' cannot be read \(no whole answer came in 0 s\)"):
        opened()
    waiting.set()


@pytest.mark.parametrize("is_listed", [True, False])
def test_tables_that_the_disk_has_no_room_for_are_refused_before_they_are_fetched(store, opened, is_listed):
    store.record(**{"tables/samples/a.parquet": 1 << 45})
    store.list = lambda: listing({"corpus.json": 52, "tables/samples/a.parquet": 1 << 45})
    with pytest.raises(CorpusError, match=r"have 35,184.4 GB, and the disk of .* has .* GB for them"):
        opened(is_listed)
    assert not any(path.endswith(".parquet") for path in store.asked)


def test_what_is_larger_than_it_is_recorded_is_refused_before_it_is_fetched(store, opened):
    store.record(**{"tables/samples/a.parquet": 3})
    store.files["tables/samples/a.parquet"] = bytes(100)
    with pytest.raises(CorpusError, match="is not as the corpus records it"):
        opened()
    assert not any(path.endswith(".parquet") for path in store.asked)


@pytest.mark.parametrize("size", [-5, 10**30, "x", None])
def test_sizes_that_no_file_has_are_a_damaged_record(store, opened, size):
    store.record(**{"shards/a.tar": size})
    with pytest.raises(CorpusError, match=r"'manifests/0001.json' of the remote corpus is damaged"):
        opened(is_listed=False)


def test_a_server_with_a_manifest_for_each_number_is_not_asked_for_ever(store, opened):
    class Every(dict):
        def __contains__(self, name):
            return name.startswith("manifests/") or name == "corpus.json"

        def __missing__(self, name):
            return b'{"files": {}}'

    store.files = Every(store.files)
    with pytest.raises(CorpusError, match="has a manifest for whichever number it is asked for"):
        opened(is_listed=False)
    assert len(store.asked) < 40


@pytest.mark.parametrize("name", ["../../../x.json", "tables/samples/../x.parquet", "/tables/x/a.parquet", "a\nb"])
def test_a_name_that_is_no_path_is_named(store, opened, name, tmp_path):
    store.list = lambda: listing({"corpus.json": 52, name: 3})
    with pytest.raises(CorpusError, match=r"holds an object of the name '.*', which is no path of a file"):
        opened()
    assert not list(tmp_path.rglob("x.*"))


def test_a_name_that_no_file_system_takes_is_no_part_of_a_corpus(store, opened):
    store.files["tables/samples/" + "n" * 300 + ".parquet"] = b"PAR1PAR1"
    assert opened().small.keys() == {"corpus.json"}


@pytest.mark.parametrize("to", ["{http}/ct/corpus.json", "file:///etc/hostname"])
def test_an_encrypted_server_sends_nobody_where_nothing_is_encrypted(store, monkeypatch, tmp_path, to):
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    made += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made += ["-addext", "basicConstraints=critical,CA:FALSE"]
    made += ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
    if shutil.which("openssl") is None or subprocess.run(made, capture_output=True).returncode:
        pytest.skip("openssl makes no certificate here")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate"))
    monkeypatch.setattr(stores, "ATTEMPTS", 1)
    monkeypatch.setenv(stores.PATIENCE_VARIABLE, "0.001")

    class Sends(_Answers):
        def do_GET(self):
            self.server.came += 1
            self.say(307, b"", {"Location": to.format(http=store.url)})

    with ThreadingHTTPServer(("127.0.0.1", 0), Sends) as server:
        server.store, server.came, server.daemon_threads = store, 0, True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        web = stores.Store(Address(f"https://localhost:{server.server_port}/ct"))
        with pytest.raises(CorpusError, match="cannot be read"):
            asyncio.run(web.read("corpus.json", identity_unknown()))
        server.shutdown()
    assert server.came
    assert not store.asked


def test_a_corpus_of_more_tables_than_a_process_may_open_files_is_opened(store, opened):
    """By a limit of 128 more files than are open now; systems give a process 1,024."""
    store.files |= {f"tables/samples/{n}.parquet": b"PAR1%dPAR1" % n for n in range(400)}
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(_open_files())) + 200, hard))
    try:
        found = opened()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(found.small) == 401
    sums = {hashlib.sha256(path.read_bytes()).hexdigest() for path in found.root.glob("tables/samples/*")}
    assert len(sums) == 400


def _open_files():
    from pathlib import Path

    return Path("/proc/self/fd").iterdir()
