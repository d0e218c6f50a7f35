"""How any engine is asked: from any thread or loop, for many streams at once."""
