"""Addresses: a port to listen on, what others type to reach this machine, and what may be shown of an address."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from contextlib import suppress
from urllib.parse import urlsplit

TRIES = 20  # ports that are looked at for a free one


def listen(host: str, port: int) -> socket.socket:
    """Take a port before anything else, so that a taken one is said at once and nothing is left behind.

    Raises
    ------
    OSError
        If the port is taken or the address is not this machine's; says which one will do.
    ValueError
        If it is no number of a port.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        foreign = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        fix = "--lan, or --host with an address of this machine" if foreign else f"--port {_free_after(host, port)}"
        raise OSError(f"cannot listen on {host}, port {port}: {error.strerror}. Fix: {fix}") from None
    except OverflowError:
        listener.close()
        raise ValueError(f"--port {port}: a number from 0 to 65535 is needed, such as 8001.") from None
    return listener


def listen_from(host: str, port: int) -> socket.socket:
    """Take the first free port from a number on; any free one where the next `TRIES` are taken."""
    for number in range(port, port + TRIES):
        with suppress(OSError):
            return listen(host, number)
    return listen(host, 0)


def _free_after(host: str, port: int) -> int:
    """The next port that is free now; 0, which takes any, where none is near."""
    for number in range(port + 1, min(port + 1 + TRIES, 65_536)):
        with suppress(OSError), socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, number))
            return number
    return 0


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def shown_host(host: str) -> str:
    """What others type to reach this machine."""
    if host not in ("0.0.0.0", "::"):
        return f"[{host}]" if ":" in host else host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # asks the routing table; sends nothing
        try:
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def masked(url: str) -> str:
    """Return an address without its password.

    Examples
    --------
    >>> masked("redis://me:secret@host:6379/0"), masked("redis://host/0?password=secret")
    ('redis://me:***@host:6379/0', 'redis://host/0?password=***')
    """
    password = urlsplit(url).password if "://" in url else None
    url = url.replace(f":{password}@", ":***@") if password else url
    return re.sub(r"(?<=[?&]password=)[^&]*", "***", url)  # redis-py takes it there too
