"""The report about this machine, and the command that shows it."""

import importlib.metadata
import json
import os
import subprocess
import sys
import threading
import time
import tomllib
import types
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from recsys_lab import capabilities, cli, doctor

ROOT = Path(cli.__file__).parent.parent


@pytest.fixture
def packages(monkeypatch):
    """Pretend that these packages are installed, and are what the course needs."""
    installed = {"numpy": "2.1.3", "pandas": "3.0.0"}
    needs = ["numpy>=1.26", "pandas>=2.2", 'ruff>=0.6; extra == "test"']

    def version(name):
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needs)
    return installed, needs


@pytest.fixture
def server():
    """Serve a status of one's choice on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.server.asked.append(self.path)
            self.send_response(int(self.path.rsplit("/", 1)[-1]))
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


# ---- packages -----------------------------------------------------------------------------------------------


def test_packages_in_range_are_ok_and_extras_are_not_asked_for(packages):
    rows = doctor.dependency_rows()
    assert [(row.what, row.state, row.found) for row in rows] == [("numpy", "ok", "2.1.3"), ("pandas", "ok", "3.0.0")]


def test_a_missing_and_an_old_package_are_problems(packages):
    installed, needs = packages
    needs.append("torch>=2.10")
    installed["pandas"] = "2.1.4"
    rows = {row.what: row for row in doctor.dependency_rows()}
    assert rows["torch"].state == rows["pandas"].state == "problem"
    assert rows["torch"].found.startswith("missing")
    assert "2.1.4" in rows["pandas"].found
    assert rows["pandas"].advice == 'pip install "pandas>=2.2"'


@pytest.mark.parametrize(
    ("installed", "lowest", "enough"),
    [
        ("2.13.0+cpu", "2.4", True),
        ("2.9", "2.10", False),
        ("2.2.0", "2.2", True),
        ("2.2", "2.2.0", True),
        ("3.0.0rc1", "2.2", True),
        ("1.25.9", "1.26", False),
        ("2026.1", "15", True),
    ],
)
def test_versions_compare_as_numbers(installed, lowest, enough):
    assert (doctor.release(installed) >= doctor.release(lowest)) == enough


def test_every_core_dependency_of_the_project_is_understood():
    path = ROOT / "pyproject.toml"
    if not path.is_file():
        pytest.skip("an installed copy")
    wanted = tomllib.loads(path.read_text(encoding="utf-8"))["project"]["dependencies"]
    assert [name for name, _ in doctor.requirements()] == [line.split(">=")[0] for line in wanted]


def test_a_course_that_is_not_installed_is_a_problem(packages, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: None)
    (row,) = doctor.dependency_rows()
    assert row.state == "problem"
    assert "python -m recsys_lab lab" in row.advice


@pytest.mark.parametrize(
    ("version", "state", "word"),
    [("7.7.1", "ok", "7"), ("8.1.9", "ok", "8"), ("9.0.0", "note", "9"), (None, "problem", "no ipywidgets")],
)
def test_widgets(packages, version, state, word):
    if version:
        packages[0]["ipywidgets"] = version
    row = doctor.widgets_row()
    assert row.state == state
    assert word in row.found


# ---- torch --------------------------------------------------------------------------------------------------


def torch_stand_in(folder, monkeypatch, text):
    """Put a module named torch first on the path of the process that is asked."""
    (folder / "torch.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(folder))


FAKE_TORCH = """
import types
__version__ = "2.11.0"
cuda = types.SimpleNamespace(is_available=lambda: {cuda}, get_device_name=lambda index: "T4")
backends = types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: {mps}))
def get_num_threads(): return 4
"""


@pytest.mark.parametrize(
    ("cuda", "mps", "use"),
    [
        (False, False, "torch 2.11.0 on the CPU"),
        (True, False, "torch 2.11.0 on T4"),
        (False, True, "torch 2.11.0 on Apple GPU (mps)"),
    ],
)
def test_gpu(tmp_path, monkeypatch, cuda, mps, use):
    torch_stand_in(tmp_path, monkeypatch, FAKE_TORCH.format(cuda=cuda, mps=mps))
    row = doctor.torch_row()
    assert (row.state, row.use) == ("ok", use)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("raise OSError('libgomp.so.1: cannot open shared object file')", "libgomp"),
        ("import os; os._exit(139)", "exit status 139"),
    ],
)
def test_a_torch_that_does_not_import_is_a_problem_and_no_crash(tmp_path, monkeypatch, text, word):
    torch_stand_in(tmp_path, monkeypatch, text)
    row = doctor.torch_row()
    assert row.state == "problem"
    assert word in row.found


def test_a_missing_torch_is_told_once(tmp_path, monkeypatch):
    torch_stand_in(tmp_path, monkeypatch, "raise ModuleNotFoundError(\"No module named 'torch'\")")
    assert (doctor.torch_row().state, doctor.torch_row().advice) == ("note", "")


def test_a_torch_that_hangs_is_given_up(tmp_path, monkeypatch):
    torch_stand_in(tmp_path, monkeypatch, "import time; time.sleep(60)")
    row = doctor.torch_row(timeout=0.5)
    assert row.state == "problem"
    assert "did not answer" in row.found


# ---- the machine --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("free", "state"), [(50, "ok"), (0.5, "note"), (0.1, "problem")])
def test_disk(monkeypatch, free, state):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=free * doctor.GIB))
    row = doctor.disk_row()
    assert row.state == state
    assert bool(row.advice) == (state != "ok")


@pytest.mark.parametrize(("size", "state"), [(16, "ok"), (2, "note"), (None, "note")])
def test_memory(monkeypatch, size, state):
    monkeypatch.setattr(doctor, "memory_bytes", lambda: size and size * doctor.GIB)
    assert doctor.memory_row().state == state


def test_memory_of_this_machine_is_plausible():
    size = doctor.memory_bytes()
    assert size is None or 2**27 < size < 2**50


@pytest.mark.parametrize("status", [200, 403, 503])
def test_a_network_that_answers_at_all_is_there(server, monkeypatch, status):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert doctor.network_row(f"{server.url}/{status}", 3).state == "ok"
    assert len(server.asked) == 1


def test_the_probe_goes_through_the_proxy_of_the_environment(server, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.url)
    assert doctor.network_row("http://nowhere.invalid/200", 3).state == "ok"
    assert server.asked == ["http://nowhere.invalid/200"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://nowhere.invalid/", "no address"])
def test_no_network_is_a_fact_and_no_problem(monkeypatch, url):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert doctor.network_row(url, 3).state == "note"


def test_the_probe_never_takes_longer_than_it_may(monkeypatch):
    release = threading.Event()

    def slow():
        release.wait(30)
        raise OSError

    monkeypatch.setattr(doctor.urllib.request, "build_opener", slow)
    start = time.perf_counter()
    assert doctor.network_row("http://127.0.0.1/", 0.2).state == "note"
    assert time.perf_counter() - start < 5
    release.set()


@pytest.mark.parametrize("way", ["modules", "environment", "neither"])
def test_colab(monkeypatch, way):
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    if way == "modules":
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    if way == "environment":  # what a command started with "!" in a notebook sees
        monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    assert doctor.on_colab() == (way != "neither")


# ---- capabilities -------------------------------------------------------------------------------------------


def some_logs(folder, names):
    for name in names:
        (folder / name).mkdir()
        (folder / name / "events.parquet").touch()


def test_real_logs(tmp_path, monkeypatch):
    monkeypatch.delenv("RECSYS_LAB_DATA", raising=False)
    assert doctor.real_logs_row().state == "note"
    assert capabilities.missing(["real-logs"]) == ["real-logs"]
    monkeypatch.setenv("RECSYS_LAB_DATA", str(tmp_path))
    assert doctor.real_logs_row().advice
    some_logs(tmp_path, capabilities.REAL_LOG_FOLDERS[:2])
    (tmp_path / capabilities.REAL_LOG_FOLDERS[2]).mkdir()  # empty: does not count
    assert doctor.real_logs_row().use == "2 real logs"
    assert capabilities.missing(["real-logs"]) == ["real-logs"]
    (tmp_path / capabilities.REAL_LOG_FOLDERS[2]).rmdir()
    some_logs(tmp_path, capabilities.REAL_LOG_FOLDERS[2:])
    assert doctor.real_logs_row().state == "ok"
    assert capabilities.missing(["real-logs"]) == []


def test_the_folders_are_those_of_the_registry():
    from recsys_lab.registry import registry

    folders = {entry.folder for entry in registry().values() if entry.folder}
    assert folders == set(capabilities.REAL_LOG_FOLDERS)


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("browser", "chromium"),
        ("browser", "google-chrome"),
        ("redis", "redis-server"),
        ("node", "node"),
    ],
)
def test_programs_are_found_on_the_path(monkeypatch, name, program):
    monkeypatch.setattr(capabilities.shutil, "which", lambda word: f"/bin/{word}" if word == program else None)
    assert capabilities.missing([name]) == []
    assert doctor.capability_row(name).found == f"/bin/{program}"


def test_a_missing_program_is_a_note_that_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(capabilities.shutil, "which", lambda word: None)
    row = doctor.capability_row("redis")
    assert row.state == "note"
    assert "redis-server" in row.advice


@pytest.mark.parametrize(("text", "names"), [("", []), ("redis", ["redis"]), (" redis , node,", ["redis", "node"])])
def test_names(text, names):
    assert capabilities.parse_names(text) == names


# ---- the report ---------------------------------------------------------------------------------------------

ROWS = [
    doctor.Row("Python", "ok", "3.12.1", use="Python 3.12.1"),
    doctor.Row("redis", "note", "not found", "install Redis"),
]
PROBLEM = doctor.Row("torch", "problem", "missing", "pip install torch")


def test_examine_says_something_about_everything(server):
    rows = doctor.examine(probe_url=f"{server.url}/200")
    names = [row.what for row in rows]
    for name in ("Python", "pandas", "torch", "widgets", "GPU", "memory", "disk", "network", "Colab", "real logs"):
        assert name in names
    assert {"browser", "redis", "node"} <= set(names)
    assert {row.state for row in rows} <= {"ok", "note", "problem"}
    assert all(row.found for row in rows)


def test_the_table_has_a_sign_and_a_word_in_each_row():
    lines = doctor.as_text([*ROWS, PROBLEM]).splitlines()
    assert [line.split()[:3] for line in lines[:3]] == [
        ["✓", "ok", "Python"],
        ["!", "note", "redis"],
        ["✗", "problem", "torch"],
    ]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", None])
def test_a_poor_terminal_gets_plain_signs(encoding):
    doctor.as_text([*ROWS, PROBLEM], encoding).encode(encoding or "ascii")


def test_the_end_is_one_line_what_is_used_and_one_what_to_do():
    assert doctor.as_text(ROWS).splitlines()[-2:] == [
        "The labs will use Python 3.12.1 and the shipped shop.",
        "To do only if you need it: redis: install Redis.",
    ]
    assert doctor.as_text([*ROWS, PROBLEM]).splitlines()[-2:] == [
        "The labs cannot run yet. What is there: Python 3.12.1.",
        "To do: pip install torch.",
    ]
    assert doctor.as_text(ROWS[:1]).splitlines()[-1] == "The labs will use Python 3.12.1 and the shipped shop."


# ---- the command --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "status"), [(ROWS, 0), ([*ROWS, PROBLEM], 1)])
def test_doctor_command(monkeypatch, capsys, rows, status):
    monkeypatch.setattr(doctor, "examine", lambda: rows)
    assert cli.main(["doctor"]) == status
    assert "Python" in capsys.readouterr().out
    assert cli.main(["doctor", "--json"]) == status
    answer = json.loads(capsys.readouterr().out)
    assert [row["what"] for row in answer["rows"]] == [row.what for row in rows]
    assert answer["use"]


def test_data_command_lists_and_describes(capsys):
    assert cli.main(["data"]) == 0
    assert "rsc15-100k" in capsys.readouterr().out


@pytest.mark.needs("real-logs")
def test_data_command_describes_one_with_its_licence(capsys):
    assert cli.main(["data", "movielens-100k"]) == 0
    assert "licence" in capsys.readouterr().out


@pytest.mark.parametrize("error", [ValueError("no such thing"), FileNotFoundError("it is gone"), OSError("disk")])
def test_an_error_that_the_package_explains_is_one_message(monkeypatch, capsys, error):
    def fail():
        raise error

    monkeypatch.setattr(doctor, "examine", fail)
    assert cli.main(["doctor"]) == 2
    assert capsys.readouterr().err == f"recsys-lab: {error}\n"
    with pytest.raises(type(error)):
        cli.main(["--traceback", "doctor"])


def test_an_unknown_data_set(capsys):
    assert cli.main(["data", "no-such-log"]) == 2
    assert "no-such-log" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["doctor", "--xml"]])
def test_wrong_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    code = (
        "import sys; from recsys_lab import cli, doctor\n"
        "doctor.examine = lambda: [doctor.Row('x' * 99999, 'ok', '')]\n"
        "sys.exit(cli.main(['doctor']))"
    )
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (run.returncode, run.stderr) == (0, "")


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from recsys_lab import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: print({'torch', 'pandas', 'numpy', 'matplotlib'} & {*sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "set()"
    assert "doctor" in run.stdout
