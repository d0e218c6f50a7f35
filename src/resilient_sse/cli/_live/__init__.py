"""What people see while a stream is read."""
