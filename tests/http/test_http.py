"""The HTTP of a stream: what is sent, where it may go, what may come back. Nothing is sent here."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, cast

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_sse import ContentTypeError, CursorError, Dialect, StatusError
from resilient_sse._http.outgoing import OutgoingRequest, on_its_way, send_options
from resilient_sse._http.refusal import as_failure
from resilient_sse._http.request import Requests, build_request, set_read_timeout
from resilient_sse._http.response import encoding_of, headers_of, judge
from resilient_sse._http.retry_after import retry_after
from resilient_sse._session import classify as _classify
from resilient_sse._values.failure import FailureKind
from tests.support.http_libraries import LIBRARIES
from tests.support.session_settings import make_settings

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ASKED = httpx.Request("GET", "http://h/e")


def add_nothing(_headers: object) -> None:
    """Stand for a source's hooks."""


def build(client: Any = None, last_event_id: str = "", **keywords: Any) -> httpx.Request:
    """Build the request of an attempt."""
    settings = make_settings("http://h/e", **keywords)
    requests = Requests(client or httpx.AsyncClient(), settings, add_nothing)
    return cast("httpx.Request", requests.make(last_event_id, {}))


def respond(status: int = 200, **headers: Any) -> httpx.Response:
    """Make the response to a request."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, request=httpx.Request("GET", "http://h/e"))


def test_what_browsers_send() -> None:
    """The request asks for an event stream that no cache has kept."""
    request = build()

    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["cache-control"] == "no-cache"
    assert "last-event-id" not in request.headers
    assert request.method == "GET"


def test_the_cursor_is_sent_as_utf_8() -> None:
    """An id may be any text."""
    request = build(last_event_id="日本 é")

    assert (b"last-event-id", "日本 é".encode()) in request.headers.raw


def test_the_callers_headers_win() -> None:
    """Accept and Cache-Control of the caller, or of the caller's client, are kept."""
    headers = {"Accept": "text/event-stream;q=0.5", "cache-control": "no-store", "X-A": "b"}
    client = httpx.AsyncClient(headers=headers)

    for request in (build(headers=headers), build(client)):
        assert request.headers["accept"] == "text/event-stream;q=0.5"
        assert request.headers["cache-control"] == "no-store"
        assert request.headers["x-a"] == "b"
    assert headers == {"Accept": "text/event-stream;q=0.5", "cache-control": "no-store", "X-A": "b"}


@pytest.mark.parametrize("value", [b"\xe9", "é".encode()], ids=["latin-1", "utf-8"])
def test_bytes_of_a_header_are_sent_as_they_are(value: bytes) -> None:
    """Whatever their encoding, as httpx does."""
    assert (b"x-a", value) in build(headers={"X-A": value}).headers.raw


def test_the_callers_last_event_id_is_not_sent_for_ever() -> None:
    """It is the first cursor, and replaced by later ones."""
    headers = {"Last-Event-ID": "1"}

    assert build(headers=headers, last_event_id="2").headers["last-event-id"] == "2"


def test_a_decoder_asks_for_what_it_decodes() -> None:
    """The Accept header follows the decoder."""
    from resilient_sse import NDJSONDecoder  # noqa: PLC0415 - for this test alone

    assert build(decoder=NDJSONDecoder).headers["accept"] == "application/x-ndjson"


def test_bodies_are_those_of_httpx() -> None:
    """content, json, data and params mean what they mean in httpx."""
    assert (
        build(method="POST", json={"a": 1}).read()
        == httpx.Request("POST", "", json={"a": 1}).read()
    )
    assert build(method="POST", content="x").read() == b"x"
    assert build(method="POST", data={"a": "b"}).read() == b"a=b"
    assert str(build(params={"a": "b"}).url) == "http://h/e?a=b"


def test_timeouts_of_the_headers_phase() -> None:
    """Until the headers are there, every step has the connect timeout, or a little less."""
    timeout = build(connect_timeout=2.0).extensions["timeout"]

    assert timeout["read"] == timeout["write"] == 2.0
    assert 1.8 < timeout["connect"] == timeout["pool"] < 2.0


def test_set_read_timeout() -> None:
    """The body has a read timeout of its own, where the client knows timeouts."""
    response = respond()
    set_read_timeout(response, 5.0)
    assert "timeout" not in response.request.extensions

    response.request.extensions["timeout"] = {"read": 1.0}
    set_read_timeout(response, None)
    assert response.request.extensions["timeout"] == {"read": None}


# -- where it may go ---------------------------------------------------------------------------


