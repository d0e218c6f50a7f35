"""What runs inside a private network namespace: a server, three consumers and a fault.

Run as ``python -m tests.network.laboratory FAULT`` inside the namespace; the last line it prints
is its findings as JSON. All three runtimes go through the same fault at the same time.
"""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import stamina.instrumentation

from resilient_sse import Connected, ExponentialBackoff, FailureKind
from resilient_sse._values.redact import explain
from tests.support.consumers import RUNTIMES, Consumer
from tests.support.files import EXPIRED_PEM, PEM, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

PORT: Final = 8080
TESTS: Final = ROOT
VALID, EXPIRED = PEM, EXPIRED_PEM
IDLE_TIMEOUT: Final = 0.6
CONNECT_TIMEOUT: Final = 0.5
LONGEST_WAIT: Final = 0.4
_OPTIONS: Final[dict[str, Any]] = {
    "policy": ExponentialBackoff(wait_initial=0.1, wait_max=0.2),
    "idle_timeout": IDLE_TIMEOUT,
    "connect_timeout": CONNECT_TIMEOUT,
}


class Laboratory:
    """The server and the consumers of one experiment."""

    def __init__(self, folder: Path) -> None:
        self.epoch = str(time.time() - 1)
        self.consumers: list[Consumer] = []
        self.server: subprocess.Popen[str] | None = None
        self.hosts = folder / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n", encoding="ascii")
        resolver = folder / "resolv.conf"
        resolver.write_text(
            "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", encoding="ascii"
        )
        run(f"mount --bind {self.hosts} /etc/hosts")
        run(f"mount --bind {resolver} /etc/resolv.conf")

    def start(self, *options: str) -> float:
        """Start the server; say when it was up."""
        command = [sys.executable, "-m", "tests.support.ticks", str(PORT), self.epoch, *options]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.server.stdout is not None
        assert self.server.stdout.readline() == "ready\n"
        return time.monotonic()

    def signal(self, number: signal.Signals) -> float:
        """Send the server a signal; say when."""
        assert self.server is not None
        self.server.send_signal(number)
        return time.monotonic()

    def kill(self) -> float:
        """End the server as the system does when it is out of memory."""
        when = self.signal(signal.SIGKILL)
        assert self.server is not None
        self.server.communicate()
        return when

    def until_all_saw(self, kind: FailureKind, text: str = "") -> None:
        """Wait until every consumer has had such a failure."""
        deadline = time.monotonic() + 15
        for consumer in self.consumers:
            while not any(
                failure.kind is kind and text in explain(failure.error)
                for failure in consumer.failures
            ):
                assert time.monotonic() < deadline, (consumer.runtime, consumer.failures)
                time.sleep(0.01)

    def drop_packets(self) -> float:
        """Have the packets of the open connections, and only those, vanish both ways."""
        table = run(f"ss -tnH state established dport = :{PORT}")
        for line in table.splitlines():
            port = line.split()[2].rpartition(":")[2]
            run(f"iptables -A INPUT -p tcp --sport {PORT} --dport {port} -j DROP")
            run(f"iptables -A INPUT -p tcp --dport {PORT} --sport {port} -j DROP")
        assert len(table.splitlines()) == len(self.consumers)
        return time.monotonic()


def run(command: str) -> str:
    """Run a command and return what it prints."""
    return subprocess.run(command.split(), check=True, stdout=subprocess.PIPE, text=True).stdout


# -- The faults: each returns the moment from which it counts how long it takes ----------------


def packets_dropped_idle(lab: Laboratory) -> float:
    """Packets vanish without a word; the idle timeout finds it."""
    return lab.drop_packets()


def packets_dropped_keepalive(lab: Laboratory) -> float:
    """Packets vanish without a word; TCP keepalive finds it, there is no idle timeout."""
    return lab.drop_packets()


def sockets_killed(_lab: Laboratory) -> float:
    """The client's system aborts its sockets."""
    run(f"ss -K dst 127.0.0.1 dport = :{PORT}")
    return time.monotonic()


def link_down(_lab: Laboratory) -> float:
    """The network interface goes down for a second and a half."""
    run("ip link set lo down")
    time.sleep(1.5)
    run("ip link set lo up")
    return time.monotonic()


def server_stopped(lab: Laboratory) -> float:
    """The server's process is stopped (SIGSTOP) and goes on later."""
    lab.signal(signal.SIGSTOP)
    lab.until_all_saw(FailureKind.IDLE)
    lab.until_all_saw(FailureKind.TIMEOUT)
    return lab.signal(signal.SIGCONT)


def server_killed(lab: Laboratory) -> float:
    """The server's process is killed (SIGKILL) and another one is started at once."""
    lab.kill()
    return lab.start()


def port_refused(lab: Laboratory) -> float:
    """Nobody listens for a while."""
    lab.kill()
    lab.until_all_saw(FailureKind.CONNECT)
    time.sleep(0.5)
    return lab.start()


