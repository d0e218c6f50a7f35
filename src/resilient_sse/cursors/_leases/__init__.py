"""Which replica of a program reads which stream."""