def redirect(sent: str, location: str, *, hops: int = 0, **headers: Any) -> Any:
    """Judge a redirect of a request that was sent with these headers."""
    request = httpx.Request(
        "GET", sent, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    response = httpx.Response(307, headers={"location": location}, request=request)
    response.next_request = httpx.AsyncClient()._build_redirect_request(request, response)
    return judge(OutgoingRequest(request, trusted=True, hops=hops), response, Dialect())


SECRETS: dict[str, Any] = {
    "authorization": "Bearer s",
    "cookie": "a=b",
    "x_api_key": "k",
    "x_auth_token": "t",
    "x_amz_security_token": "t",
}


@pytest.mark.parametrize(
    "elsewhere",
    ["http://other/e", "http://h:81/e", "https://h/e", "//other/e", "http://sub.h/e"],
)
def test_credentials_stay_with_their_origin(elsewhere: str) -> None:
    """Scheme, host and port make the origin; another one gets no secret."""
    hop = redirect("http://h/e", elsewhere, x_tenant="7", **SECRETS)

    assert not hop.trusted
    assert hop.request.headers["x-tenant"] == "7"
    assert not [name for name in hop.request.headers if name.replace("-", "_") in SECRETS]
    assert send_options(("u", "p"), hop)["auth"] is None


@pytest.mark.parametrize("here", ["http://h/other", "/other", "http://h:80/e", "?a=b"])
def test_credentials_follow_within_the_origin(here: str) -> None:
    """A redirect to the same origin keeps what was sent."""
    hop = redirect("http://h/e", here, authorization="Bearer s")

    assert hop.trusted
    assert hop.request.headers["authorization"] == "Bearer s"
    assert send_options(("u", "p"), hop)["auth"] == ("u", "p")
    assert "auth" not in send_options(None, hop)


def test_https_is_never_left() -> None:
    """A redirect from https to http is refused, whatever the host."""
    refusal = redirect("https://h/e", "http://h/e?token=secret")

    assert refusal.kind is StatusError
    assert refusal.message == "refused to follow the redirect from https to http://h/e?token=***"


def test_redirects_come_to_an_end() -> None:
    """Twenty in a row, as in browsers."""
    assert redirect("http://h/e", "/e", hops=19).hops == 20
    assert redirect("http://h/e", "/e", hops=20).message == "more than 20 redirects in a row"


def test_prepare_request_may_move_to_another_host() -> None:
    """What it sets itself goes along; what the source had set for its own origin does not."""
    settings = make_settings("http://h/e")
    request = httpx.Request("GET", "http://other/e", headers={"authorization": "a", "x-key": "new"})

    sending = on_its_way(settings, {"authorization": "a", "x-key": "old"}, request)

    assert not sending.trusted
    assert "authorization" not in request.headers
    assert request.headers["x-key"] == "new"


def test_prepare_request_may_stay() -> None:
    """On the source's own origin nothing is taken away."""
    request = httpx.Request("GET", "http://h/other", headers={"authorization": "a"})

    sending = on_its_way(make_settings("http://h/e"), {"authorization": "a"}, request)

    assert sending.trusted
    assert request.headers["authorization"] == "a"


# -- what may come back ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    ["text/event-stream", "Text/Event-Stream", "text/event-stream ; charset=iso-8859-1"],
)
def test_event_streams_are_accepted(content_type: str) -> None:
    """Any case, parameters ignored."""
    response = respond(content_type=content_type)

    assert judge(OutgoingRequest(ASKED, True), response, Dialect()) is None


@pytest.mark.parametrize(
    "content_type", ["text/html", "text/event-stream-not", "x-text/event-stream", ""]
)
def test_other_content_types_are_refused(content_type: str) -> None:
    """No substring will do."""
    response = respond(content_type=content_type) if content_type else respond()
    refusal: Any = judge(OutgoingRequest(ASKED, True), response, Dialect())
    error = refusal.error(response, b"<html>")

    assert isinstance(error, ContentTypeError)
    assert (error.response, error.status_code, error.body) == (response, 200, b"<html>")
    assert "expected content type 'text/event-stream'" in str(error)


@pytest.mark.parametrize("status", [201, 206, 304, 400, 401, 404, 500, 503])
def test_other_statuses_are_refused(status: int) -> None:
    """Only a 200 is a stream."""
    response = respond(status, content_type="text/event-stream", retry_after="7")
    refusal: Any = judge(OutgoingRequest(ASKED, True), response, Dialect())
    error = refusal.error(response, b"")

    assert isinstance(error, StatusError)
    assert str(error).startswith(f"the server answered {status}")
    assert error.retry_after == 7.0


class MadeByItsClient:
    """A response of a client whose responses nobody else can make."""

    status_code = 200
    next_request = None

    def __init__(self) -> None:
        about = {"content-type": "text/event-stream", "content-encoding": "br"}
        self.headers = httpx.Headers(about)


