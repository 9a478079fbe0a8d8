"""``recsys-lab demo``: the shop as a running service."""

from __future__ import annotations

import http.client
import json
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
import webbrowser
from contextlib import closing, suppress
from pathlib import Path

PORT = 8000
SETTINGS = "RECSYS_LAB_DEMO"  # environment variable through which workers are told
READY_S = 120.0  # for the first answer
LOOK_S = 1.0  # how often a worker looks for a newer bundle
MOST_CONNECTIONS = 500
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def add_demo(commands) -> None:
    """``recsys-lab demo``: the bookshop with its live recommendations."""
    parser = commands.add_parser("demo", help="open the bookshop, whose recommendations follow what you click")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--host", default="127.0.0.1", metavar="H", help="address to listen on (default: this machine)")
    where.add_argument("--lan", action="store_true", help="let others in the same network in, by a room code")
    parser.add_argument("--port", type=int, metavar="N", help=f"port (default: {PORT}, or the next free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    memory = "file, or redis://HOST:PORT/DB (default: a file that goes when the shop is closed)"
    parser.add_argument("--session-store", metavar="URL", help=memory)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument(
        "--bundle", type=Path, metavar="FOLDER", help="trained models (default: trained at the first start)"
    )
    parser.set_defaults(run=run_demo)


def run_demo(options) -> int:
    """Obtain the models, take a port, serve until Ctrl-C."""
    # before numpy is loaded: small products are slower on several threads, and workers would be in each other's way
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from recsys_lab.serve.bundle import BundleError, current, default_folder
    from recsys_lab.serve.memory import StoreError, open_store
    from recsys_lab.serve.network import is_loopback, listen, listen_from, shown_host

    if options.workers < 1:
        raise ValueError(f"--workers {options.workers}: at least 1 is needed.")
    host = "0.0.0.0" if options.lan else options.host
    listener = listen_from(host, PORT) if options.port is None else listen(host, options.port)
    with listener, tempfile.TemporaryDirectory(prefix="recsys-lab-demo-") as scratch:
        folder = options.bundle or default_folder()
        if options.bundle and current(folder) is None:
            raise BundleError(
                f"--bundle {folder}: there is no trained shop. Leave it out, or Bundle.train(...).save(...)"
            )
        _obtain(folder, given=bool(options.bundle))
        store = options.session_store or str(Path(scratch, "sessions.sqlite"))
        try:
            with open_store(store) as memory:
                memory.ready()
                warning = memory.warning
        except StoreError as error:
            raise OSError(str(error)) from None
        port = listener.getsockname()[1]
        code = None if is_loopback(host) else "".join(secrets.choice(LETTERS) for _ in range(6))
        told = {"folder": str(folder), "store": store, "code": code, "host": host}
        address = f"http://{shown_host(host)}:{port}"
        lines = _announcement(address, port, code, options, warning)
        here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        page = None if options.no_browser else f"http://{shown_host(here)}:{port}/" + (f"?room={code}" if code else "")
        threading.Thread(target=_tell_when_ready, args=(here, port, lines, page), daemon=True, name="ready").start()
        os.environ[SETTINGS] = json.dumps(told)
        if options.workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(Path(scratch, "numbers"))
            Path(scratch, "numbers").mkdir()
        try:
            _serve(listener, options.workers)
        finally:
            shutil.rmtree(Path(scratch, "numbers"), ignore_errors=True)
    print("\nThe shop is closed.")
    return 0


def _obtain(folder: Path, given: bool) -> None:
    from recsys_lab.serve.bundle import Bundle

    if given:
        Bundle.load(folder)  # damaged models are said here, not by each worker
        return
    said = []

    def progress(text: str) -> None:
        if not said:
            print("Training the shop's models; the first time this takes up to a minute.", flush=True)
        said.append(text)
        print(f"  {text}", flush=True)

    print("Opening the shop; this takes some seconds.", flush=True)
    Bundle.obtain(folder, progress)


def _tell_when_ready(host: str, port: int, lines: list[str], page: str | None) -> None:
    """Say where the shop is, and open it in the browser, once it answers."""
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        connection = http.client.HTTPConnection(host, port, timeout=5)
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                print(*lines, sep="\n", flush=True)
                if page:
                    webbrowser.open(page)
                return
        time.sleep(0.1)


def _announcement(address: str, port: int, code: str | None, options, warning: str | None) -> list[str]:
    from recsys_lab.serve.network import masked

    lines = ["", f"The bookshop is open: {address}/"]
    if options.port is None and port != PORT:
        lines.append(f"  (port {PORT} is taken)")
    if code:
        lines += [
            f"  room code  {code}",
            "             Everybody in this network can reach the shop, and needs the code to enter. Nothing is",
            "             encrypted on the way.",
        ]
    if options.session_store:
        lines.append(f"  memory     {masked(options.session_store)}")
    lines += [f"  note       {warning}"] if warning else []
    return [*lines, "  stop       Ctrl-C", ""]


def _serve(listener, number: int) -> None:
    # uvicorn raises a signal again once it has stopped; being told to end is to tidy up, too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        if number == 1:
            serve_one(listener)
        else:
            from recsys_lab.serve import workers

            workers.run(listener, number, serve_one)


def serve_one(listener) -> None:
    """Serve from this process until it is told to end."""
    import uvicorn

    from recsys_lab.serve.connections import PatientProtocol

    options = {"access_log": False, "log_level": "warning", "server_header": False, "timeout_graceful_shutdown": 5}
    options |= {"timeout_keep_alive": 15, "limit_concurrency": MOST_CONNECTIONS, "http": PatientProtocol}
    config = uvicorn.Config("recsys_lab.serve.run:worker", factory=True, **options)
    uvicorn.Server(config).run(sockets=[listener])


def worker():
    """Return the application of one process; what it is made of stands in an environment variable."""
    from recsys_lab.serve.api import ServeSettings, make_app
    from recsys_lab.serve.bundle import Bundle
    from recsys_lab.serve.memory import open_store
    from recsys_lab.serve.shop import Shop

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    told = json.loads(os.environ[SETTINGS])
    bundle = Bundle.load(told["folder"])
    kinds = set(map(type, bundle.catalogue.ids))
    # an id of another kind, made up by a visitor, would turn all ids of the log into text
    store = open_store(told["store"], item_type=kinds.pop() if len(kinds) == 1 else None)
    shop = Shop(bundle, store, folder=told["folder"])
    shop.search("once")  # makes the index of words before somebody waits for it
    shop.retriever.budget_ms, budget = 10_000, shop.retriever.budget_ms
    shop.recommend("first", bundle.history["user_id"].iloc[0] if len(bundle.history) else None)
    shop.retriever.recommend(shop.catalogue.ids[:2])
    shop.retriever.budget_ms = budget
    hosts = () if told["code"] else ("127.0.0.1", "localhost", "::1", told["host"])
    threading.Thread(target=_watch, args=[shop], daemon=True, name="reload").start()
    return make_app(shop, ServeSettings(hosts=hosts, room_code=told["code"]))


def _watch(shop) -> None:
    """Look for a newer bundle now and then."""
    wait = threading.Event()
    while not wait.wait(LOOK_S):
        try:
            if shop.reload_if_new():
                logging.getLogger(__name__).warning("now serving bundle %s", shop.version)
        except Exception:  # whatever is wrong with the new one, the next one has to be looked for
            logging.getLogger(__name__).exception("the new bundle is not taken")
