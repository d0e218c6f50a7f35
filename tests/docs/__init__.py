"""The pages and the examples: every block is executed."""
