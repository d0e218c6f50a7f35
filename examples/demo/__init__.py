"""The demonstration: a server that everything happens to, and a source that loses nothing.

    make demo

or ``python -m examples.demo``, from the root of a checkout; ``--help`` lists its options. It runs
the server in a process of its own, has it misbehave, reads its stream meanwhile, and compares what
was published with what came. What a program has to do for that is `Demo._read` in ``command.py``.

It is to be looked at rather than copied: its view is that of ``resilient-sse watch``, which is
private to the command.
"""
