"""HTTP/1.1 over sockets, beside httpx's own transports."""
