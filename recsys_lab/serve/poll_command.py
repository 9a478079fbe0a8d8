"""The command ``recsys-lab poll``: run a live poll, or look at one that was."""

from __future__ import annotations

import sys
from pathlib import Path

FILE, PORT = "poll.sqlite", 8001


def add_poll(commands) -> None:
    """``recsys-lab poll``: a live poll, or the report of one."""
    parser = commands.add_parser("poll", help="let a room pick five books each on their phones, and see what it reads")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--host", default="127.0.0.1", metavar="H", help="address to listen on (default: this machine)")
    where.add_argument("--lan", action="store_true", help="let phones in the same network join, by a room code")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"port to listen on (default: {PORT})")
    parser.add_argument("--file", type=Path, metavar="FILE", help=f"where the answers lie (default: {FILE})")
    parser.add_argument("--question", metavar="TEXT", help="what is asked")
    parser.add_argument("--no-browser", action="store_true", help="do not open the presenter's page")
    parser.add_argument("--sample", action="store_true", help="a SIMULATED class of 30 stands in for the room")
    parser.add_argument("--report", nargs="?", const="", metavar="FILE", help="print what a room reads")
    parser.add_argument("--export", type=Path, metavar="CSV", help="write the answers of --file as csv")
    parser.set_defaults(run=run_poll)


def run_poll(options) -> int:
    """Run the poll, or export or report one."""
    if options.sample and (options.file or options.report):
        raise ValueError("--sample: the class stands in for a room. Fix: leave out --sample, or the file")
    file = options.file or Path(options.report or FILE)
    if options.export is not None:
        return export(file, options.export, options.sample)
    if options.report is not None:
        return report(file, options.sample)
    from recsys_lab.serve.poll_run import run

    return run(options, file)


def export(file: Path, target: Path, sample: bool = False) -> int:
    """Write the answers as csv and say how to load them."""
    from recsys_lab import poll_answers

    events = poll_answers.sample_class() if sample else poll_answers.read_poll(file)
    if target.suffix != ".csv":
        raise ValueError(f"--export {target}: the answers are written as csv. Fix: --export {target}.csv")
    try:
        with target.open("x", encoding="utf-8", newline="") as out:
            events.to_csv(out, index=False, lineterminator="\n")
    except FileExistsError:
        raise ValueError(f"--export {target}: it is there already. Fix: another name, or remove it first.") from None
    n = events["session_id"].nunique()
    print(f'{target}: {len(events)} picks of {n} people. In Python: datasets.load("poll:{target}")')
    return 0


def report(file: Path, sample: bool = False) -> int:
    """Print what a room reads."""
    from recsys_lab import bookshop, poll_answers
    from recsys_lab.serve import poll_report, poll_text

    events = poll_answers.sample_class() if sample else poll_answers.read_poll(file)
    books = bookshop.catalogue()
    gru, why = session_model(lambda text: print(text, file=sys.stderr))
    made = poll_report.room_report(events, books["item_id"], gru)
    titles = dict(zip(books["item_id"], books["title"], strict=True))
    print(poll_text.as_text(made, titles, encoding=sys.stdout.encoding, without=why))
    return 0


def session_model(say=lambda text: None):
    """Return the shop's session model and "", or None and why there is none; trains it where it is not there yet."""
    say("The shop's models are made ready; the first time this takes about a minute.")
    try:
        from recsys_lab.serve.bundle import Bundle

        return Bundle.obtain().models["session"], ""
    except Exception as error:  # a report without this model is better than none
        return None, f"{type(error).__name__}: {error}"
