"""Redis: how it is asked, what it does in one step, what its answers mean."""
