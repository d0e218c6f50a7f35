"""Parts of other people's libraries in this library's shapes; each needs its extra."""
