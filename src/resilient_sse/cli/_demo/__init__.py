"""The demonstration: a server that everything happens to, and a source that loses nothing.

`Demo` runs the server in a process of its own, has it misbehave, reads its stream meanwhile and
compares what was published with what came. `Serve` runs the same server for people to play with.
"""
