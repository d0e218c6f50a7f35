"""What the drivers add: calls, ends, forks, security."""
