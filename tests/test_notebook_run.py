"""Running notebooks: offline from end to end, and under nbval, where a dead kernel must not cost the time limit."""

import os
import re
import shutil
import subprocess
import sys
import time

import nbformat
import pytest
from tiny_course import ROOT, edit, write_course

from recsys_lab import building
from recsys_lab.notebook_run import execute, replace_stub, run_notebook

WRONG = "def double(x):\n    return x"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the tiny course, once."""
    root = write_course(tmp_path_factory.mktemp("built"))
    building.build(root)
    return root


@pytest.fixture
def course(built, tmp_path):
    return shutil.copytree(built, tmp_path / "course")


def notebook_of(path, *sources):
    """Write a notebook with these code cells; return its path."""
    cells = [nbformat.v4.new_code_cell(source, execution_count=n) for n, source in enumerate(sources, 1)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


# ---- from end to end, offline -------------------------------------------------------------------------------


def test_a_lab_runs_whole_untouched_and_with_another_answer(built):
    lab = built / "labs" / "07_tiny.ipynb"
    before = lab.read_bytes(), sorted(built.rglob("*"))
    run = run_notebook(lab)
    assert (run.errors, run.finished, len(run.cells)) == ([], True, 4)
    assert run.notebook.cells[3].outputs[0].text == "not attempted: exercise 7.1\n"
    assert 0 < sum(cell.seconds for cell in run.cells) < run.seconds
    run = run_notebook(lab, {"7.1": WRONG})
    assert (run.errors, run.notebook.cells[3].outputs[0].text) == ([], "2\n")
    assert (lab.read_bytes(), sorted(built.rglob("*"))) == before


def test_errors_are_told_cell_by_cell_and_do_not_end_the_run(tmp_path):
    run = run_notebook(notebook_of(tmp_path / "x.ipynb", "a = 1", "1 / 0", "exit_code = a", "import sys; sys.exit(3)"))
    assert run.finished
    assert [cell.number for cell in run.errors] == [2, 4]
    assert run.errors[0].error.endswith("ZeroDivisionError: division by zero")
    assert run.errors[1].error.endswith("SystemExit: 3\n") or "SystemExit" in run.errors[1].error


def test_there_is_no_network_but_this_machine(tmp_path):
    here = """
import socket, threading
server = socket.create_server(("127.0.0.1", 0))
with socket.create_connection(("localhost", server.getsockname()[1])) as client:
    print("reached")"""
    away = [
        "import urllib.request; urllib.request.urlopen('http://example.org', timeout=5)",
        "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)",
        "import socket; socket.getaddrinfo('example.org', 80)",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "import os; assert 'HTTPS_PROXY' not in os.environ",
    ]
    start = time.monotonic()
    run = run_notebook(notebook_of(tmp_path / "x.ipynb", here, *away))
    assert [cell.number for cell in run.errors] == [2, 3, 4, 5, 6]
    assert "no network in this run: 192.0.2.1" in run.errors[1].error
    assert "no network in this run: example.org" in run.errors[2].error
    assert time.monotonic() - start < 15


def test_a_dead_kernel_ends_the_run_soon(tmp_path):
    path = notebook_of(tmp_path / "x.ipynb", "1", "import os; os._exit(1)", "2")
    run = run_notebook(path, timeout=300)
    assert not run.finished
    assert [(cell.number, cell.error) for cell in run.errors] == [(2, "the kernel died")]
    assert run.seconds < 20


def test_the_time_limit_is_for_all_cells_together(tmp_path):
    path = notebook_of(tmp_path / "x.ipynb", "import time; time.sleep(0.5)", "while True: pass", "2")
    run = run_notebook(path, timeout=4)
    assert not run.finished
    assert [(cell.number, cell.error) for cell in run.errors] == [(2, "the time limit of 4 s was reached")]
    assert run.seconds < 10


def test_variables_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_LAB_DATA", "/data")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names = ["RECSYS_LAB_DATA", "A", "OMP_NUM_THREADS", "RECSYS_LAB_PROGRESS"]
    cell = f"import os; print([os.environ.get(name) for name in {names}], os.environ.get('MPLBACKEND') != 'Agg')"
    run = run_notebook(notebook_of(tmp_path / "x.ipynb", cell), env={"RECSYS_LAB_DATA": "", "A": "b"})
    assert run.notebook.cells[0].outputs[0].text == "[None, 'b', '1', '0'] True\n"


def test_nobodys_progress_is_touched(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_LAB_PROGRESS_FILE", str(tmp_path / "mine.json"))
    notebook = nbformat.read(
        notebook_of(tmp_path / "x.ipynb", "import os; open(os.environ['RECSYS_LAB_PROGRESS_FILE'], 'w')"), 4
    )
    assert execute(notebook, tmp_path).errors == []
    assert not (tmp_path / "mine.json").exists()


@pytest.mark.parametrize("name", ["2.3", "rank"])
def test_only_the_stub_is_replaced(name):
    stub = 'x = 1\n\n\n@f\ndef rank(a):\n    """Say."""\n    raise NotImplementedError("exercise 2.3")\n\n\ncheck(rank)'
    other = 'def first(a):\n    raise NotImplementedError("exercise 2.1")'
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (other, stub)])
    replace_stub(notebook, name, "def rank(a):\n    return 0\n")
    assert notebook.cells[0].source == other
    assert notebook.cells[1].source == "x = 1\n\n\ndef rank(a):\n    return 0\n\n\ncheck(rank)"
    with pytest.raises(KeyError, match=re.escape(f"no stub for '{name}'")):
        replace_stub(notebook, name, "")


# ---- nbval --------------------------------------------------------------------------------------------------


def nbval(root, *arguments):
    """Run nbval on a course in a process of its own; return (exit status, output, seconds)."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "RECSYS_LAB"))}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--doctest-modules", *arguments]
    start = time.monotonic()
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=280)
    return done.returncode, done.stdout + done.stderr, time.monotonic() - start


