"""The HTTP of an event stream: which request is sent, where it may go, what may come back.

- `client`, `proxies`, `cookies`: the clients that a source makes for itself.
- `request`: what is asked for.
- `outgoing`: where it may go, with which credentials.
- `response`: what came back, and whether it is the stream.
- `refusal`: if it is not, or the client raised something, what to say of it.
- `retry_after`: when the server wants to be asked again.
- `body`, `inflate`, `watched`: how its bytes are read.
- `slot`: a source's place among the streams of its client.
- `multiplexed`, `aside`, `turns`, `shared_tls`, `disorder`: what is different over HTTP/2, where
  streams share a connection.

`request` to `retry_after` do no I/O: both drivers call them around their client's `send`. They use
only what httpx, httpx2 and httpxr have in common.
"""
