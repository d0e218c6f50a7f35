"""A short run of `tests.fuzz`, the same every time; ``make fuzz`` is the long one."""

from __future__ import annotations

import pytest

from tests.fuzz import check_client, check_decoder
from tests.support.consumers import RUNTIMES
from tests.support.how_much import tries

# Thousands of examples, all of which a busy machine may be slow at.
pytestmark = pytest.mark.timeout(120)


def test_the_decoder_decodes_noise_as_the_standard_says() -> None:
    """Ten thousand streams of words and random bytes, cut anywhere."""
    for number in range(tries(10_000)):
        check_decoder("short", number)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_client_that_meets_noise_ends_as_documented(runtime: str) -> None:
    """Random bytes in place of HTTP: it gives up or ends; nothing else is raised, nothing hangs."""
    for number in range(tries(100)):
        check_client("short", number, runtime)
