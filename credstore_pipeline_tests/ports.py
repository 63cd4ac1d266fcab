"""Ports for servers that tests start."""

import socket


def free_port() -> int:
    """A TCP port on loopback that the kernel gives nobody else for a minute: it remembers a closed connection there."""
    with socket.create_server(("127.0.0.1", 0)) as found, socket.create_connection(found.getsockname()):
        # Whoever closes first keeps the port; a server, which may reuse addresses, gets it all the same.
        found.accept()[0].close()
        return int(found.getsockname()[1])