def slow_loris(lab: Laboratory) -> float:
    """For a while the server sends its headers one byte at a time, and never the last."""
    lab.kill()
    lab.start("--slow-loris")
    lab.until_all_saw(FailureKind.TIMEOUT)
    lab.kill()
    return lab.start()


def byte_at_a_time(lab: Laboratory) -> float:
    """The server comes back and sends every byte as a chunk of its own."""
    lab.kill()
    return lab.start("--chunk-size", "1")


def certificate_expired(lab: Laboratory) -> float:
    """The server comes back with a certificate that has expired, and later with a valid one."""
    lab.kill()
    lab.start("--pem", str(EXPIRED))
    lab.until_all_saw(FailureKind.CONNECT, "certificate has expired")
    lab.kill()
    return lab.start("--pem", str(VALID))


def name_unknown(lab: Laboratory) -> float:
    """The server's name cannot be resolved for a while."""
    known = lab.hosts.read_text(encoding="ascii")
    lab.hosts.write_text("127.0.0.1 localhost\n", encoding="ascii")
    lab.kill()
    lab.start()
    lab.until_all_saw(FailureKind.CONNECT, "ame ")  # "Name or service", "name resolution"
    time.sleep(0.5)
    lab.hosts.write_text(known, encoding="ascii")
    return time.monotonic()


FAULTS: Final[dict[str, Callable[[Laboratory], float]]] = {
    fault.__name__: fault
    for fault in (
        packets_dropped_idle,
        packets_dropped_keepalive,
        sockets_killed,
        link_down,
        server_stopped,
        server_killed,
        port_refused,
        slow_loris,
        byte_at_a_time,
        certificate_expired,
        name_unknown,
    )
}


# -- The experiment ----------------------------------------------------------------------------


def impatient_keepalive(asynchronous: bool) -> Any:
    """A client whose keepalive finds a dead peer in three seconds: one, and two probes."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)] + [
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 1), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 2))
    ]
    if asynchronous:
        return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(socket_options=options))
    return httpx.Client(transport=httpx.HTTPTransport(socket_options=options))


def trusting(asynchronous: bool) -> Any:
    """A client that trusts both certificates, as far as their dates go."""
    context = ssl.create_default_context(cafile=str(VALID))
    context.load_verify_locations(EXPIRED)
    kind: Any = httpx.AsyncClient if asynchronous else httpx.Client
    return kind(verify=context)


def experiment(name: str, lab: Laboratory) -> dict[str, Any]:
    """Let the events flow, do it, and see how long until they flow again."""
    options, url = dict(_OPTIONS), f"http://127.0.0.1:{PORT}/ticks"
    server: tuple[str, ...] = ()
    if name == "packets_dropped_keepalive":
        options |= {"idle_timeout": None, "client": impatient_keepalive}
    elif name == "certificate_expired":
        options["client"], url = trusting, f"https://localhost:{PORT}/ticks"
        server = ("--pem", str(VALID))
    elif name == "name_unknown":
        url = f"http://sse.test:{PORT}/ticks"
        lab.hosts.write_text("127.0.0.1 localhost sse.test\n", encoding="ascii")
    lab.start(*server)
    with ExitStack() as stack:
        stack.callback(lab.kill)
        for runtime in RUNTIMES:
            lab.consumers.append(stack.enter_context(Consumer(runtime, url, **options)))
        for consumer in lab.consumers:
            consumer.wait_for(5)
        began = time.monotonic()
        moment = FAULTS[name](lab)
        return {consumer.runtime: findings(consumer, began, moment) for consumer in lab.consumers}


def findings(consumer: Consumer, began: float, moment: float) -> dict[str, Any]:
    """Wait for the events of a new connection, and check that none is lost or came twice."""
    deadline = time.monotonic() + 20
    while not (again := [when for when in reconnections(consumer) if when > began]):
        assert time.monotonic() < deadline, (consumer.runtime, consumer.failures)
        time.sleep(0.005)
    consumer.wait_for_event_after(again[-1])
    consumer.wait_for(len(consumer.events) + 5)
    numbers = [int(event.id) for event in consumer.events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), numbers
    flowing = next(when for when in consumer.times if when > again[0])
    return {
        "seconds": round(flowing - moment, 3),
        "failures": [str(failure.kind) for failure in consumer.failures],
        "story": explain(consumer.failures[0].error),
    }


def reconnections(consumer: Consumer) -> list[float]:
    """When the consumer's connections were made."""
    told = list(zip(consumer.recorder.events, consumer.heard, strict=False))
    return [when for event, when in told if isinstance(event, Connected)]


def main() -> None:
    """Do one experiment."""
    stamina.instrumentation.set_on_retry_hooks([])
    run("ip link set lo up")
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = experiment(sys.argv[1], Laboratory(Path(folder)))
        finally:
            run("umount /etc/hosts /etc/resolv.conf")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
