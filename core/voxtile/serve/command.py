"""`voxtile serve CORPUS…`: a corpus and a model in the browser."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from voxtile.console import output
from voxtile.corpus.header import check_corpus
from voxtile.corpus.remote.address import parse_address
from voxtile.errors import ConfigError
from voxtile.extras import missing_extra
from voxtile.serve.access import Access, check_listening, new_token
from voxtile.serve.front_end import front_end
from voxtile.serve.search import APPROXIMATE_FROM
from voxtile.stages.embed.names import check_extractor_name
from voxtile.training.named_inputs import require_checkpoint

if TYPE_CHECKING:  # what loads corpora and models takes seconds to import: it comes once all that was given is there
    from fastapi import FastAPI

    from voxtile.serve.assisting.desk import Desk
    from voxtile.serve.current import CurrentCorpus

_LOCAL = ("127.0.0.1", "localhost", "[::1]")
_MOST_AT_ONCE = 200  # requests; further ones are told to come again


def serve_corpus(
    *corpus: Path,
    model: str | None = None,
    assist: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    token_hours: float = 12.0,
    references: Path | None = None,
    report: tuple[Path, ...] = (),
    embed: bool = True,
    approximate_from: int = APPROXIMATE_FROM,
    trust_package: tuple[str, ...] = (),
) -> None:
    """Show a corpus in the browser: find samples, and look at them with all that is known of them.

    The pages are served to this machine alone, and nothing is fetched from any other: they work without a network.
    Nothing is written to a corpus but what readers say of its captions, facts and regions, as its table `reviews`.

    Args:
        corpus: folders of corpora, seen as one; none where --assist alone is served.
        model: a checkpoint or another model of images and texts, for search by words and likeness, by the vectors that
            `voxtile embed` added to the corpus, and for what it sees in a sample: where a phrase is, scores of classes.
        assist: a checkpoint that was trained with the Answering objective: it answers questions on the page of a
            sample, and chats of other programs at /v1, the interface of OpenAI.
        host: address to listen at; one that other machines reach needs a token.
        port: to listen at; 0 takes a free one.
        token: what viewers must know, at least 16 characters; with --host, one is made where it is left out.
        token_hours: how long the token holds; afterwards the server must be started again.
        references: folder whose files may be shown where samples are references to them.
        report: folder of a report of `voxtile evaluate`, whose figures then lead to the cases behind them; repeat it
            for further ones.
        embed: make vectors of the samples that have none while the pages are served already; they are kept in the
            user's cache folder.
        approximate_from: vectors beyond which search is approximate, by lists of near vectors whose recall is measured
            and shown; up to here it is exact.
        trust_package: package of your own whose classes the checkpoint of --assist may name; repeat it for further
            ones.

    Raises:
        ConfigError: the pages are not built, the port is taken, or a token is too short.
        CorpusError: a folder is not a corpus, or a table is damaged.
        CheckpointError: the model cannot be loaded safely.
        PresetError: the model takes none of the samples.
        MissingExtraError: the extra `serve` is not installed.
    """
    if not corpus and not assist:
        raise ConfigError("no corpus was given; name at least one folder, or a model that writes with --assist")
    if not corpus and (model or report or references):
        raise ConfigError("--model, --report and --references go with a corpus; name its folder")
    check_listening(port, token, token_hours)
    if approximate_from < 0:
        raise ConfigError(f"--approximate-from must be at least 0, not {approximate_from}")
    _check_names(corpus, model, assist)
    try:
        import uvicorn  # noqa: F401 - said before anything is loaded

        from voxtile.serve.application import application, serve_from_now_on
    except ImportError as error:
        if (missing := missing_extra(error)) is not None:
            raise missing from error
        raise
    from voxtile.serve.current import CurrentCorpus
    from voxtile.serve.reports.report import open_reports
    from voxtile.serve.search.meaning import load_search_model

    secret = _token(host, token)
    with ExitStack() as stack:
        desk = _desk(assist, trust_package, stack) if assist else None
        current = None
        if corpus:
            search = load_search_model(model) if model else None
            current = CurrentCorpus(
                corpus, search, model or "", references, open_reports(report), embed, approximate_from
            )
            stack.callback(current.stop)
        listener = _listener(host, port)
        address = f"{_written(host)}:{listener.getsockname()[1]}"
        access = Access(_hosts(host, listener.getsockname()[1]), secret, token_hours * 3600)
        _say(address, secret, current, desk is not None)
        served = application(current.explored if current else None, access, front_end() if corpus else None, desk)
        if current is not None:
            current.changed = partial(serve_from_now_on, served)
            current.watch()
        _run(served, listener)


def _check_names(corpus: Sequence[Path], model: str | None, assist: str | None) -> None:
    """Refuse what is not there, before anything is loaded."""
    for folder in corpus:
        if parse_address(folder) is None:
            check_corpus(folder)
    if model:
        check_extractor_name(model)
    if assist:
        require_checkpoint(Path(assist))
    if corpus:
        front_end()


def _desk(assist: str, trust_package: tuple[str, ...], stack: ExitStack) -> Desk:
    """The assistant, which is closed with the stack."""
    from voxtile.assist import Assistant
    from voxtile.serve.assisting.desk import open_desk

    desk = open_desk(Assistant(assist, trust_package))
    stack.callback(desk.close)
    return desk


def _say(address: str, secret: str, current: CurrentCorpus | None, assists: bool) -> None:
    """Where it is served."""
    lines = []
    if current is not None:
        entry = f"http://{address}/" + (f"#token={secret}" if secret else "")
        lines.append(f"{len(current.explored.index):,} samples at {entry} (Ctrl-C ends)")
    if assists:
        key = f" with the token {secret}" if secret and current is None else ""
        lines.append(f"chats at http://{address}/v1{key}" + ("" if current else " (Ctrl-C ends)"))
    for line in lines:
        output().print(line, markup=False, highlight=False, soft_wrap=True)


def _run(served: FastAPI, listener: socket.socket) -> None:
    """Until it is told to end."""
    import uvicorn

    from voxtile.serve.slow_connections import PatientServer

    config = uvicorn.Config(
        served, log_level="warning", access_log=False, server_header=False,
        limit_concurrency=_MOST_AT_ONCE, timeout_keep_alive=15,
    )  # fmt: skip
    PatientServer(config).run(sockets=[listener])


def _token(host: str, given: str | None) -> str:
    """The token of the server; empty where none is needed."""
    if given is not None:
        return given
    return "" if _is_local(host) else new_token()


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _written(host: str) -> str:
    """As it stands in an address; of a server that listens everywhere, this machine's name."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _hosts(host: str, port: int) -> frozenset[str]:
    """Names by which the server may be called."""
    names = {*_LOCAL, _written(host), host} if not _is_local(host) else {*_LOCAL, _written(host)}
    if host in ("0.0.0.0", "::"):
        names |= {socket.getfqdn(), *_addresses()}
    names = {name.lower() for name in names}  # as browsers write them
    return frozenset(f"{name}:{port}" for name in names) | (frozenset(names) if port == 80 else frozenset())


def _addresses() -> set[str]:
    """Addresses of this machine, written as in an address of a page."""
    import psutil

    found = [a.address for nic in psutil.net_if_addrs().values() for a in nic]
    return {f"[{a.partition('%')[0]}]" if ":" in a else a for a in found}


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens; made here, so that a taken port is said in a sentence."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_MOST_AT_ONCE)  # before the address is printed: who comes early waits and is not refused
    except OSError as error:
        raise ConfigError(f"cannot listen at {host}:{port} ({error.strerror}); choose another with --port") from error
    return listener
