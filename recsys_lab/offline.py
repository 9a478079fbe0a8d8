"""Cut a Python process off from the network, for good; standard library only."""

import os
import socket
import sys

LOOPBACK = {"localhost", "127.0.0.1", "::1", "", None}
#: Nothing listens there: programs that the process starts, such as pip and curl, are led astray by it.
DEAD_PROXY = "http://127.0.0.1:9"


def block_network() -> None:
    """Let every connection but those to this machine itself fail, here and in programs that heed a proxy.

    An audit hook sees what any module does with Python's sockets, and cannot be taken away again. Sockets that a
    compiled library opens by itself (ZeroMQ, say) are not seen.
    """
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ[name] = os.environ[name.upper()] = DEAD_PROXY
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "localhost,127.0.0.1,::1"
    sys.addaudithook(refuse)


def refuse(event: str, arguments: tuple) -> None:
    """Raise `OSError` for an event that leads off this machine."""
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in LOOPBACK and not str(host).startswith("127."):
        raise socket.gaierror(socket.EAI_FAIL, f"no network in this run: {host}")
