"""The HTTP of an event stream: which request is sent, where it may go, what may come back.

- `_request`: what is asked for.
- `_sending`: where it may go, with which credentials.
- `_response`: what came back, and whether it is the stream.
- `_refusal`: if it is not, or the client raised something, what to say of it.
- `_retry_after`: when the server wants to be asked again.

No I/O and no state: both drivers call these functions around their client's `send`. They use only
what httpx, httpx2 and httpxr have in common.
"""
