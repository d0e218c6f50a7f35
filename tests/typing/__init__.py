"""Programs that only type checkers read."""