@pytest.mark.parametrize("accepted", ["br", "gzip"])
def test_a_client_that_cannot_be_tried_is_trusted(accepted: str) -> None:
    """With a coding that the caller asked for, and with no other."""
    request = httpx.Request("GET", "http://h/e", headers={"accept-encoding": accepted})
    response: Any = MadeByItsClient()
    verdict = judge(OutgoingRequest(request, trusted=True), response, Dialect())

    assert (verdict is None) == (accepted == "br")


def test_no_content_is_agreement() -> None:
    """A 204 is the server's word that there is no more to come; the session takes it from there."""
    assert judge(OutgoingRequest(ASKED, True), respond(204), Dialect()) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "1" * 400}, float("1" * 15)),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Saturday, 21-Nov-26 12:00:30 GMT"}, 30.0),
        (
            {
                "retry-after": "Sat, 21 Nov 2026 14:00:09 GMT",
                "date": "Sat, 21 Nov 2026 14:00:00 GMT",
            },
            9.0,
        ),
        ({"retry-after": "Sat, 21 Nov 99999 12:00:30 GMT"}, None),
    ],
    ids=str,
)
def test_retry_after_in_both_forms(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds or a date; a date is compared with the server's own clock if it tells it."""
    assert retry_after(headers, NOW.timestamp()) == seconds


@given(st.text(max_size=30))
def test_retry_after_never_raises(value: str) -> None:
    """Whatever a server sends, it is seconds or nothing."""
    seconds = retry_after({"retry-after": value}, NOW.timestamp())

    assert seconds is None or seconds >= 0


@given(st.integers(0, 10**7))
def test_retry_after_dates(seconds: int) -> None:
    """Every date that the standard's own form can write is understood."""
    then = datetime.fromtimestamp(NOW.timestamp() + seconds, UTC)

    headers = {"retry-after": format_datetime(then, usegmt=True)}

    assert retry_after(headers, NOW.timestamp()) == seconds


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_a_date_without_a_zone_means_utc(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The asctime form of old servers, wherever this machine is."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        seconds = retry_after({"retry-after": "Sat Nov 21 12:00:30 2026"}, NOW.timestamp())
    finally:
        monkeypatch.undo()
        time.tzset()

    assert seconds == 30.0


def test_headers_for_hooks_have_no_cookies() -> None:
    """A session cookie in a log would be a secret in a log."""
    headers = headers_of(respond(set_cookie="session=secret", server="x"))

    assert headers["Set-Cookie"] == "***"
    assert headers["Server"] == "x"


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        (None, ""),
        ("Identity", ""),
        ("", ""),
        ("none", ""),
        ("utf-8", ""),
        (" GZip", "gzip"),
        ("identity, gzip", "gzip"),
        ("gzip, br", "gzip, br"),
    ],
)
def test_encoding_of(header: str | None, encoding: str) -> None:
    """Raw bytes are the stream unless a content encoding says otherwise."""
    headers: dict[str, Any] = {} if header is None else {"content_encoding": header}
    assert encoding_of(respond(**headers)) == encoding


# -- exceptions --------------------------------------------------------------------------------


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_raise_for_status_in_a_callers_hook_is_a_status(library: Any) -> None:
    """It becomes a StatusError, without the library's as its cause: that one shows the URL."""
    request = library.Request("GET", "http://h/e")
    response = library.Response(503, headers={"retry-after": "3"}, request=request)
    with pytest.raises(library.HTTPStatusError) as raised:
        response.raise_for_status()

    error = as_failure(raised.value)

    assert isinstance(error, StatusError)
    assert (error.status_code, error.retry_after, error.__cause__) == (503, 3.0, None)


def test_other_exceptions_stay_as_they_are() -> None:
    """Only HTTPStatusError is translated."""
    for error in (httpx.ReadError("x"), httpx.ConnectTimeout("took 3 s"), httpx.ReadTimeout("")):
        assert as_failure(error) is error


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
@pytest.mark.parametrize(
    "message", ["", "Cancelled via cancel scope 7f", "cancelled due to deadline"]
)
def test_a_timeout_without_a_word_is_explained(library: Any, message: str) -> None:
    """A full pool is named as such: nobody would find it by what a cancel scope says."""
    full, slow = library.PoolTimeout(message), library.ConnectTimeout(message)

    told = as_failure(full)

    assert type(told) is type(full)
    assert "max_connections" in str(told)
    assert told.__cause__ is full
    assert "in time" in str(as_failure(slow))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        *((library.ConnectError("x"), FailureKind.CONNECT) for library in LIBRARIES.values()),
        (httpx.ProxyError("x"), FailureKind.CONNECT),
        (httpx.PoolTimeout("x"), FailureKind.TIMEOUT),
        (httpx2.ReadError("x"), FailureKind.TRANSPORT),
        (httpx.DecodingError("x"), FailureKind.TRANSPORT),
        (httpx.UnsupportedProtocol("x"), FailureKind.TRANSPORT),
        (httpx.TooManyRedirects("x"), FailureKind.STATUS),
        (ConnectionResetError("x"), FailureKind.TRANSPORT),
        (TimeoutError("x"), FailureKind.TIMEOUT),
        (httpx.InvalidURL("x"), FailureKind.TRANSPORT),
        (httpx.StreamConsumed(), None),
        (ValueError("x"), None),
        (CursorError("x", key="k"), None),
        (KeyboardInterrupt(), None),
    ],
    ids=repr,
)
def test_kinds_of_exceptions(error: BaseException, kind: FailureKind | None) -> None:
    """Each exception is a kind of failure, or none at all."""
    verdict = _classify.classify(error)

    assert (verdict and verdict.kind) == kind


