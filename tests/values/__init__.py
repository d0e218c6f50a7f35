"""What is said: values, errors, what a traceback shows."""
