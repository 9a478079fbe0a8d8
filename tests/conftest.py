"""What checks may need beyond Python, and a list of what was skipped for lack of it.

``@pytest.mark.needs("redis", "node")`` skips a test where one of them is missing; with ``--require redis`` it fails
instead. The fixture `real_logs` implies ``needs("real-logs")``. ``@pytest.mark.full`` is for a long version, which
runs with ``--full``.
"""

import importlib
import os
from collections import Counter
from pathlib import Path

import pytest

from recsys_lab import capabilities

os.environ["MPLBACKEND"] = "Agg"  # no window; set before anything imports matplotlib
FULL = "--full"


def pytest_addoption(parser):
    group = parser.getgroup("recsys-lab")
    group.addoption("--require", default="", metavar="NAMES", help="fail, not skip, where one of these is missing")
    group.addoption(FULL, action="store_true", help="run the long versions too")


def pytest_configure(config):
    names = ", ".join(capabilities.CAPABILITIES)
    config.addinivalue_line("markers", f"needs(*names): skip where one of these is missing: {names}")
    config.addinivalue_line("markers", "full: a long version, runs with --full only")
    try:
        capabilities.parse_names(config.getoption("--require"))
    except ValueError as error:
        raise pytest.UsageError(f"--require: {error}") from None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Skip or fail before any fixture is made: a fixture may be what needs the missing thing."""
    if item.get_closest_marker("full") and not item.config.getoption(FULL):
        skip(item, [FULL], "a long version: run with --full")
    names = [name for mark in item.iter_markers("needs") for name in mark.args]
    names += ["real-logs"] if "real_logs" in getattr(item, "fixturenames", ()) else []
    lacking = capabilities.missing(capabilities.parse_names(",".join(dict.fromkeys(names))))
    if not lacking:
        return
    reason = "; ".join(f"needs {name}: {capabilities.CAPABILITIES[name].how}" for name in lacking)
    if set(lacking) & set(capabilities.parse_names(item.config.getoption("--require"))):
        pytest.fail(reason, pytrace=False)
    skip(item, lacking, reason)


def skip(item, lacking, reason):
    """Skip a test; what it lacks travels with its report, so that under xdist the controller hears of it."""
    item.user_properties.extend(("lacks", name) for name in lacking)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter):
    """List what was missing, for how many tests, and how to get it."""
    counts = Counter(
        value
        for report in terminalreporter.stats.get("skipped", [])
        for key, value in getattr(report, "user_properties", [])
        if key == "lacks"
    )
    if counts:
        terminalreporter.section("skipped for lack of something")
    for name in sorted(counts):
        how = "the long versions" if name == FULL else capabilities.CAPABILITIES[name].how
        terminalreporter.write_line(f"{name}: {counts[name]} test(s); {how}")


@pytest.fixture(scope="session")
def real_logs() -> Path:
    """Return the folder with the real logs; a test that asks for it is skipped where they are missing."""
    return Path(os.environ["RECSYS_LAB_DATA"]).resolve()


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium, for tests that need ("browser")."""
    playwright = importlib.import_module("playwright.sync_api").sync_playwright().start()
    try:
        browser = playwright.chromium.launch(executable_path=capabilities.find_browser(), args=["--no-sandbox"])
        yield browser
        browser.close()
    finally:
        playwright.stop()
