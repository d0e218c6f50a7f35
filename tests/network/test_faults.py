"""Faults on the network: what the consumer sees and how long until events flow again.

Each test has a network namespace of its own, in which packets may be dropped, sockets killed and
links taken down without anybody else noticing. In it a server counts on, and a consumer of every
runtime must get each number once, in order. ``python -m tests.network`` prints the findings.
"""

from __future__ import annotations

import pytest

from tests.network.laboratory import CONNECT_TIMEOUT, FAULTS, IDLE_TIMEOUT, LONGEST_WAIT
from tests.network.namespace import inside, unavailable

# How much longer than the timeouts a shared machine may take.
SLACK = 2.5
# Where the fault is over: at most a wait and an attempt that was under way.
RECOVERY = LONGEST_WAIT + CONNECT_TIMEOUT
EXPECTED: dict[str, tuple[set[str], float]] = {
    "packets_dropped_idle": ({"idle"}, IDLE_TIMEOUT + LONGEST_WAIT),
    "packets_dropped_keepalive": ({"transport"}, 3 + LONGEST_WAIT),
    "sockets_killed": ({"transport"}, LONGEST_WAIT),
    "link_down": ({"idle", "connect", "timeout"}, RECOVERY + 1),
    "server_stopped": ({"idle", "timeout"}, RECOVERY),
    "server_killed": ({"transport", "ended", "connect"}, RECOVERY),
    "port_refused": ({"transport", "connect"}, RECOVERY),
    "slow_loris": ({"transport", "connect", "timeout"}, RECOVERY),
    "byte_at_a_time": ({"transport", "connect"}, RECOVERY),
    "certificate_expired": ({"transport", "connect"}, RECOVERY),
    "name_unknown": ({"transport", "connect", "timeout"}, RECOVERY),
}

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("fault", FAULTS)
def test_events_flow_again(fault: str) -> None:
    """Every runtime sees the failure for what it is, and gets every event once, soon enough."""
    kinds, seconds = EXPECTED[fault]
    for runtime, found in inside(fault).items():
        assert set(found["failures"]) <= kinds, (runtime, found)
        assert found["failures"], runtime
        assert found["seconds"] < seconds + SLACK, (runtime, found)


def test_keepalive_is_what_finds_it() -> None:
    """Without an idle timeout it takes as long as keepalive does, no less."""
    for found in inside("packets_dropped_keepalive").values():
        assert found["failures"] == ["transport"]
        assert found["seconds"] > 1.5
