"""How much of a connection's bytes its reader has yet to read, as Linux sees it.

That TCP acknowledged bytes says that the system has them, not that the program took them. Of
another program's socket on this machine the system's own list of sockets says so (sock_diag(7)).
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import sys
import termios

__all__ = ["Unread"]

_SOCK_DIAG, _BY_FAMILY, _REQUEST, _ERROR = 4, 20, 1, 2
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_WANTED = struct.Struct("=BBBBI")  # the beginning of struct inet_diag_req_v2
_ANY_STATE, _ANY_COOKIE = 0xFFFF_FFFF, b"\xff" * 8
_QUEUED_AT = _HEADER.size + 4 + 48 + 4  # idiag_rqueue, behind the states, the names and a timer
_NUMBER = struct.Struct("=I")


class Unread:
    """What the other end of a connection has yet to read; both are on this machine, over IPv4.

    Args:
        sock: This end.
    """

    def __init__(self, sock: socket.socket) -> None:
        if sys.platform != "linux":
            raise NotImplementedError("only Linux says what another socket has yet to read")
        self._sock = sock
        self._request = _request_for(sock.getpeername(), sock.getsockname())
        self._asking = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
        self._asking.connect((0, 0))

    def __bool__(self) -> bool:
        """Say whether there is any; what the other end's system has yet to queue is some, too.

        Raises:
            OSError: If the other end is gone.
        """
        return self._on_its_way() > 0 or self._queued() > 0

    def _on_its_way(self) -> int:
        # A packet that comes while its reader is in `recv` is in no queue until that returns.
        answer = fcntl.ioctl(self._sock, termios.TIOCOUTQ, b"\0" * _NUMBER.size)
        return int(_NUMBER.unpack(answer)[0])

    def _queued(self) -> int:
        self._asking.send(self._request)
        answer = self._asking.recv(4096)
        if _HEADER.unpack_from(answer)[1] == _ERROR:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return int(_NUMBER.unpack_from(answer, _QUEUED_AT)[0])

    def close(self) -> None:
        """Ask no more."""
        self._asking.close()


def _request_for(theirs: tuple[str, int], ours: tuple[str, int]) -> bytes:
    """Ask for the socket whose own name is `theirs`."""
    ports = struct.pack("!HH", theirs[1], ours[1])
    addresses = (socket.inet_aton(name) + b"\0" * 12 for name, _ in (theirs, ours))
    names = ports + b"".join(addresses) + _NUMBER.pack(0) + _ANY_COOKIE  # 0: on any interface
    wanted = _WANTED.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _ANY_STATE) + names
    size = _HEADER.size + len(wanted)
    return _HEADER.pack(size, _BY_FAMILY, _REQUEST, 0, 0) + wanted