STRICT = ["--nbval", "solutions/"]
LAX = ["solutions", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=250"]


def rewrite(path, old, new):
    """Change a stored output, as if it had come out differently when the notebook was built."""
    notebook = nbformat.read(path, as_version=4)
    [output] = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if old in output.get("text", "")
    ]
    output.text = new
    nbformat.write(notebook, path)


@pytest.mark.parametrize("arguments", [STRICT, LAX])
def test_what_was_built_passes_and_the_sources_are_left_alone(course, arguments):
    edit(course / "solutions" / "07_tiny.py", "# %% [markdown]\n# # Lab", "raise SystemExit\n# %% [markdown]\n# # Lab")
    status, output, _ = nbval(course, *arguments)
    assert (status, "5 passed" in output) == (0, True), output


@pytest.mark.parametrize("arguments", [STRICT, LAX])
def test_marked_cells_are_compared_and_others_are_not(course, arguments):
    path = course / "solutions" / "07_tiny.ipynb"
    rewrite(path, "another number", "another number: 1")
    rewrite(path, "the same each time", "something else")
    status, output, _ = nbval(course, *arguments)
    assert status == 1
    assert "1 failed, 4 passed" in output
    assert "Cell outputs differ" in output


def test_a_dead_kernel_is_noticed_at_once(course):
    (course / "solutions" / "07_tiny.ipynb").unlink()
    notebook_of(course / "solutions" / "08_dead.ipynb", "1", "import os; os._exit(1)", "2")
    status, output, seconds = nbval(course, *LAX)
    assert status == 1
    assert "the kernel died while it ran this cell" in output
    assert seconds < 60  # the time limit for a cell is 250


def test_the_time_limit_for_a_cell_holds(course):
    (course / "solutions" / "07_tiny.ipynb").unlink()
    notebook_of(course / "solutions" / "08_slow.ipynb", "1", "import time; time.sleep(100)")
    status, output, seconds = nbval(course, *LAX[:-1], "--nbval-cell-timeout=3")
    assert status == 1
    assert "Timeout of 3 seconds exceeded" in output
    assert seconds < 60


def test_random_names_and_pixels_are_not_compared(course):
    path = course / "solutions" / "08_names.ipynb"
    (course / "solutions" / "07_tiny.ipynb").unlink()
    html = "'<style>#T_{0:05x}_row0 {{}}</style><img src=\"data:image/png;base64,{1}\">'"
    cell = "import os, base64\nfrom IPython.display import HTML\nnumber = os.getpid()\n"
    cell += f"HTML({html}.format(number, base64.b64encode(str(number).encode()).decode()))"
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell, metadata={"tags": ["nbval-check-output"]})]
    )
    execute(notebook, course)
    nbformat.write(notebook, path)
    assert nbval(course, *STRICT)[0] == 0
    (course / "tests" / "nbval_sanitize.cfg").write_text("")
    assert nbval(course, *STRICT)[0] == 1
