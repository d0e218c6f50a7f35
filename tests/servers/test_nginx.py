"""nginx with nchan: a pub/sub server that is reloaded while its publisher goes on."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest

from resilient_sse import ExponentialBackoff
from tests.consumers import RUNTIMES, Consumer
from tests.servers.processes import free_port, running

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
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
    server {{
        listen 127.0.0.1:{port};
        location = /events {{
            nchan_subscriber eventsource;
            nchan_channel_id test;
            nchan_subscriber_first_message oldest;
            nchan_eventsource_ping_interval 1;
        }}
        location = /publish {{
            nchan_publisher;
            nchan_channel_id test;
            nchan_message_buffer_length 10000;
            nchan_message_timeout 5m;
        }}
    }}
}}
"""
EVENTS, RELOADS = 400, 3

pytestmark = pytest.mark.skipif(
    NGINX is None or MODULE is None, reason="nginx with nchan is not installed"
)


def publish(port: int, failures: list[str]) -> None:
    """Publish the numbers, in order, on a connection each, one every five milliseconds."""
    for number in range(1, EVENTS + 1):
        connection = HTTPConnection("127.0.0.1", port)
        connection.request("POST", "/publish", body=str(number), headers={"Connection": "close"})
        answer = connection.getresponse()
        if answer.status not in {201, 202}:
            failures.append(f"{number}: {answer.status}")
        connection.close()
        time.sleep(0.005)


@pytest.mark.timeout(60)
def test_no_event_is_lost_when_nginx_is_reloaded(tmp_path: Path) -> None:
    """Every worker is replaced three times; each runtime gets what was published, once, in order."""
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    text = CONFIG.format(module=MODULE, user=user, folder=tmp_path, port=port)
    (tmp_path / "nginx.conf").write_text(text, encoding="ascii")
    command = [str(NGINX), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    command += ["-e", str(tmp_path / "error.log")]
    policy = ExponentialBackoff(wait_initial=0.02, wait_max=0.1)
    failures = list[str]()
    with ExitStack() as stack:
        nginx = stack.enter_context(running(command, port, tmp_path / "log"))
        consumers = [
            stack.enter_context(Consumer(runtime, f"http://127.0.0.1:{port}/events", policy=policy))
            for runtime in RUNTIMES
        ]
        publisher = threading.Thread(target=publish, args=(port, failures))
        publisher.start()
        stack.callback(publisher.join)
        for reload in range(RELOADS):
            for consumer in consumers:
                consumer.wait_for((reload + 1) * EVENTS // (RELOADS + 2))
            nginx.send_signal(signal.SIGHUP)
        for consumer in consumers:
            consumer.wait_for(EVENTS)

    assert failures == []
    for consumer in consumers:
        assert consumer.data == [str(number) for number in range(1, EVENTS + 1)]
        assert len(consumer.failures) >= RELOADS
