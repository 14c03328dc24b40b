"""The socket that a server listens at, and the address by which it is reached."""

import socket


def listen(host: str, port: int) -> socket.socket:
    """A socket that others can connect to already; port 0 takes a free one. Raises OSError."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
    return socket.create_server(address, family=family, backlog=128, dualstack_ipv6=both)


def address_of(listening: socket.socket) -> str:
    """`http://host:port`, as it can be opened on this machine."""
    host, port = listening.getsockname()[:2]
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"
