"""What to connect to, and how: the options that commands share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from resilient_sse._drivers.async_source import ReconnectingEventSource
from resilient_sse._values.header import TOKEN
from resilient_sse._values.library import URL, Headers, InvalidURL
from resilient_sse.cli._connection import client_over, trust
from resilient_sse.cli._dialects import DIALECTS, STANDARD
from resilient_sse.policies import ExponentialBackoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._session.dialect import Dialect
    from resilient_sse._values.library import AsyncClient

__all__ = ["Target", "reconnect_options", "request_options"]

CONNECT_TIMEOUT: Final = 10.0  # as a source has it

C = TypeVar("C", bound="Callable[..., Any]")


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
    cert: Path | None = None
    key: Path | None = None
    unix_socket: Path | None = None
    proxy: str | None = None
    connect_timeout: float = 10.0
    dialect: str | None = None
    attempts: int | None = None
    timeout: float | None = None
    idle_timeout: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be a request.

        Raises:
            click.UsageError: If there are two bodies or two ways, a key without a certificate, or
                the method is no word.
        """
        if self.data is not None and self.json is not None:
            raise click.UsageError("--data and --json are two bodies; give one of them")
        if self.unix_socket is not None and self.proxy is not None:
            raise click.UsageError("--unix-socket and --proxy are two ways; give one of them")
        if self.key is not None and self.cert is None:
            raise click.UsageError("--key is of no use without --cert, the certificate it is of")
        if not TOKEN.fullmatch(self.verb):
            raise click.UsageError(f"--method takes a word such as POST, not {self.method!r}")

    def client(self) -> AsyncClient | None:
        """Make the client that the options ask for; None if the usual one will do.

        Raises:
            click.UsageError: If a file is not what it should be, or the proxy cannot be used.
        """
        context = trust(insecure=self.insecure, ca=self.ca, cert=self.cert, key=self.key)
        return client_over(context, unix_socket=self.unix_socket, proxy=self.proxy)

    @property
    def spoken(self) -> Dialect:
        """How the server is read."""
        return STANDARD if self.dialect is None else DIALECTS[self.dialect]

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
            "connect_timeout": self.connect_timeout,
            "idle_timeout": self.idle_timeout or None,
            "dialect": self.spoken,
            "retry_unsafe": self.retry_unsafe,
        }
        if self.timeout:  # or an attempt that hangs would outlast it
            given["connect_timeout"] = min(CONNECT_TIMEOUT, self.timeout)
        try:
            URL(self.url)  # raises if it is none
            return ReconnectingEventSource(self.url, **given, **options)
        except (ValueError, InvalidURL) as error:
            raise click.UsageError(str(error)) from error

    @property
    def body(self) -> str | None:
        """The request's body."""
        return self.json if self.json is not None else self.data

    @property
    def verb(self) -> str:
        """The HTTP method."""
        return self.method or ("GET" if self.body is None else "POST")

    def headers(self) -> Headers:
        """Put the request's headers together; names are the same in any case.

        Raises:
            click.UsageError: If one of them is none, or the variable is not set.
        """
        headers = Headers([_header(line) for line in self.header])
        if self.json is not None:
            headers.setdefault("Content-Type", "application/json")
        if self.auth_env is not None:
            headers["Authorization"] = _authorization(self.auth_env)
        return headers


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not TOKEN.fullmatch(name.strip()):
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
    click.option(
        "--cert",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Show the server this certificate (PEM, with its key, or --key).",
    ),
    click.option(
        "--key", type=click.Path(path_type=Path), metavar="FILE", help="The key of --cert (PEM)."
    ),
    click.option(
        "--unix-socket",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Connect to this socket; the URL's host is only named.",
    ),
    click.option("--proxy", metavar="URL", help="Go through this proxy."),
    click.option(
        "--connect-timeout",
        type=click.FloatRange(0, min_open=True),
        default=10,
        metavar="SECONDS",
        help="Wait so long for a response's headers (default: 10).",
    ),
    click.option(
        "--dialect",
        type=click.Choice(list(DIALECTS), case_sensitive=False),
        metavar="NAME",
        help=f"How the server departs from the standard: {', '.join(DIALECTS)}.",
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
        help="Give up after so long without progress, and cut an attempt that takes longer "
        "(default: never).",
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
