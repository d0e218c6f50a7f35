"""What to connect to, and how: the options that commands share."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import httpx

from resilient_sse._async_source import ReconnectingEventSource
from resilient_sse.cli._outcome import say
from resilient_sse.policies import ExponentialBackoff

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Target", "reconnect_options", "request_options"]

C = TypeVar("C", bound="Callable[..., Any]")

# What a method and the name of a header are made of (RFC 9110 5.6.2).
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, kw_only=True)
class Target:
    """The options of a connection, as they stood on the command line."""

    url: str
    header: tuple[str, ...]
    auth_env: str | None
    method: str | None
    data: str | None
    json: str | None
    last_event_id: str
    retry_unsafe: bool
    insecure: bool
    ca: Path | None
    attempts: int | None = None
    timeout: float | None = None
    idle_timeout: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be a request.

        Raises:
            click.UsageError: If there are two bodies, or the method is no word.
        """
        if self.data is not None and self.json is not None:
            raise click.UsageError("--data and --json are two bodies; give one of them")
        if not _TOKEN.fullmatch(self.verb):
            raise click.UsageError(f"--method takes a word such as POST, not {self.method!r}")

    def client(self) -> httpx.AsyncClient | None:
        """Make the client that the TLS options ask for; None if the usual one will do."""
        if self.insecure:
            say("warning: --insecure: whoever is in between can read and change everything")
            return self._client(verify=False)
        if self.ca is not None:
            return self._client(verify=self._context(self.ca))
        return None

    @staticmethod
    def _client(*, verify: ssl.SSLContext | bool) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        return httpx.AsyncClient(verify=verify, limits=limits)

    @staticmethod
    def _context(ca: Path) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise click.UsageError(f"--ca: {ca} holds no certificates in PEM: {error}") from error

    def source(self, **options: Any) -> ReconnectingEventSource:  # noqa: ANN401 - as in the source
        """Make the source.

        Args:
            options: More keywords of a source.

        Raises:
            click.UsageError: If the options make no sense.
        """
        given: dict[str, Any] = {
            "method": self.verb,
            "headers": self.headers(),
            "content": self.body,
            "last_event_id": self.last_event_id,
            "policy": ExponentialBackoff(attempts=self.attempts, timeout=self.timeout),
            "idle_timeout": self.idle_timeout or None,
            "retry_unsafe": self.retry_unsafe,
        }
        try:
            httpx.URL(self.url)  # raises if it is none
            return ReconnectingEventSource(self.url, **given, **options)
        except (ValueError, httpx.InvalidURL) as error:
            raise click.UsageError(str(error)) from error

    @property
    def body(self) -> str | None:
        """The request's body."""
        return self.json if self.json is not None else self.data

    @property
    def verb(self) -> str:
        """The HTTP method."""
        return self.method or ("GET" if self.body is None else "POST")

    def headers(self) -> httpx.Headers:
        """Put the request's headers together; names are the same in any case.

        Raises:
            click.UsageError: If one of them is none, or the variable is not set.
        """
        headers = httpx.Headers([_header(line) for line in self.header])
        if self.json is not None:
            headers.setdefault("Content-Type", "application/json")
        if self.auth_env is not None:
            headers["Authorization"] = _authorization(self.auth_env)
        return headers


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not _TOKEN.fullmatch(name.strip()):
        raise click.UsageError(f"-H takes 'Name: value', not {line!r}")
    if not line.isascii() or not line.isprintable():
        raise click.UsageError(f"-H takes printable ASCII, not {line!r}; encode the value")
    return name.strip(), value.strip()


def _authorization(variable: str) -> str:
    value = os.environ.get(variable, "").strip()
    if not value:
        raise click.UsageError(f"--auth-env: the environment has no variable {variable}; set it")
    # "Basic dXNlcg==" has its scheme; a bare token does not.
    return value if " " in value else f"Bearer {value}"


_REQUEST_OPTIONS = (
    click.argument("url"),
    click.option("-H", "--header", multiple=True, metavar="'NAME: VALUE'", help="Send a header."),
    click.option(
        "--auth-env",
        metavar="VAR",
        help="Send the token in this environment variable as Authorization.",
    ),
    click.option(
        "--method", metavar="METHOD", help="The HTTP method (default: GET, or POST with a body)."
    ),
    click.option("--data", metavar="TEXT", help="Send a body."),
    click.option("--json", metavar="JSON", help="Send a body with the content type of JSON."),
    click.option("--last-event-id", default="", metavar="ID", help="Go on after this event."),
    click.option("--retry-unsafe", is_flag=True, help="Repeat a POST even without an event id."),
    click.option("--insecure", is_flag=True, help="Do not check the server's certificate."),
    click.option(
        "--ca",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Trust the certificates in this PEM file only.",
    ),
)
_RECONNECT_OPTIONS = (
    click.option(
        "--attempts",
        type=click.IntRange(1),
        metavar="N",
        help="Give up after so many failures without progress (default: never).",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(0),
        metavar="SECONDS",
        help="Give up after so long without progress (default: never).",
    ),
    click.option(
        "--idle-timeout",
        type=click.FloatRange(0),
        default=300,
        metavar="SECONDS",
        help="Reconnect after so long without a byte; 0: never (default: 300).",
    ),
)


def request_options(command: C) -> C:
    """Give a command the options of a request."""
    for option in reversed(_REQUEST_OPTIONS):
        command = option(command)
    return command


def reconnect_options(command: C) -> C:
    """Give a command the options of a stream that is read over many connections."""
    for option in reversed(_RECONNECT_OPTIONS):
        command = option(command)
    return command
