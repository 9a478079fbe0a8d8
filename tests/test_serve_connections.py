"""Answers leave at once, whatever kind of socket the service was given."""

import http.client
import socket
import threading
import time

import pytest
import uvicorn

from recsys_lab.serve.connections import PatientProtocol


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("protocol", [0, socket.IPPROTO_TCP])
def test_the_body_does_not_wait_for_the_head_to_be_confirmed(protocol):
    made = []

    class Seen(PatientProtocol):
        def connection_made(self, transport):
            super().connection_made(transport)
            made.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", http=Seen, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            connection = http.client.HTTPConnection(*listener.getsockname(), timeout=10)
            for _ in range(3):
                connection.request("GET", "/")
                assert connection.getresponse().read() == b"ok"
            connection.close()
        finally:
            server.should_exit = True
            thread.join()
    assert made and all(made)
