"""The client that the options ask for: whom to trust, what to show, and which way to go."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import click

from resilient_sse._http.client import async_client_over, async_transport, default_async_client
from resilient_sse._values.library import AsyncClient, InvalidURL, create_ssl_context
from resilient_sse._values.redact import redact_url
from resilient_sse.cli._outcome import say
from resilient_sse.transports import AsyncioTransport

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["client_over", "trust"]


def trust(
    *, insecure: bool, ca: Path | None, cert: Path | None, key: Path | None
) -> ssl.SSLContext | None:
    """Make the TLS context; None if the usual one will do.

    Raises:
        click.UsageError: If a file is not what it should be.
    """
    if insecure:
        say("warning: --insecure: whoever is in between can read and change everything")
    if not insecure and ca is None and cert is None:
        return None
    context = create_ssl_context(verify=not insecure) if ca is None or insecure else _only(ca)
    if cert is not None:
        _show(context, cert, key)
    return context


def _only(ca: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise click.UsageError(f"--ca: {ca} holds no certificates in PEM: {error}") from error


def _show(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise click.UsageError(
            f"--cert: {cert} and its key ({key or 'in the same file'}) cannot be used: {error}"
        ) from error


def client_over(
    context: ssl.SSLContext | None, *, unix_socket: Path | None, proxy: str | None
) -> AsyncClient | None:
    """Make a client that goes this way; None if the usual one will do.

    Raises:
        click.UsageError: If the proxy cannot be used.
    """
    if unix_socket is not None:
        trusted = True if context is None else context
        return async_client_over(AsyncioTransport(verify=trusted, uds=str(unix_socket)))
    if proxy is not None:
        return _through(proxy, create_ssl_context() if context is None else context)
    return None if context is None else default_async_client(context)


def _through(proxy: str, context: ssl.SSLContext) -> AsyncClient:
    try:
        return async_client_over(async_transport(context, proxy))
    except (ValueError, ImportError, InvalidURL) as error:
        why = str(error).replace(proxy, redact_url(proxy))
        raise click.UsageError(f"--proxy: {redact_url(proxy)} cannot be used: {why}") from None
