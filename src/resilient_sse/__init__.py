"""A Server-Sent Events client for programs that run for a year."""
