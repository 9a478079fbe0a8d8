"""Click to new list: the service under load from a second process on the same machine.

``recsys-lab demo`` runs as a user starts it, on an invented shop of each size (`serve_shops`), with session memory in
SQLite or in a Redis that writes each command to disk (``appendfsync always``). `serve_load` posts events and asks for
lists. ``--prepare`` makes the shops and measures nothing; ``--soak MINUTES`` looks for growth; ``--profile`` says where
the time of one click goes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import report, serve_shops
from recsys_lab.progress import bar

SIZES = (3_000, 30_000, 300_000)
GOAL_MS, GOAL_RATE, GOAL_ITEMS = 50, 100, 30_000
WARM_S, CLOSED_S = 4, 6


# ---- what is started ------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def memory(kind: str):
    """Yield the address of a session memory that is empty and goes away."""
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as folder:
        if kind == "sqlite":
            yield str(Path(folder, "sessions.db"))
            return
        server = shutil.which("redis-server")
        if server is None:
            raise OSError("redis-server is missing. Fix: install it, or --stores sqlite")
        port = free_port()
        command = [server, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "always"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def service(folder: Path, store: str, workers: int):
    """Run the demo; yields the process and its port."""
    with tempfile.TemporaryFile("w+") as said:
        port = free_port()
        command = [sys.executable, "-m", "recsys_lab.cli", "demo", "--no-browser", "--port", str(port)]
        command += ["--bundle", str(folder), "--session-store", store, "--workers", str(workers)]
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            end = time.monotonic() + 180
            while not said.seek(0) and "bookshop is open" not in said.read():
                if process.poll() is not None or time.monotonic() > end:
                    said.seek(0)
                    raise OSError(f"the service did not start:\n{said.read()}")
                time.sleep(0.2)
            yield process, port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def load(port: int, folder: Path, rate: float, seconds: float, seed: int) -> dict:
    """Run the visitors in their own process."""
    asked = {"port": port, "clicks": str(folder / serve_shops.CLICKS), "rate": rate, "seconds": seconds, "seed": seed}
    command = [sys.executable, "-m", "benchmarks.serve_load", json.dumps(asked)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 90)
    if found.returncode:
        raise OSError(f"the load failed:\n{found.stderr}")
    done = json.loads(found.stdout)
    if done["failed"]:
        raise OSError(f"{len(done['failed'])} of {len(done['done'])} clicks failed, such as {done['failed'][0]}")
    return done


def megabytes(process) -> float:
    """Memory of a process and its workers that is theirs alone, or their share of it (PSS), MiB."""
    total = 0
    for pid in family(process):
        with contextlib.suppress(OSError):
            total += int(re.search(r"^Pss: +(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)[1])
    return total / 1024


def family(process) -> list[int]:
    """Process ids of a process and of those that it started."""
    pids = [process.pid]
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
    return pids


def cpu_seconds(process) -> float:
    """Processor time that a process and its workers have used."""
    ticks = 0
    for pid in family(process):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


# ---- what is measured -----------------------------------------------------------------------------------------------


def latencies(done: dict) -> np.ndarray:
    return np.array([ms for _, ms in done["done"]])


def cell(n_items: int, kind: str, workers: int, rate: float, seconds: float) -> dict:
    """One row: open loop at a rate, then as much as it can do."""
    folder = serve_shops.obtain(n_items)
    with memory(kind) as store, service(folder, store, workers) as (process, port):
        load(port, folder, rate / 2, WARM_S, seed=1)
        before = cpu_seconds(process)
        done = load(port, folder, rate, seconds, seed=2)
        spent = cpu_seconds(process) - before
        most = load(port, folder, 0, CLOSED_S, seed=3)
        ms, used = latencies(done), megabytes(process)
    return {
        "items": f"{n_items:,}",
        "memory": kind,
        "workers": workers,
        "clicks/s": round(len(ms) / done["spent"], 1),
        "p50 ms": round(float(np.percentile(ms, 50)), 1),
        "p99 ms": round(float(np.percentile(ms, 99)), 1),
        "max ms": round(float(ms.max()), 1),
        "CPU ms a click": round(1000 * spent / len(ms), 1),
        "stand-ins": f"{100 * done['degraded'] / len(ms):.1f} %",
        "at most, requests/s": round(2 * len(most["done"]) / most["spent"]),
        "MiB": round(used),
    }


def goal(rows: list[dict], rate: float) -> str:
    """One sentence on the goal, from the rows that it speaks of."""
    mine = [row for row in rows if row["items"] == f"{GOAL_ITEMS:,}"]
    if not mine or rate != GOAL_RATE:
        return ""
    worst = max(row["p99 ms"] for row in mine)
    within, word = sum(row["p99 ms"] < GOAL_MS for row in mine), "reached" if worst < GOAL_MS else "not reached"
    text = f"Goal: p99 under {GOAL_MS} ms at {GOAL_RATE} clicks/s with {GOAL_ITEMS:,} items: **{word}** ({within} of "
    return f"{text}{len(mine)} settings are within it; the slowest has {worst:.1f} ms)."


def table(args) -> str:
    """The section of all sizes, memories and numbers of workers."""
    settings = [(n, kind, w) for n in args.items for kind in args.stores for w in args.workers]
    rows = []
    with bar(len(settings), "serve", unit="setting") as drawn:
        for n_items, kind, workers in settings:
            rows.append(cell(n_items, kind, workers, args.rate, args.seconds))
            print(rows[-1], file=sys.stderr)
            drawn.update()
    what = (
        f"A click is POST /events, acknowledged, then GET /recommendations with 10 books: two requests. {args.rate:g} "
        f"clicks a second arrive at random for {args.seconds:g} s, counted from when they were meant to; then 8 "
        "visitors click without a pause (at most). Load and service share the cores. A stand-in is a list that went "
        "without a model that was too slow. CPU and MiB are those of the service's own processes (PSS)."
    )
    return "\n\n".join([what, report.markdown(pd.DataFrame(rows), 1), goal(rows, args.rate)])


def soak(args) -> str:
    """The section of a long run: each minute's latency and memory."""
    n_items, kind, workers = args.items[0], args.stores[0], args.workers[0]
    folder, rows = serve_shops.obtain(n_items), []
    with memory(kind) as store, service(folder, store, workers) as (process, port):
        load(port, folder, args.rate / 2, WARM_S, seed=1)
        with bar(args.soak, "soak", unit="minute") as drawn:
            for minute in range(1, args.soak + 1):
                done = load(port, folder, args.rate, 60, seed=10 + minute)
                ms, files = latencies(done), len(os.listdir(f"/proc/{process.pid}/fd"))
                row = {"minute": minute, "clicks": len(ms), "p50 ms": float(np.percentile(ms, 50))}
                row |= {
                    "p99 ms": float(np.percentile(ms, 99)),
                    "MiB": round(megabytes(process), 1),
                    "open files": files,
                }
                rows.append(row)
                print(row, file=sys.stderr)
                drawn.update()
    frame = pd.DataFrame(rows)
    what = f"{n_items:,} items, {kind}, {workers} worker(s), {args.rate:g} clicks a second."
    return f"{what} {growth(frame)}\n\n{report.markdown(frame, 1)}"


