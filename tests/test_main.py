"""The set-up: every way in which an environment can be broken, with the installers replaced by quick stand-ins."""

import ast
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from recsys_lab import __main__ as main
from recsys_lab import environment

PACKAGE = Path(main.__file__).parent
STEPS = ["venv", "uv", "torch", "all", "imports"]
on_posix = pytest.mark.skipif(os.name == "nt", reason="replaces the interpreter by a shell script")


class Killed(BaseException):
    """The process is gone: nothing in it may catch this."""


class Installer:
    """Stands in for `environment.call`: makes real but nearly empty environments, and breaks off where told."""

    def __init__(self, root):
        self.root, self.steps = root, []
        self.kill_at = self.fail_at = None
        self.failure = "error: something"

    def __call__(self, command):
        words = [str(word) for word in command]
        step = self.name(words)
        if step == "torch" and "--no-index" in words and not (self.packages() / "torch").is_dir():
            return 1, "no torch is installed"
        self.steps.append(step)
        if step == self.kill_at:
            self.do(step, words, whole=False)
            raise Killed
        if step == self.fail_at:
            return 1, self.failure
        self.do(step, words)
        return 0, ""

    def name(self, words):
        found = [
            words[1:3] == ["-m", "venv"] and "venv",
            words[2:4] == ["pip", "install"] and "uv",
            words[-1].startswith("torch") and "torch",
            "--editable" in words and "all",
            words[1] == "-c" and "imports",
        ]
        return next(name for name in found if name)

    def packages(self):
        folders = [*self.root.glob(".venv/lib/python*/site-packages"), *self.root.glob(".venv/Lib/site-packages")]
        return folders[0]

    def do(self, step, words, whole=True):
        if step == "venv":
            if whole:
                venv.create(words[-1], symlinks=os.name != "nt")
                self.put("pip")
            else:
                Path(words[-1], "half").write_text("")
        elif step == "all":
            names = ["jupyterlab", "recsys_lab", *(environment.CHECKERS if "test" in words[-1] else ())]
            for name in names if whole else names[:1]:
                self.put(name)
        elif step in ("uv", "torch"):
            self.put(step)

    def put(self, name):
        (self.packages() / name).mkdir(exist_ok=True)
        (self.packages() / name / "__init__.py").write_text("")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Make an empty checkout for the set-up to work on."""
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["tqdm>=4", "torch>=2.4"]\n')
    (root / environment.LOCK).write_text("tqdm==4.70\n")
    monkeypatch.setattr(environment, "ROOT", root)
    monkeypatch.setattr(main, "ROOT", root)
    monkeypatch.setattr(environment.tempfile, "tempdir", str(tmp_path))  # where the lock goes
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return root


@pytest.fixture
def installer(checkout, monkeypatch):
    """Put the stand-in in place of the installers."""
    installer = Installer(checkout)
    monkeypatch.setattr(environment, "call", installer)
    return installer


@pytest.fixture
def ready(installer):
    """Make an environment that is ready for the checks."""
    environment.set_up(["test"])
    installer.steps.clear()
    return installer


def python_script(checkout, answer):
    """Put a script that prints `answer` in place of the environment's Python."""
    path = environment.venv_python()
    path.unlink()
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)


# ---- making it, and the second run --------------------------------------------------------------------------


def test_from_nothing_every_step_once_and_then_none(installer, capsys):
    python = environment.set_up(["test"])
    assert installer.steps == STEPS
    assert python.exists()
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]][-1] == "ready"
    environment.set_up(["test"])
    assert installer.steps == STEPS


def test_an_environment_for_the_checks_serves_the_labs_and_not_the_other_way(installer):
    environment.set_up([])
    environment.set_up(["test"])
    assert installer.steps == [*STEPS, *STEPS[1:]]
    environment.set_up([])
    assert len(installer.steps) == 9


def test_an_update_for_the_labs_keeps_what_the_checks_had(ready):
    (environment.ROOT / environment.LOCK).write_text("tqdm==4.71\n")
    environment.set_up([])
    assert environment.read_stamp()["extras"] == ["test"]


# ---- broken ones --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_killed_in_any_step_it_is_made_anew(installer, step):
    installer.kill_at = step
    with pytest.raises(Killed):
        environment.set_up(["test"])
    assert environment.judge(["test"])[0] == "make"
    installer.kill_at = None
    installer.steps.clear()
    environment.set_up(["test"])
    assert installer.steps == STEPS
    assert not (environment.ROOT / ".venv/half").exists()
    assert environment.judge(["test"])[0] == ""


