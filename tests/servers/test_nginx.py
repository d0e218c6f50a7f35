"""nginx with nchan: a pub/sub server that is reloaded while its publisher goes on."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from resilient_sse import ExponentialBackoff
from tests.consumers import RUNTIMES, Consumer
from tests.servers.processes import free_port, running

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
REDIS = shutil.which("redis-server")
MODULE = next(iter(Path("/usr").glob("lib*/nginx/modules/ngx_nchan_module.so")), None)
CONFIG = """\
load_module {module};
{user}
daemon off;
worker_processes 2;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream store {{
        nchan_redis_server redis://127.0.0.1:{redis};
    }}
    server {{
        listen 127.0.0.1:{port};
        location = /events {{
            nchan_subscriber eventsource;
            nchan_channel_id test;
            nchan_subscriber_first_message oldest;
            nchan_redis_pass store;
            nchan_eventsource_ping_interval 1;
        }}
        location = /publish {{
            nchan_publisher;
            nchan_channel_id test;
            nchan_message_buffer_length 10000;
            nchan_message_timeout 5m;
            nchan_redis_pass store;
        }}
    }}
}}
"""
EVENTS, RELOADS = 400, 3

pytestmark = pytest.mark.skipif(
    NGINX is None or MODULE is None or REDIS is None,
    reason="nginx with nchan, or redis-server, is not installed",
)


class Publisher(threading.Thread):
    """Publishes numbers, in order, one every five milliseconds, and at last an end.

    A worker that is being replaced may answer 500 to a message that it has stored, or has not.

    Attributes:
        accepted: What the server promised to deliver.
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self.accepted = list[str]()
        self._port = port

    def run(self) -> None:
        for number in range(1, EVENTS + 1):
            if self._publish(str(number)):
                self.accepted.append(str(number))
            time.sleep(0.005)
        while not self._publish("end"):
            time.sleep(0.1)

    def _publish(self, text: str) -> bool:
        """Publish on a connection of its own; say whether it was accepted."""
        connection = HTTPConnection("127.0.0.1", self._port)
        try:
            connection.request("POST", "/publish", body=text, headers={"Connection": "close"})
            return connection.getresponse().status in {201, 202}
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


def config(folder: Path, port: int, redis: int) -> Path:
    """Write nginx's configuration."""
    user = "user root;" if os.geteuid() == 0 else ""
    text = CONFIG.format(module=MODULE, user=user, folder=folder, port=port, redis=redis)
    path = folder / "nginx.conf"
    path.write_text(text, encoding="ascii")
    return path


@pytest.mark.timeout(60)
def test_no_event_is_lost_when_nginx_is_reloaded(tmp_path: Path) -> None:
    """Every worker is replaced three times; each runtime gets what was published, once, in order.

    The messages are in Redis: what a worker has in its own memory is gone when it is replaced.
    """
    port, redis = free_port(), free_port()
    store = [str(REDIS), "--port", str(redis), "--save", "", "--dir", str(tmp_path)]
    command = [str(NGINX), "-p", str(tmp_path), "-e", str(tmp_path / "error.log")]
    command += ["-c", str(config(tmp_path, port, redis))]
    policy = ExponentialBackoff(wait_initial=0.02, wait_max=0.1)
    url = f"http://127.0.0.1:{port}/events"
    with ExitStack() as stack:
        stack.enter_context(running(store, redis, tmp_path / "redis.log"))
        nginx = stack.enter_context(running(command, port, tmp_path / "log"))
        consumers = [
            stack.enter_context(
                Consumer(runtime, url, policy=policy, until=lambda event: event.data == "end")
            )
            for runtime in RUNTIMES
        ]
        publisher = Publisher(port)
        publisher.start()
        stack.callback(publisher.join)
        for reload in range(1, RELOADS + 1):
            for consumer in consumers:
                consumer.wait_for(reload * EVENTS // (RELOADS + 2))
            nginx.send_signal(signal.SIGHUP)
        for consumer in consumers:
            consumer.join()

    for consumer in consumers:
        numbers = [int(text) for text in dict.fromkeys(consumer.data) if text != "end"]
        assert numbers == sorted(numbers)
        assert len(numbers) == len([text for text in consumer.data if text != "end"])
        assert set(publisher.accepted) <= set(consumer.data)
        assert len(consumer.failures) >= RELOADS
    assert len(publisher.accepted) > EVENTS * 0.9
