"""PostgreSQL: how it is asked, what it does in one statement, what its answers mean."""