@pytest.mark.parametrize("step", STEPS[1:])
def test_killed_in_an_update_it_is_made_anew(ready, step):
    (environment.ROOT / environment.LOCK).write_text("tqdm==4.71\n")
    ready.kill_at = step
    with pytest.raises(Killed):
        environment.set_up(["test"])
    assert environment.judge(["test"])[0] == "make"


def test_killed_before_anything_was_there(installer):
    (environment.ROOT / ".venv").mkdir()
    environment.set_up([])
    assert installer.steps == STEPS


def test_killed_while_an_old_one_is_removed(ready, monkeypatch):
    shutil.rmtree(ready.packages() / "torch")

    def half(path):
        (environment.ROOT / ".venv/pyvenv.cfg").unlink(missing_ok=True)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(environment.shutil, "rmtree", half)
        with pytest.raises(Killed):
            environment.set_up(["test"])
    ready.steps.clear()
    environment.set_up(["test"])
    assert ready.steps == STEPS


def remove_package(root):
    shutil.rmtree(next(path for path in root.rglob("jupyterlab") if path.is_dir()))


def remove_pip(root):
    shutil.rmtree(next(path for path in root.rglob("pip") if path.is_dir()))
    newer_lock(root)


def remove_python(root):
    environment.venv_python().unlink()


def dangling_python(root):
    environment.venv_python().unlink()
    environment.venv_python().symlink_to(root / "gone/python3")


def silent_python(root):
    python_script(root, "")


def old_python(root):
    found = ["pip", "torch", "jupyterlab", "recsys_lab", *environment.CHECKERS]
    python_script(root, json.dumps([str(root / ".venv"), [3, 10], found]))


def moved(root):
    stamp = environment.read_stamp()
    environment.write_stamp({**stamp, "place": str(root / "elsewhere")})


def not_its_python(root):
    python_script(root, json.dumps([str(root / "elsewhere"), list(sys.version_info[:2]), []]))


def half_a_stamp(root):
    path = root / ".venv" / environment.STAMP
    path.write_text(path.read_text()[:10])


def stamp_of_another_kind(root):
    (root / ".venv" / environment.STAMP).write_text("[]")


def newer_project(root):
    path = root / "pyproject.toml"
    path.write_text(path.read_text() + "# more\n")


def newer_lock(root):
    (root / environment.LOCK).write_text("tqdm==4.71\n")


def no_stamp(root):
    (root / ".venv" / environment.STAMP).unlink()


def nothing(root):
    pass


@pytest.mark.parametrize(
    ("damage", "todo", "why"),
    [
        (nothing, "", "up to date"),
        (newer_project, "update", "has changed"),
        (newer_lock, "update", "has changed"),
        (no_stamp, "update", "not made by this command"),
        (half_a_stamp, "make", "did not come to its end"),
        (stamp_of_another_kind, "make", "did not come to its end"),
        (remove_package, "make", "packages have gone"),
        (remove_pip, "make", "does not start"),
        (remove_python, "make", "does not start"),
        pytest.param(dangling_python, "make", "does not start", marks=on_posix),
        pytest.param(silent_python, "make", "does not start", marks=on_posix),
        pytest.param(old_python, "make", "another Python", marks=on_posix),
        pytest.param(not_its_python, "make", "does not start", marks=on_posix),
        (moved, "make", "was moved"),
    ],
)
def test_what_has_to_be_done(ready, damage, todo, why):
    damage(environment.ROOT)
    verdict = environment.judge(["test"])
    assert verdict[0] == todo
    assert why in verdict[1]
    environment.set_up(["test"])
    assert ready.steps == {"": [], "update": STEPS[1:], "make": STEPS}[todo]
    assert environment.judge(["test"])[0] == ""


@on_posix
def test_a_checkout_that_moved_with_its_environment(ready, monkeypatch):
    new = ready.root.with_name("moved")
    ready.root.rename(new)
    monkeypatch.setattr(environment, "ROOT", new)
    ready.root = new
    environment.set_up(["test"])
    assert ready.steps == STEPS  # its programs name the old place


def test_a_folder_that_is_no_environment_is_left_alone(installer):
    (environment.ROOT / ".venv").mkdir()
    (environment.ROOT / ".venv/thesis.txt").write_text("mine")
    with pytest.raises(environment.Stop, match="in the way"):
        environment.set_up([])
    assert (environment.ROOT / ".venv/thesis.txt").read_text() == "mine"


def test_the_environment_in_use_is_not_removed(ready, monkeypatch):
    half_a_stamp(environment.ROOT)
    monkeypatch.setattr(sys, "prefix", str(environment.ROOT / ".venv"))
    with pytest.raises(environment.Stop, match="deactivate"):
        environment.set_up([])
    assert environment.venv_python().exists()


