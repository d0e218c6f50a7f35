"""What people see and put right: the cursors that are kept in a store."""
