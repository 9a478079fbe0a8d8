"""The skipping, requiring and counting of conftest.py, tried in a pytest of its own."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SOME_TESTS = """
import pytest

@pytest.fixture
def logs_opened():
    raise RuntimeError("made although the logs are missing")

@pytest.mark.needs("redis")
def test_redis(): pass

@pytest.mark.needs("redis")
def test_redis_again(): pass

@pytest.mark.needs("node", "browser")
def test_two(): pass

def test_logs(real_logs): pass

@pytest.mark.needs("real-logs")
def test_fixture(logs_opened): pass

@pytest.mark.full
def test_long(): pass

def test_plain(): pass
"""


@pytest.fixture
def inner(pytester, monkeypatch):
    """Make a folder with our conftest.py and some tests, on a machine that has node and nothing else."""
    monkeypatch.delenv("RECSYS_LAB_DATA", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loading all plugins is most of the time
    conftest = Path(__file__).with_name("conftest.py").read_text(encoding="utf-8")
    only_node = """
import dataclasses
for _name, _capability in list(capabilities.CAPABILITIES.items()):
    capabilities.CAPABILITIES[_name] = dataclasses.replace(
        _capability, find=lambda _name=_name: "/bin/node" if _name == "node" else None
    )
"""
    pytester.makeconftest(conftest + only_node)
    pytester.makepyfile(SOME_TESTS)
    return pytester


def run(inner, *arguments):
    # A process of its own: the inner conftest changes CAPABILITIES. No cache: nothing of it is of use.
    return inner.runpytest_subprocess("-p", "no:cacheprovider", "--strict-markers", *arguments)


@pytest.mark.parametrize("workers", [[], ["-p", "xdist", "-n", "2", "--dist", "loadfile"]])
def test_missing_things_skip_and_are_counted_with_and_without_workers(inner, workers):
    result = run(inner, *workers)
    result.assert_outcomes(passed=1, skipped=6)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*skipped for lack of something*",
            "--full: 1 test(s); the long versions",
            "browser: 1 test(s); install Chromium*",
            "real-logs: 2 test(s); set RECSYS_LAB_DATA*",
            "redis: 2 test(s); install Redis*",
        ]
    )
    result.stdout.no_fnmatch_line("node: *")


def test_a_skip_says_what_is_missing_and_how_to_get_it(inner):
    run(inner, "-rs").stdout.fnmatch_lines(["SKIPPED*needs browser: install Chromium*"])


@pytest.mark.parametrize("workers", [[], ["-p", "xdist", "-n", "2", "--dist", "loadfile"]])
def test_require_turns_just_those_skips_into_failures(inner, workers):
    result = run(inner, *workers, "--require", "redis,node")
    result.assert_outcomes(passed=1, skipped=4, errors=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*needs redis: install Redis*"])


def test_full_runs_the_long_versions(inner):
    run(inner, "--full").assert_outcomes(passed=2, skipped=5)


def test_nothing_missing_gives_no_section(inner):
    result = run(inner, "-k", "plain")
    result.assert_outcomes(passed=1, deselected=6)
    result.stdout.no_fnmatch_line("*skipped for lack*")


def test_an_unknown_name_after_require_is_a_usage_error(inner):
    result = run(inner, "--require", "cat")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unknown capability 'cat'; valid names: browser, redis, node, real-logs*"])


def test_an_unknown_name_in_a_mark_fails_that_test(pytester):
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile("import pytest\n@pytest.mark.needs('cat')\ndef test_it(): pass")
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*unknown capability 'cat'*"])


@pytest.mark.needs("real-logs")
def test_the_real_logs_are_where_the_fixture_says(real_logs):
    assert real_logs.is_absolute()
    assert (real_logs / "rsc15_100k").is_dir()


def test_figures_open_no_window():
    import matplotlib

    assert matplotlib.get_backend().lower() == "agg"