def test_a_second_set_up_at_the_same_time_stops(installer):
    with environment.only_one(), pytest.raises(environment.Stop, match=r"Another set-up .* is running"):
        environment.set_up([])
    environment.set_up([])  # and the lock has gone with the first


# ---- failing steps ------------------------------------------------------------------------------------------


def test_an_update_that_fails_before_it_changes_anything_leaves_the_old_one(ready):
    newer_lock(environment.ROOT)
    ready.fail_at = "all"
    with pytest.raises(environment.Stop):
        environment.set_up(["test"])
    assert environment.judge(["test"])[0] == "update"


def test_somebody_elses_environment_is_not_taken_for_ours_after_a_failure(ready):
    no_stamp(environment.ROOT)
    ready.fail_at = "all"
    with pytest.raises(environment.Stop):
        environment.set_up(["test"])
    assert environment.judge(["test"])[0] == "update"


def test_an_update_that_fails_after_it_changed_something_is_made_anew(ready, monkeypatch):
    newer_lock(environment.ROOT)
    ready.fail_at = "all"
    times = iter([[1], [2]])
    monkeypatch.setattr(environment, "package_folder_times", lambda: next(times))
    with pytest.raises(environment.Stop):
        environment.set_up(["test"])
    assert environment.judge(["test"])[0] == "make"


def test_a_failed_step_says_the_command_the_last_lines_and_what_to_do(installer, capsys):
    installer.fail_at = "all"
    installer.failure = "\n".join(f"line {number}" for number in range(40)) + "\ndns error"
    with pytest.raises(environment.Stop) as stop:
        environment.set_up(["test"])
    text = str(stop.value)
    assert "--editable" in text
    assert "line 39" in text
    assert "line 5\n" not in text
    assert "What to do: get online" in text
    assert "everything else" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("The virtual environment was not created because ensurepip is not available.", "python3-venv"),
        ("OSError: [Errno 28] No space left on device", "free about 3 GB"),
        ("[Errno 13] Permission denied: 'x.py'", "where you may write"),
        ("invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
        ("Failed to fetch: https://download.pytorch.org/whl/cpu/torch/\ndns error", "PIP_FIND_LINKS"),
        ("ERROR: Could not find a version that satisfies uv (from versions: none)", "get online"),
        ("Temporary failure in name resolution", "get online"),
        ("segmentation fault", "by hand"),
    ],
)
def test_advice_fits_the_failure(monkeypatch, output, advice):
    monkeypatch.setattr(environment, "call", lambda command: (1, output))
    with pytest.raises(environment.Stop, match=f"What to do: .*{advice}"):
        environment.step("a step", ["program"])


def test_a_full_disk_on_the_first_way_is_not_hidden_by_a_missing_network_on_the_last(monkeypatch):
    answers = {"a": "No space left on device (os error 28)", "b": "dns error"}
    monkeypatch.setattr(environment, "call", lambda command: (1, answers[command[0]]))
    with pytest.raises(environment.Stop, match=r"os error 28[\s\S]*What to do: free about 3 GB"):
        environment.step("a step", ["a"], ["b"])


def test_call_gives_status_and_output(checkout):
    code = "import sys; print('seen'); print('too', file=sys.stderr); sys.exit(3)"
    status, output = environment.call([sys.executable, "-c", code])
    assert status == 3
    assert output.split() == ["seen", "too"] or output.split() == ["too", "seen"]


def test_nothing_outside_leads_the_installers_astray():
    env = environment.installer_environment(
        {"PYTHONPATH": "/a", "PIP_USER": "1", "PIP_INDEX_URL": "https://mirror/simple", "PIP_CERT": "/c.pem"}
    )
    assert "PYTHONPATH" not in env
    assert env["PIP_USER"] == "0"
    assert env["UV_DEFAULT_INDEX"] == "https://mirror/simple"
    assert env["SSL_CERT_FILE"] == "/c.pem"


# ---- which torch --------------------------------------------------------------------------------------------

KEEP = ["--no-index", "--no-deps", "torch>=2.4"]
CPU_INDEX = ["--constraint", environment.LOCK, "--torch-backend", "cpu", "torch>=2.4"]
PLAIN = ["--constraint", environment.LOCK, "torch>=2.4"]


