"""Addresses of endpoints: what one looks like, and whether it is another machine's."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from voxtile.errors import ConfigError


def checked_base_url(base_url: str | None, *, with_key: bool) -> str:
    """The address without a trailing slash.

    Args:
        base_url: e.g. `http://127.0.0.1:8000/v1`.
        with_key: a key will be sent along.

    Raises:
        ConfigError: it is missing, no HTTP address, holds a password, or would carry the key unencrypted elsewhere.
    """
    if not base_url:
        raise ConfigError("the openai provider needs an address, e.g. --base-url http://127.0.0.1:8000/v1")
    try:
        parts = urlsplit(base_url)
        host, secret, _ = parts.hostname, parts.username or parts.password, parts.port
    except ValueError:
        host, secret = None, None
    if secret:
        raise ConfigError("--base-url holds a user name or password; give keys in the environment only")
    if host and parts.query:
        azure = "https://NAME.openai.azure.com/openai/v1 with the deployment as --model"
        before = base_url.split("?")[0]  # behind it may stand a key
        raise ConfigError(f"--base-url takes no '?' and what follows, as after '{before}'; of Azure it is {azure}")
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise ConfigError(f"--base-url must be like http://127.0.0.1:8000/v1, not '{base_url}'")
    if with_key and parts.scheme == "http" and is_remote(base_url):
        raise ConfigError(f"'{base_url}' would send the key unencrypted to another machine; use https or unset the key")
    return base_url.rstrip("/")


def is_remote(base_url: str) -> bool:
    """Whether the address is another machine's, so that what is sent leaves this one."""
    host = urlsplit(base_url).hostname or ""
    if host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True
