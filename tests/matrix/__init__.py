"""The behaviour of the sources over real sockets, once for every runtime and client."""
