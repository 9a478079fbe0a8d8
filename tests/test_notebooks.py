"""The notebooks that are committed: up to date, without a defect, and running from end to end.

What each check finds is shown on planted defects in test_authoring.py; whether the stored outputs are true is for nbval
(``python -m recsys_lab test``).
"""

import importlib

import pytest

import recsys_lab
from recsys_lab import building, environment, notebook_checks, sources
from recsys_lab.notebook_run import run_notebook

ROOT = environment.ROOT
LABS = sources.labs(ROOT)
LEARNERS_LIMIT_S = 180
each_lab = pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)


def test_every_notebook_is_what_its_source_makes():
    assert building.check(ROOT) == []


def test_no_notebook_has_a_defect():
    assert notebook_checks.defects(ROOT) == []


def test_labs_are_numbered_once():
    numbers = [lab.number for lab in LABS]
    assert len(set(numbers)) == len(numbers)


def test_the_edition_that_the_labs_ask_for_is_not_newer_than_the_package():
    def numbers(version):
        return [int(number) for number in version.split(".")[:3]]

    if LABS:
        assert numbers(sources.settings(ROOT)[1].removeprefix("v")) <= numbers(recsys_lab.__version__)


@each_lab
def test_an_untouched_lab_runs_to_its_end_without_a_network(lab):
    run = run_notebook(lab.notebook, timeout=LEARNERS_LIMIT_S, env={"RECSYS_LAB_DATA": ""})
    assert run.finished
    assert run.errors == []


def wrong_answers(lab) -> list[tuple[str, str]]:
    """(exercise, code) of every known mistake of a lab."""
    exercises = importlib.import_module(f"recsys_lab.checks.lab{lab.number}").lab.exercises
    return [(exercise.number, code) for exercise in exercises.values() for _, code in exercise.wrong_answers]


@each_lab
def test_a_lab_with_every_exercise_wrong_runs_to_its_end(lab):
    wrong = dict(reversed(wrong_answers(lab)))  # the first mistake of each exercise
    run = run_notebook(lab.notebook, wrong, timeout=LEARNERS_LIMIT_S, env={"RECSYS_LAB_DATA": ""})
    assert run.finished
    assert run.errors == []


@pytest.mark.full
@pytest.mark.parametrize(
    ("lab", "wrong"),
    [
        pytest.param(lab, dict([answer]), id=f"{lab.name}-{i}")
        for lab in LABS
        for i, answer in enumerate(wrong_answers(lab))
    ],
)
def test_a_lab_with_one_wrong_answer_runs_to_its_end(lab, wrong):
    run = run_notebook(lab.notebook, wrong, timeout=LEARNERS_LIMIT_S, env={"RECSYS_LAB_DATA": ""})
    assert run.finished
    assert run.errors == []