def test_a_subclass_of_the_callers_is_what_it_derives_from() -> None:
    """A transport of the caller's may raise an exception of its own."""

    class Mine(httpx.ReadError):
        """A caller's own."""

    verdict = _classify.classify(Mine("x"))

    assert verdict is not None
    assert verdict.kind is FailureKind.TRANSPORT


def sent(request: Any) -> tuple[Any, ...]:
    """Return all that goes over the wire, and the time limits."""
    return (
        request.method,
        str(request.url),
        request.headers.raw,
        request.content,
        request.extensions,
    )


def change_client_headers(client: Any, _headers: dict[str, str]) -> None:
    """Renew a token on the client."""
    client.headers["Authorization"] = "Bearer new"


def change_headers(_client: Any, headers: dict[str, str]) -> None:
    """Renew a token in the source's own headers."""
    headers["X-Token"] = "new"


def change_params(client: Any, _headers: dict[str, str]) -> None:
    """Have the client add to every URL."""
    client.params = {"a": "b"}


def change_cookies(client: Any, _headers: dict[str, str]) -> None:
    """Have a cookie sent from now on."""
    client.cookies.set("session", "1", domain="h.example")


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize(
    "change", [change_client_headers, change_headers, change_params, change_cookies]
)
@pytest.mark.parametrize(
    "keywords", [{}, {"method": "POST", "content": "é"}, {"method": "POST", "json": {"a": 1}}]
)
def test_every_attempt_sends_what_a_fresh_build_would(
    library: Any, change: Any, keywords: dict[str, Any]
) -> None:
    """Byte for byte, whatever the cursor, and whatever the program changes meanwhile."""
    headers = {"X-Token": "old", "last-event-id": "first"}
    client = library.Client(headers={"Last-Event-ID": "of the client"})
    settings = make_settings("http://h.example/e?q=%20", headers=headers, **keywords)
    requests = Requests(client, settings, add_nothing)

    for number, cursor in enumerate(["", "1", " 2 ", "日本", " ", "", "3"]):
        if number == 4:
            change(client, headers)
        made, fresh = requests.make(cursor, {"x": number}), build_request(client, settings, cursor)
        fresh.extensions["x"] = number
        assert sent(made) == sent(fresh)
        assert isinstance(made, library.Request)
        made.headers["x-of-a-hook"] = "1"
        made.extensions["timeout"]["read"] = None


@pytest.mark.parametrize("headers", [None, [("A", "1"), ("a", "2")], httpx.Headers({"A": "1"})])
def test_no_request_is_made_of_two_attempts(headers: Any) -> None:
    """What one attempt's transport or hook does to its request is no other's."""
    settings = make_settings("http://h/e", headers=headers)
    requests = Requests(httpx.Client(), settings, add_nothing)
    first, second = requests.make("1", {}), requests.make("2", {})

    assert first is not second
    assert first.headers["last-event-id"] == "1"
    assert sent(second) == sent(build_request(requests.client, requests.settings, "2"))


def test_a_client_that_builds_as_it_likes_is_asked_every_time() -> None:
    """A subclass, or a method put into the place of its own, may do anything."""

    class Counting(httpx.Client):
        built = 0

        def build_request(self, *args: Any, **keywords: Any) -> httpx.Request:
            self.built += 1
            return super().build_request(*args, **keywords)

    counting, patched, asked = Counting(), httpx.Client(), list[str]()
    build = patched.build_request

    def build_and_note(method: str, *args: Any, **keywords: Any) -> httpx.Request:
        asked.append(method)
        return build(method, *args, **keywords)

    vars(patched)["build_request"] = build_and_note
    for client in (counting, patched):
        requests = Requests(client, make_settings("http://h/e"), add_nothing)
        requests.make("1", {})
        requests.make("2", {})
        client.close()

    assert counting.built == len(asked) == 2
