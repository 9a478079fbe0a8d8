"""A Redis server of one's own: on a free port, in a temporary folder, gone after the test."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import redis
from ports import free_port


class RedisServer:
    """A server that can be killed and started again on the same folder and port."""

    def __init__(self, folder: Path, *options: str):
        self.folder, self.options, self.port = folder, options, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port, decode_responses=True)
        self.start()

    def start(self):
        command = [shutil.which("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self.folder), "--logfile", str(self.folder / "redis.log"), *self.options]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for _ in range(400):
            try:
                if self.client.ping():
                    return
            except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
                time.sleep(0.025)
        raise RuntimeError((self.folder / "redis.log").read_text())

    def kill(self):
        """SIGKILL: no goodbye, nothing is saved."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.client.close()
        if self.process.poll() is None:
            self.kill()
