"""Parts of other people's libraries."""
