"""Starting a live poll: the file, the addresses, the server; what is printed, and nothing else is logged."""

from __future__ import annotations

import signal
import tempfile
import webbrowser
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Timer

from recsys_lab import poll_answers
from recsys_lab.serve.network import is_loopback, listen, shown_host
from recsys_lab.serve.poll_command import session_model
from recsys_lab.serve.poll_store import PollStore


def run(options, file: Path) -> int:
    """Run the poll until it is stopped (Ctrl-C).

    Raises
    ------
    ValueError, OSError
        If the port is taken, the file is no poll, or another poll runs on it.
    """
    import pandas as pd
    import uvicorn

    from recsys_lab.bookshop import data_folder
    from recsys_lab.serve.catalogue import Catalogue
    from recsys_lab.serve.connections import PatientProtocol
    from recsys_lab.serve.poll import make_poll_app
    from recsys_lab.serve.poll_pages import PollSettings

    catalogue = Catalogue(pd.read_parquet(data_folder() / "items.parquet"))
    host = "0.0.0.0" if options.lan else options.host
    with listen(host, options.port) as listener, opened(file, catalogue.ids, options) as store:
        port = listener.getsockname()[1]
        code = None if is_loopback(host) else store.secrets.room_code
        settings = PollSettings(f"http://{shown_host(host)}:{port}", code, session_model)
        presenter = f"http://{'127.0.0.1' if host == '0.0.0.0' else shown_host(host)}:{port}/presenter"
        presenter += f"?secret={store.secrets.presenter}"
        print(*announcement(settings, presenter, store), sep="\n", flush=True)
        if not options.no_browser:
            Timer(1.0, webbrowser.open, [presenter]).start()
        app = make_poll_app(store, catalogue, settings)
        # no access log: it would hold addresses; no headers that name the software
        config = uvicorn.Config(app, access_log=False, log_level="warning", server_header=False, lifespan="off",
                                http=PatientProtocol, timeout_graceful_shutdown=5)  # fmt: skip
        # uvicorn raises a signal again once it has stopped; being told to end is to close the file, too
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
        last = "" if options.sample else ended(file)
        print(f"\nThe poll has ended; {people(store.count())} answered.", last, sep="\n")
    return 0


@contextmanager
def opened(file: Path, known, options):
    """Open the poll's file; for a simulated class one that goes away with the poll."""
    with ExitStack() as stack:
        if options.sample:
            file = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recsys-lab-poll-")), "class.sqlite")
        store = PollStore(file, known, options.question, simulated=options.sample)
        stack.callback(store.shut)
        if options.sample:
            store.add(poll_answers.sample_class())
        yield store


def announcement(settings, presenter: str, store: PollStore) -> list[str]:
    """Lines that are printed at the start."""
    lines = ["", "Live poll" + (" with a SIMULATED class of 30" if store.simulated else f" in {store.path}")]
    if settings.room_code is None:
        lines.append(f"  phones     none: only this machine can open {settings.address} (for phones: --lan)")
    else:
        lines += [
            f"  phones     {settings.address}   room code {store.secrets.room_code}",
            "             Everybody in this network can reach the poll, and needs the code to enter. Nothing is",
            "             encrypted on the way: a poll is for books, not for secrets. If phones cannot open it, this",
            "             machine has several addresses: name the right one with --host.",
        ]
    lines.append(f"  presenter  {presenter}")
    lines.append("             This address is yours alone: it closes the poll. Open it before the screen is shared.")
    if store.count() and not store.simulated:
        lines.append(f"  answers    those of {people(store.count())} are there already and stay")
    if store.lost_key:
        lines.append(f"  note       {store.path}.key was gone: those answers count, but nobody can change them now")
    return [*lines, "  stop       Ctrl-C", ""]


def people(n: int) -> str:
    """Count people in words."""
    return "1 person" if n == 1 else f"{n} people"


def ended(file: Path) -> str:
    """What to do with the answers."""
    return f'In Python: datasets.load("poll:{file}"). In the terminal: recsys-lab poll --report {file}'
