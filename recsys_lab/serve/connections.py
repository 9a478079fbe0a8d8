"""HTTP connections that do not wait for ever.

uvicorn closes a connection that is idle between two requests, but not one that sends its first line letter by letter:
a few hundred of those would fill all places. Here the head of a request has to be there some seconds after it began,
and the first one some seconds after the connection was made. Bodies are watched in `guard`.
"""

from __future__ import annotations

import json
import socket

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 on h11, with a clock for the head of a request; see the head of this module."""

    head_s = HEAD_S
    _clock = None

    def connection_made(self, transport) -> None:
        """Start the clock with the connection, and have answers sent at once."""
        super().connection_made(transport)
        # uvicorn writes head and body one after the other. Without this the body waits for the other side to confirm
        # the head, which it does after 40 ms. asyncio sets it only on sockets that were made with protocol IPPROTO_TCP.
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family != getattr(socket, "AF_UNIX", None):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Stop the clock when a head is whole; start it when another one begins."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._start_clock()
        else:
            self._stop_clock()

    def connection_lost(self, exc) -> None:
        """Nothing is waited for any more."""
        self._stop_clock()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with an error in the shape of all others."""
        body = {"type": "about:blank", "title": "Not understood", "status": 400, "detail": msg}
        content = json.dumps(body).encode()
        headers = [("content-type", "application/problem+json"), ("content-length", str(len(content)))]
        headers += [("connection", "close"), ("x-content-type-options", "nosniff")]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):  # not in the middle of another answer
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=content), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _start_clock(self) -> None:
        if self._clock is None:
            self._clock = self.loop.call_later(self.head_s, self.transport.close)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
