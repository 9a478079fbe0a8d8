"""Marp, which turns Markdown into pages: installed with npm into the cache, run by node, at versions that are kept.

``slides/package-lock.json`` names all of them. Nothing of it is needed to show slides, only to make them anew.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from recsys_lab import capabilities
from recsys_lab.download import cache_folder
from recsys_lab.slides_text import SlideError
from recsys_lab.sources import digest

VERSION = "4.5.1"
#: No pictures of emoji from a server, HTML as it stands in the source, and no new line where the source has one.
OPTIONS = {
    "html": True,
    "options": {"emoji": {"unicode": False, "shortcode": False}, "markdown": {"breaks": False}},
}
SECONDS = 300


def page(root: Path, theme: Path, text: str) -> str:
    """Return the page that Marp makes of a deck's Markdown."""
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch, "deck.html")
        run(root, theme, text, target, [])
        return target.read_text(encoding="utf-8")


def pdf(root: Path, theme: Path, text: str, target: Path) -> None:
    """Write a deck as PDF, with the system's Chromium."""
    browser = capabilities.find_browser()
    if browser is None:
        raise SlideError(f"a PDF needs a browser: {capabilities.CAPABILITIES['browser'].how}")
    run(root, theme, text, target, ["--pdf", "--pdf-outlines", "--browser-path", browser])


def run(root: Path, theme: Path, text: str, target: Path, more: list[str]) -> None:
    """Run Marp on a text."""
    program = installed(root)
    with tempfile.TemporaryDirectory() as scratch:
        source, options = Path(scratch, "deck.md"), Path(scratch, "options.json")
        source.write_text(text, encoding="utf-8")
        options.write_text(json.dumps(OPTIONS), encoding="utf-8")
        command = [
            node(),
            str(program),
            "--no-stdin",
            "--config-file",
            str(options),
            "--theme-set",
            str(theme.resolve()),
        ]
        call([*command, *more, "--output", str(target.resolve()), str(source)], scratch)


def node() -> str:
    """Return where node is."""
    path = shutil.which("node")
    if path is None or shutil.which("npm") is None:
        raise SlideError(f"making slides needs node and npm: {capabilities.CAPABILITIES['node'].how}")
    return path


def installed(root: Path) -> Path:
    """Return Marp's program; install it into the cache if it is not there."""
    lock = (root / "slides" / "package-lock.json").read_text(encoding="utf-8")
    folder = cache_folder() / "marp" / digest(VERSION, lock)
    program = folder / "node_modules" / "@marp-team" / "marp-cli" / "marp-cli.js"
    if not program.exists():
        node()
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:  # half an installation is never left behind
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(root / "slides" / name, Path(fresh, name))
            call([shutil.which("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"], fresh)
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(fresh, folder, symlinks=True)
    return program


def call(command: list[str], folder: str) -> None:
    """Run a program; an error has what it said."""
    env = dict(os.environ)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        env["CHROME_NO_SANDBOX"] = "1"  # Chromium refuses its sandbox to root
    try:
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise SlideError(f"{Path(command[0]).name} did not end within {SECONDS} s") from None
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise SlideError(f"{Path(command[0]).name} failed:\n{said}")
