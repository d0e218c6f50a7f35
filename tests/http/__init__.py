"""What is HTTP about a stream."""
