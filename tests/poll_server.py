"""A live poll in a process of its own, for tests."""

import http.client
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from ports import free_port

from recsys_lab.serve.poll_pages import PHONE

AGENT = "OddPhone/77.1 (a phone that nobody has)"
# without the shop's session model: training it takes longer than all these tests
RUN = """
import sys
from recsys_lab import cli
from recsys_lab.serve import poll_command
poll_command.session_model = lambda say=None: (None, "not in this test")
sys.exit(cli.main(sys.argv[1:]))
"""


class Server:
    """``recsys-lab poll`` in a process of its own."""

    def __init__(self, file, *more):
        self.port = free_port()
        self.log = file.with_suffix(".log").open("a+", encoding="utf-8")
        command = [sys.executable, "-c", RUN, "poll", "--no-browser", "--port", str(self.port)]
        command += [] if "--sample" in more else ["--file", str(file)]
        self.process = subprocess.Popen([*command, *more], stdout=self.log, stderr=self.log)
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    if self.ask("GET", "/healthz")[0] == 200:
                        return
            except OSError:
                time.sleep(0.05)
        pytest.fail(f"the poll did not start:\n{self.said()}")

    def ask(self, method, path, body=None, cookie=None, seconds=30):
        """Ask once on a connection of its own; gives status, location and cookie."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        head = {"User-Agent": AGENT, "Referer": "http://secret.example/page"}
        head |= {"Cookie": f"{PHONE}={cookie}"} if cookie else {}
        head |= {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        try:
            connection.request(method, path, body, head)
            answer = connection.getresponse()
            answer.read()
            given = re.search(rf"{PHONE}=([^;]+)", answer.headers.get("set-cookie") or "")
            return answer.status, answer.headers.get("location"), given and given[1]
        finally:
            connection.close()

    @property
    def presenter(self) -> str:
        """The presenter's address, as it was printed."""
        return re.findall(r"http://\S+/presenter\?secret=\S+", self.said())[-1]

    def said(self) -> str:
        """What was printed and logged so far."""
        self.log.flush()
        with open(self.log.name, encoding="utf-8") as log:
            return log.read()

    def end(self, how=signal.SIGINT):
        """Stop it and wait."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(20)
