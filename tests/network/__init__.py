"""Faults on the network, each in a network namespace of its own."""