@pytest.mark.parametrize(
    ("links", "platform", "expected"),
    [
        ("", "linux", [KEEP, CPU_INDEX]),
        ("", "darwin", [KEEP, PLAIN]),
        ("", "win32", [KEEP, PLAIN]),
        ("{wheels}", "linux", [KEEP, "wheels", CPU_INDEX]),
        ("{wheels}", "win32", [KEEP, "wheels", PLAIN]),
        ("file://{wheels}", "linux", [KEEP, "wheels", CPU_INDEX]),
        ("{empty} {wheels}", "linux", [KEEP, "wheels", CPU_INDEX]),
        ("{empty}", "linux", [KEEP, CPU_INDEX]),
        ("{gone}", "linux", [KEEP, CPU_INDEX]),
        ("https://example.org/wheels", "linux", [KEEP, CPU_INDEX]),
    ],
)
def test_ways_to_a_torch(tmp_path, links, platform, expected):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl").touch()
    (tmp_path / "empty").mkdir()
    links = links.format(wheels=wheels, empty=tmp_path / "empty", gone=tmp_path / "gone")
    ways = environment.torch_ways("torch>=2.4", {"PIP_FIND_LINKS": links}, platform)
    folder = ["--no-index", "--no-deps", "--find-links", wheels, "torch>=2.4"]
    assert ways == [folder if way == "wheels" else way for way in expected]


def test_the_first_way_that_works_is_taken(checkout, monkeypatch, capsys):
    tried = []
    monkeypatch.setattr(environment, "call", lambda command: (tried.append(command), (command != ["b"], ""))[1])
    environment.step("torch", ["a"], ["b"], ["c"])
    assert tried == [["a"], ["b"]]


def test_the_range_is_that_of_the_project(checkout):
    assert environment.torch_range() == "torch>=2.4"


def test_the_project_has_a_range_for_torch_and_a_lock_without_it():
    root = PACKAGE.parent
    if not (root / environment.LOCK).is_file():
        pytest.skip("an installed copy")
    lock = (root / environment.LOCK).read_text()
    pins = [line for line in lock.splitlines() if not line.startswith("#")]
    assert not [pin for pin in pins if pin.startswith(("torch", "nvidia", "-")) or "/" in pin or "==" not in pin]
    assert "pandas==" in lock


# ---- the two commands ---------------------------------------------------------------------------------------


@pytest.fixture
def programs(monkeypatch):
    """Note the programs that would run in the foreground, each with status 0 or what `statuses` says."""
    seen, statuses = [], {}

    def run_program(command, **variables):
        seen.append(([str(word) for word in command], variables))
        return next((status for word, status in statuses.items() if word in seen[-1][0]), 0)

    monkeypatch.setattr(main, "run_program", run_program)
    monkeypatch.setattr(main, "python_at_hand", lambda extras: "python")
    return seen, statuses


