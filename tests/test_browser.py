"""A lab in a real JupyterLab, in a real browser: run all, read the boxes, click the explorer."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import pytest
from ports import free_port, wait_for

from recsys_lab import environment
from recsys_lab.checks import lab01
from recsys_lab.notebook_run import replace_stub

pytestmark = pytest.mark.needs("browser")
LAB = environment.ROOT / "labs" / "01_interaction_signals.ipynb"
TOKEN = "only-for-this-test"


def answers_of_all_kinds(folder) -> None:
    """A copy of lab 01 with a right answer, a wrong one, one that raises, and the others untouched."""
    notebook = nbformat.read(LAB, as_version=4)
    right = "def sessionise(events, minutes):\n    from recsys_lab.checks.lab01 import sessionise\n\n"
    replace_stub(notebook, "sessionise", right + "    return sessionise.reference(events, minutes)\n")
    replace_stub(notebook, "drop_double_fires", lab01.drop_double_fires.wrong_answers[0][1])
    replace_stub(notebook, "find_bots", "def find_bots(events, min_events, max_gap):\n    return events['sesion_id']\n")
    nbformat.write(notebook, folder / LAB.name)


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory):
    """Address of a JupyterLab on that copy; all cells of a notebook are in its page, not only those in view."""
    folder = tmp_path_factory.mktemp("work")
    answers_of_all_kinds(folder)
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text(json.dumps({"windowingMode": "none"}))
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        f"--port={port}",
        f"--IdentityProvider.token={TOKEN}",
    ]
    command += ["--allow-root", "--ServerApp.port_retries=0"]
    variables = {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "RECSYS_LAB_DATA": ""}
    variables["RECSYS_LAB_PROGRESS_FILE"] = str(folder / "progress.json")
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env={**os.environ, **variables}, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/api/status?token={TOKEN}", server, folder / "log.txt")
            yield f"{address}/lab/tree/{LAB.name}?token={TOKEN}"
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture(scope="module")
def page(jupyterlab, browser):
    """The copy, opened and run from its first cell to its last."""
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    page.set_default_timeout(60_000)
    page.goto(jupyterlab)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # before, the menu runs nothing and says nothing
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    wait_until_run(page)
    return page


def wait_until_run(page, seconds: float = 120) -> None:
    """Wait until every code cell has a number."""
    prompts, end = [""], time.monotonic() + seconds
    while time.monotonic() < end:
        prompts = page.locator(".jp-CodeCell .jp-InputArea-prompt").all_inner_texts()
        if len(prompts) > 20 and all(re.search(r"\d", prompt) for prompt in prompts):
            return
        time.sleep(0.5)
    page.screenshot(path=str(Path(tempfile.gettempdir(), "recsys-lab-browser.png")))
    pytest.fail(f"not all cells ran: {prompts}; see recsys-lab-browser.png in {tempfile.gettempdir()}")


def box(page, function: str):
    """The output under the cell that defines a function."""
    cell = page.locator(".jp-CodeCell").filter(has_text=re.compile(rf"def {function}\("))
    return cell.locator(".jp-OutputArea").first


def test_no_cell_raised(page):
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").all_inner_texts() == []
    assert page.locator(".jp-RenderedText:has-text('Traceback')").count() == 0


def test_the_four_outcomes_are_told_apart_by_their_words(page):
    assert "Correct" in box(page, "sessionise").inner_text()
    wrong = box(page, "drop_double_fires").inner_text()
    assert "Not yet" in wrong
    assert lab01.drop_double_fires.wrong_answers[0][0][:40] in " ".join(wrong.split())
    raised = box(page, "find_bots").inner_text()
    assert "Your code raised" in raised
    assert "KeyError" in raised and "sesion_id" in raised
    assert "Not attempted" in box(page, "repeat_share").inner_text()


def test_figures_have_a_text_and_show(page):
    figures = page.locator(".jp-OutputArea img")
    assert figures.count() >= 5
    for figure in figures.all():
        assert figure.get_attribute("alt")
        assert figure.evaluate("image => image.naturalWidth") > 300


def test_the_explorer_moves_by_click(page):
    explorer = page.locator(".jp-OutputArea", has=page.get_by_role("button", name="Next")).last
    before = explorer.inner_text()
    explorer.get_by_role("button", name="Next").click()
    page.wait_for_function("([e, old]) => e.innerText !== old", arg=[explorer.element_handle(), before])
    first = explorer.inner_text()
    explorer.get_by_role("button", name="Next").click()
    page.wait_for_function("([e, old]) => e.innerText !== old", arg=[explorer.element_handle(), first])
    explorer.get_by_role("button", name="Previous").click()
    page.wait_for_function("([e, old]) => e.innerText === old", arg=[explorer.element_handle(), first])


def test_the_page_asked_nobody_but_this_machine(page):
    hosts = page.evaluate("performance.getEntriesByType('resource').map(entry => new URL(entry.name).hostname)")
    assert set(hosts) - {"127.0.0.1", ""} <= {"colab.research.google.com"}  # the badge's picture
