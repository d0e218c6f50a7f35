"""Benchmarks: `decoder` without a network, `end_to_end` over loopback."""