def test_all_checks_run_in_order_with_one_thread_each(checkout, programs, capsys):
    assert main.main(["test", "--no-setup"]) == 0
    commands = [command[2:] for command, _ in programs[0]]
    assert commands == [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["codespell_lib"],
        ["pytest", "-n", "auto", "--dist", "loadfile"],
    ]
    assert programs[0][-1][1] == {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def test_notebooks_are_compared_in_a_check_of_their_own(checkout, programs, capsys):
    (checkout / "solutions").mkdir()
    (checkout / "solutions" / "01_a.ipynb").write_text("{}")
    programs[1]["--nbval-lax"] = 1
    assert main.main(["test", "--no-setup", "tests/test_split.py"]) == 1
    command = programs[0][-1][0]
    assert command[2:8] == ["pytest", "-n", "auto", "--dist", "loadfile", "solutions"]
    assert {"--nbval-current-env", "--nbval-cell-timeout=60"} < set(command)
    assert "tests/test_split.py" not in command
    assert "  nbval         FAILED" in capsys.readouterr().out


@pytest.mark.parametrize("broken", ["check", "--check", "codespell_lib", "pytest"])
def test_a_failing_check_stops_no_other_and_fails_the_whole(checkout, programs, capsys, broken):
    programs[1][broken] = 5
    assert main.main(["test", "--no-setup"]) == 1
    assert len(programs[0]) == 4
    summary = capsys.readouterr().out.split("--- summary")[1]
    assert summary.count("FAILED") == 1
    assert summary.count(" ok ") == 3


def test_arguments_for_pytest_go_there_in_their_order(checkout, programs):
    main.main(["test", "-k", "top_k and not slow", "--no-setup", "--require", "redis,node", "--full", "-x", "tests"])
    pytest_command = programs[0][-1][0]
    expected = ["--require", "redis,node", "--full", "-k", "top_k and not slow", "-x", "tests"]
    assert pytest_command[-len(expected) :] == expected


@pytest.mark.parametrize("arguments", [["--full-trace"], ["--", "-q"], ["-x", "--", "-q"], ["--ful"]])
def test_no_argument_for_pytest_is_taken_for_a_shortened_one_of_ours(checkout, programs, arguments):
    main.main(["test", "--no-setup", *arguments])
    assert programs[0][-1][0][-1] == arguments[-1]
    assert not {"--full", "--"} & {*programs[0][-1][0]}


def test_lab_opens_a_copy_of_the_first_lab_or_else_the_whole_folder(checkout, programs, capsys):
    main.main(["lab", "--no-setup"])
    (checkout / "labs").mkdir()
    for name in ("02_b", "01_a"):
        (checkout / "labs" / f"{name}.ipynb").write_text('{"cells": [], "metadata": {}}')
    main.main(["lab", "--no-setup", "--no-browser", "--port", "9001", "--ServerApp.token=abc"])
    first, second = (command for command, _ in programs[0])
    assert first[:4] == ["python", "-m", "jupyterlab", str(checkout)]
    assert second[3:5] == [str(checkout), "--LabApp.default_url=/lab/tree/work/01_a.ipynb"]
    assert "work/02_b.ipynb: a fresh copy" in capsys.readouterr().out
    assert second[5:9] == ["--LabApp.news_url=None", "--no-browser", "--port", "9001"]
    assert second[-1] == "--ServerApp.token=abc"
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    assert ("--allow-root" in first) == as_root


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required"),
        (["demo"], "invalid choice"),
        (["test", "--require", "cat"], "unknown capability 'cat'; valid names: browser, redis, node, real-logs"),
        (["test", "--require"], "expected one argument"),
        (["lab", "--port", "http"], "invalid int value"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main.main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_an_installed_copy_says_that_it_is_one(checkout, capsys):
    (checkout / "pyproject.toml").unlink()
    assert main.main(["lab"]) == 1
    assert "not a checkout" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["lab", "test"])
def test_without_set_up_missing_programs_are_named(checkout, monkeypatch, capsys, command):
    monkeypatch.setattr(main, "find_spec", lambda name: None)
    assert main.main([command, "--no-setup"]) == 1
    error = capsys.readouterr().err
    assert {"lab": "jupyterlab", "test": "ruff, codespell_lib, pytest, xdist"}[command] in error
    assert "pip install --editable" in error


def test_a_failed_set_up_gives_one_and_no_traceback(installer, capsys):
    installer.fail_at = "torch"
    assert main.main(["test"]) == 1
    assert "What to do" in capsys.readouterr().err


def test_interrupted(checkout, monkeypatch, capsys):
    def interrupt(extras):
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "set_up", interrupt)
    assert main.main(["test"]) == 130


def test_an_error_of_the_system_is_one_line(checkout, monkeypatch, capsys):
    def full(extras):
        raise PermissionError(13, "Permission denied", ".venv")

    monkeypatch.setattr(main, "set_up", full)
    assert main.main(["test"]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_program_runs_with_its_environment_on_the_path(checkout):
    code = "import os, sys; sys.exit(7 if os.environ['A'] == 'b' and os.environ['PATH'].startswith({!r}) else 1)"
    folder = str(Path(sys.executable).parent)
    assert main.run_program([sys.executable, "-c", code.format(folder)], A="b") == 7


# ---- on a bare or an old Python -----------------------------------------------------------------------------


def test_an_old_python_can_read_as_far_as_the_message():
    for name in ("__main__.py", "__init__.py"):
        ast.parse((PACKAGE / name).read_text(encoding="utf-8"), feature_version=(3, 6))


def test_the_version_check_comes_before_any_import_of_our_own():
    body = ast.parse((PACKAGE / "__main__.py").read_text(encoding="utf-8")).body
    check = next(number for number, node in enumerate(body) if isinstance(node, ast.If))
    ours = [n for n, node in enumerate(body) if isinstance(node, ast.ImportFrom) and "recsys_lab" in node.module]
    assert ours
    assert all(number > check for number in ours)


def test_the_bootstrap_needs_the_standard_library_only():
    code = "import sys, recsys_lab.__main__; print(*{name.split('.')[0] for name in sys.modules})"
    output = subprocess.run(
        # -S: without site-packages, so that an import of more than the standard library fails
        [sys.executable, "-S", "-c", code],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert set(output.split()) <= {*sys.stdlib_module_names, "recsys_lab", "__main__"}


def test_importing_the_package_pulls_in_nothing_heavy():
    code = "import sys, recsys_lab; print(*{'torch', 'pandas', 'numpy', 'matplotlib', 'plotly'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