def growth(frame: pd.DataFrame) -> str:
    """One sentence: the last minutes against the first ones."""
    part = max(1, len(frame) // 3)
    words = []
    for name in ("MiB", "p50 ms", "p99 ms"):
        first, last = frame[name].iloc[:part].median(), frame[name].iloc[-part:].median()
        words.append(f"{name} {100 * (last / first - 1):+.1f} %")
    return f"From the first {part} minute(s) to the last {part} (medians): {', '.join(words)}."


def one_click(shop, event) -> dict:
    """Milliseconds of the parts of a click."""
    marks = [time.perf_counter()]
    shop.record([event])
    marks.append(time.perf_counter())
    shop.session(event.session_id)
    marks.append(time.perf_counter())
    answer = shop.recommend(event.session_id)
    marks.append(time.perf_counter())
    stored, read, whole = (1000 * np.diff(marks)).tolist()
    models = {f"model: {name}": ms for name, ms in sorted(answer.timings.items())}
    rest = answer.milliseconds - max(answer.timings.values(), default=0.0)
    return {"event on disk": stored, "session read": read, **models, "around the models": rest, "whole list": whole}


def profile(args) -> str:
    """The section of one click's parts, one thread, nobody else asking; medians in ms."""
    from recsys_lab.serve.bundle import Bundle
    from recsys_lab.serve.memory import Event, open_store
    from recsys_lab.serve.shop import Shop

    rows = []
    for n_items in args.items:
        folder = serve_shops.obtain(n_items)
        with np.load(folder / serve_shops.CLICKS) as file:
            clicks, offsets = file["clicks"], file["offsets"]
        shop, parts = Shop(Bundle.load(folder), open_store(None), budget_ms=10_000), []
        for visit in range(100):
            for n, item in enumerate(clicks[offsets[visit] : offsets[visit + 1]].tolist()):
                parts.append(one_click(shop, Event(f"p{visit}", item, "view", shop.clock(), f"p{visit}-{n}")))
        shop.close()
        rows.append({"items": f"{n_items:,}"} | pd.DataFrame(parts[50:]).median().round(2).to_dict())
    return f"One click's parts, ms, medians; models run side by side.\n\n{report.markdown(pd.DataFrame(rows), 2)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", metavar="N", help=f"catalogue sizes (default {SIZES})")
    parser.add_argument("--stores", nargs="+", choices=("sqlite", "redis"), default=("sqlite", "redis"))
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2), metavar="N")
    parser.add_argument("--rate", type=float, default=GOAL_RATE, help="clicks a second")
    parser.add_argument("--seconds", type=float, default=20, help="of each setting")
    parser.add_argument("--prepare", action="store_true", help="make the shops, measure nothing")
    parser.add_argument("--soak", type=int, nargs="?", const=10, metavar="MINUTES", help="a long run (default 10)")
    parser.add_argument("--profile", action="store_true", help="where the time of one click goes")
    parser.add_argument("--print", action="store_true", help="print instead of writing benchmarks/README.md")
    args = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    args.items = args.items or ([GOAL_ITEMS] if args.soak else SIZES)
    if args.prepare:
        for n_items in args.items:
            serve_shops.obtain(n_items)
        return
    name, make = ("serve soak", soak) if args.soak else ("serve profile", profile) if args.profile else ("serve", table)
    section = f"{report.made_by(report.command_line('benchmarks.serve'))}\n\n{make(args).strip()}"
    if args.print:
        print(section)
    else:
        report.write_section(name, section)


if __name__ == "__main__":
    main()
