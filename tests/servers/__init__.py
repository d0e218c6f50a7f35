"""Real servers, started by the tests."""
