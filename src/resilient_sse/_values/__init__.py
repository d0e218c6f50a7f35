"""What is said: events, failures, headers, and text that is fit to be shown."""
