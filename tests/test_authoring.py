"""From the source of a lab to its notebooks: what is built, what is refused, and what counts as stale."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib

import nbformat
import pytest
from tiny_course import ROOT, SOURCE, edit, set_edition, write_course

from recsys_lab import authoring, building, cli, notebook_checks, records, sources
from recsys_lab.sources import BuildError

NAME = "07_tiny"


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Build the tiny course, once."""
    root = write_course(tmp_path_factory.mktemp("built"))
    building.build(root)
    return root


@pytest.fixture
def course(built, tmp_path):
    """Return a copy of the built course that a test may spoil."""
    return shutil.copytree(built, tmp_path / "course")


@pytest.fixture
def no_kernel(monkeypatch):
    """Let any execution fail the test."""

    def refuse(*args, **kwargs):
        raise AssertionError("something was executed")

    monkeypatch.setattr(building, "execute", refuse)


def source(root):
    return root / "solutions" / f"{NAME}.py"


def solution(root):
    return root / "solutions" / f"{NAME}.ipynb"


def learners(root):
    return root / "labs" / f"{NAME}.ipynb"


def read(path):
    return nbformat.read(path, as_version=4)


def contents(root):
    return {path: path.read_bytes() for path in (solution(root), learners(root))}


def code(path):
    return "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "code")


# ---- what is built ------------------------------------------------------------------------------------------


def test_a_solution_becomes_a_task_and_nothing_else_of_it_is_left(built):
    text = code(learners(built))
    assert '    """Twice x."""\n    # TODO: your code\n    raise NotImplementedError("exercise 7.1")\n\n\ntry:' in text
    assert "return 2 * x" not in text
    assert "SOLUTION" not in text
    assert "record" not in text
    assert not [cell.metadata for cell in read(learners(built)).cells if cell.metadata]


def test_the_solution_is_executed_and_tagged_for_nbval(built):
    cells = [cell for cell in read(solution(built)).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [1, 2, 3, 4, 5]
    assert cells[1].outputs[0].text == "4\n"
    assert cells[2].outputs[0].text.endswith("object at 0x...>\n")
    assert [cell.metadata.tags[-1] for cell in cells].index("nbval-check-output") == 3
    assert {cell.metadata.tags[-1] for cell in cells} == {"nbval-check-output", "nbval-ignore-output"}


def test_numbers_in_prose_are_filled_in_and_kept(built):
    for path in (solution(built), learners(built)):
        assert read(path).cells[-1].source.startswith("The answer is 42.1.")
    assert records.load("07", built / "solutions") == {"lab07.answer": {"value": 42.1235, "text": "42.1"}}
    assert records.load("08", built / "solutions") == {}


def test_the_badge_names_each_notebook_and_the_edition(built):
    for path in (solution(built), learners(built)):
        _, blank, badge = read(path).cells[0].source.splitlines()[:3]
        assert blank == ""
        edition = sources.settings(built)[1]
        assert f"/github/someone/course/blob/{edition}/{path.relative_to(built).as_posix()})" in badge


def test_no_version_time_or_state_is_kept(built):
    metadata = read(solution(built)).metadata
    assert metadata.language_info == {"name": "python"}
    assert set(metadata) == {"kernelspec", "language_info", "recsys_lab"}
    assert "execution" not in json.dumps([cell.metadata for cell in read(solution(built)).cells])


def test_building_again_changes_nothing(course, no_kernel):
    before = contents(course)
    assert building.build(course) == ["07_tiny: nothing executed, unchanged"]
    assert contents(course) == before


def test_executing_again_changes_nothing_that_does_not_differ(course):
    edit(source(course), "os.getpid(), ", "")
    building.build(course)
    before = contents(course)
    assert building.build(course, ["07"], force=True) == ["07_tiny: executed, unchanged"]
    assert contents(course) == before
    assert sorted(path.name for path in course.rglob("*.new")) == []


def test_prose_and_edition_need_no_execution(course, no_kernel):
    edit(source(course), "The answer is", "It is")
    set_edition(course, "v0.0.1")
    building.build(course)
    for path in (solution(course), learners(course)):
        assert read(path).cells[-1].source.startswith("It is 42.1.")
        assert "blob/v0.0.1/" in read(path).cells[0].source
        assert "course@v0.0.1" in read(path).cells[1].source
    assert read(solution(course)).cells[3].outputs[0].text == "4\n"
    assert building.check(course) == []


def test_a_cell_keeps_its_id_when_it_moves_and_twins_differ(course):
    lab = sources.labs(course)[0]
    before = {cell.source: cell.id for cell in sources.read(lab)}
    parts = SOURCE.split("\n# %%")
    source(course).write_text("\n# %%".join([*parts[:2], parts[4], *parts[2:4], *parts[5:], parts[5]]) + "\n")
    after = sources.read(lab)
    assert {cell.source: cell.id for cell in reversed(after)} == before
    assert len({cell.id for cell in after}) == len(after) == len(before) + 1


def test_solution_and_lab_have_the_same_ids(built):
    theirs, ours = read(learners(built)).cells, read(solution(built)).cells
    assert [cell.id for cell in theirs] == [
        cell.id for cell in ours if "solution-only" not in cell.metadata.get("tags", [])
    ]


def test_figures_of_real_logs_are_stored_once_all_went_well(course):
    drawing = '\n# %% tags=["real-log"]\nopen(os.path.join(os.environ["RECSYS_LAB_FIGURES"], "{}.png"), "w").close()\n'
    source(course).write_text(SOURCE + drawing.format("lab07_good"))
    building.build(course)
    assert [path.name for path in (course / building.FIGURES).iterdir()] == ["lab07_good.png"]
    source(course).write_text(SOURCE + drawing.format("lab07_bad") + "\n# %%\n1 / 0\n")
    with pytest.raises(BuildError):
        building.build(course)
    assert [path.name for path in (course / building.FIGURES).iterdir()] == ["lab07_good.png"]


# ---- what is refused ----------------------------------------------------------------------------------------


def test_a_failing_cell_is_shown_and_nothing_is_written(course):
    before = contents(course)
    edit(source(course), 'print("the same each time")', 'print("now")\nraise KeyError("lost")')
    with pytest.raises(BuildError) as error:
        building.build(course)
    text = str(error.value)
    assert "07_tiny: cell 6 failed" in text
    assert '    print("now")\n' in text
    assert "KeyError: 'lost'" in text
    assert "\x1b" not in text
    assert contents(course) == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('tags=["check-output"]', 'tags=["chek-output"]', "cell 6: unknown tag 'chek-output'; there are setup, "),
        ('tags=["check-output"]', 'tags=["check-output", "real-log"]', "never compared"),
        ("import os\n", "# %matplotlib inline\nimport os\n", "cell 5: this is not plain Python"),
        ("import os\n", "import os,\n", "cell 5: this is not plain Python"),
        ("# # Lab 07", "# ## Lab 07", "begins with the title"),
        ("# The build puts", "import sys  # The build puts", "cell 2: the build fills this cell"),
        (' tags=["setup"]', "", "one set-up cell"),
        ("Exercise 7.1", "Exercise 7.2", "exercises are numbered 7.2; they have to be 7.1"),
        ("Exercise 7.1", "Exercise 2.1", "they have to be 7.1"),
        ("### Exercise 7.1", "### Task", "without a heading"),
        ("# BEGIN SOLUTION", "# begin solution", "cell 4: '# begin solution' is no mark"),
        ("# END SOLUTION", "#END SOLUTION", "is no mark"),
        ("    # END SOLUTION\n", "", "'# END SOLUTION' is missing"),
        ("    # BEGIN SOLUTION\n", "", "stands where the other mark should"),
        ("    return 2", "    # BEGIN SOLUTION\n    return 2", "stands where the other mark should"),
        ("import os\n", "# BEGIN SOLUTION\nimport os\n# END SOLUTION\n", "outside of any function"),
        ("# %% [markdown]\n# # Lab", "# ---\n# a: 1\n# ---\n# %% [markdown]\n# # Lab", "outside of any cell"),
    ],
)
def test_rules_of_the_source(tmp_path, monkeypatch, old, new, message):
    monkeypatch.setattr(building, "fresh_outputs", lambda lab, cells, *rest: ([], {}))
    assert old in SOURCE
    root = write_course(tmp_path, SOURCE.replace(old, new, 1))
    with pytest.raises(BuildError, match=re.escape(message)):
        building.build(root)
    assert not solution(root).exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{{ lab07.answer }}", "{{ lab07.answers }}", "nothing quotes 'lab07.answer'"),
        ("{{ lab07.answer }}", "{{ lab07.answer }} {{ lab07.other }}", "nothing is recorded as 'lab07.other'"),
        ("{{ lab07.answer }}", "{{ lab07.answer }} {{ lab08.x }}", "nothing is recorded as 'lab08.x'"),
        ("{{ lab07.answer }}", "{{ lab07.answer }} {{ }}", "nothing is recorded as ''"),
        ("{{ lab07.answer }}", "it", "nothing quotes 'lab07.answer'"),
        ('record("lab07.answer"', 'record("lab08.answer"', "must begin with 'lab07.'"),
        ("answer = ", 'record("lab07.answer", 1)\nanswer = ', "recorded twice: 1, then 42.1"),
        ('record("lab07.answer"', 'record("lab07 answer"', "a name looks like"),
        ("42.123456789", "float('nan')", "a finite number or a string is needed"),
    ],
)
def test_rules_of_records(tmp_path, old, new, message):
    root = write_course(tmp_path, SOURCE.replace(old, new))
    with pytest.raises(BuildError, match=re.escape(message)):
        building.build(root)
    assert not solution(root).exists()


def test_a_claim_stops_a_build_and_nothing_else(monkeypatch, tmp_path):
    monkeypatch.delenv(records.VARIABLE, raising=False)
    records.claim(False, "elsewhere")
    monkeypatch.setenv(records.VARIABLE, str(tmp_path / "records"))
    records.claim(True)
    with pytest.raises(records.RecordError, match="does not hold: recall falls"):
        records.claim(False, "recall falls")


def test_the_same_value_may_be_recorded_twice_and_slides_count(course):
    edit(source(course), "answer = ", 'for n in range(2):\n    record("lab07.slide", 3, "{} of them")\nanswer = ')
    with pytest.raises(BuildError, match=r"nothing quotes 'lab07\.slide'"):
        building.build(course)
    (course / "slides").mkdir()
    (course / "slides" / f"{NAME}.md").write_text("There are {{ lab07.slide }}.")
    building.build(course)
    assert records.load("07", course / "solutions")["lab07.slide"]["text"] == "3 of them"
    assert building.check(course) == []


def test_another_lab_may_be_quoted_and_goes_stale_with_it(course):
    second = (
        SOURCE.replace("7.1", "8.1")
        .replace("lab07", "lab08")
        .replace("{{ lab08.answer }}", "{{ lab08.answer }}, {{ lab07.answer }}")
    )
    write_course(course, second, "08_second")
    building.build(course, ["08"])
    assert "is 42.1, 42.1." in read(course / "labs/08_second.ipynb").cells[-1].source
    edit(source(course), "42.123456789", "43.0")
    building.build(course, ["07"])
    assert [line.split()[0] for line in building.check(course)] == ["solutions/08_second.ipynb", "labs/08_second.ipynb"]
    assert building.build(course)[1].startswith("08_second: nothing executed, wrote")
    assert building.check(course) == []


def test_a_defect_in_what_came_out_stops_the_build(course):
    before = contents(course)
    edit(source(course), 'print("the same each time")', 'import sys\nprint("careful", file=sys.stderr)')
    with pytest.raises(BuildError, match=r"07_tiny was not built:\s+cell 6: it writes to stderr: 'careful'"):
        building.build(course)
    assert contents(course) == before


def test_an_unknown_lab_is_named(course):
    with pytest.raises(BuildError, match=r"no solutions/09_\*.py \(labs: 07_tiny\)"):
        building.build(course, ["09"])


def test_the_setting_is_needed(course):
    (course / "pyproject.toml").write_text('[tool.recsys-lab]\nrepository = "a/b"\n')
    with pytest.raises(BuildError, match="repository and edition"):
        building.build(course)


# ---- what is stale ------------------------------------------------------------------------------------------


def change(path, how):
    notebook = read(path)
    how(notebook)
    path.write_text(building.text_of(notebook), encoding="utf-8")


def set_source(notebook):
    notebook.cells[3].source += "\n# by hand"


def set_prose(notebook):
    notebook.cells[-1].source = "The answer is 43."


def set_id(notebook):
    notebook.cells[2].id = "other"


def set_tags(notebook):
    notebook.cells[4].metadata.tags = []


def drop_cell(notebook):
    notebook.cells.pop()


def set_record(notebook):
    notebook.metadata.recsys_lab.records["lab07.answer"].text = "43.0"


def set_metadata(notebook):
    notebook.metadata.language_info.version = "3.11.7"


@pytest.mark.parametrize("how", [set_source, set_prose, set_id, set_tags, drop_cell, set_record, set_metadata])
@pytest.mark.parametrize("which", [solution, learners])
def test_what_was_changed_by_hand_is_stale(course, no_kernel, how, which):
    if which is learners and how in (set_tags, set_record):
        pytest.skip("a learner's notebook has neither")
    change(which(course), how)
    [line] = building.check(course)
    assert line.startswith(f"{which(course).relative_to(course).as_posix()}")


def test_a_record_changed_by_hand_is_measured_again(course):
    change(solution(course), set_record)
    assert building.build(course)[0].startswith("07_tiny: executed")
    assert building.check(course) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [("2 * x", "x + x"), ("Tiny", "Tiny!"), ('tags=["check-output"]', ""), ("import os\n", "import os\n\n\n\n")],
)
def test_a_changed_source_makes_its_notebooks_stale(course, no_kernel, old, new):
    edit(source(course), old, new)
    assert building.check(course)[0].startswith("solutions/07_tiny.ipynb is stale")


def test_outputs_are_not_looked_at(course, no_kernel):
    change(solution(course), lambda notebook: notebook.cells[3].outputs.clear())
    assert building.check(course) == []


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda root: solution(root).unlink(), "solutions/07_tiny.ipynb is missing or no notebook"),
        (lambda root: solution(root).write_text("{"), "solutions/07_tiny.ipynb is missing or no notebook"),
        (
            lambda root: learners(root).unlink(),
            "labs/07_tiny.ipynb is stale: it is not what solutions/07_tiny.py makes",
        ),
        (lambda root: set_edition(root, "v9.9.9"), "solutions/07_tiny.ipynb is stale: cell 1 has another source"),
    ],
)
def test_files_that_are_missing_or_of_another_edition(course, no_kernel, spoil, line):
    spoil(course)
    assert building.check(course)[0] == line


def test_notebooks_and_pictures_without_a_source(course, no_kernel):
    shutil.copy(learners(course), course / "labs" / "06_gone.ipynb")
    (course / building.FIGURES).mkdir(parents=True)
    (course / building.FIGURES / "lab06_gone.png").touch()
    assert building.check(course) == [
        "labs/06_gone.ipynb has no source in solutions/",
        "recsys_lab/figures/lab06_gone.png is used by no lab",
    ]


# ---- outputs, and the checks of what is committed: each finds the defect it is for ----------------------------


def test_what_changes_by_itself_is_taken_out(tmp_path):
    data = {"text/html": '<table id="T_1a2b3"><td id="T_1a2b3_row0">0x7f12ab34</td>', "image/svg+xml": "0x7f12ab34"}
    widget = {"text/plain": "IntSlider(value=3)", building.WIDGET: {"model_id": "abc"}}
    outputs = [nbformat.v4.new_output("display_data", data) for data in (data, widget)]
    outputs += [nbformat.v4.new_output("stream", text=f"kept in {tmp_path}/recsys-lab/progress.json")]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=outputs)])
    building.normalise(notebook, tmp_path)
    first, second, third = notebook.cells[0].outputs
    assert first.data["text/html"] == '<table id="T_00000"><td id="T_00000_row0">0x...</td>'
    assert first.data["image/svg+xml"] == "0x7f12ab34"
    assert second.data == {"text/plain": building.WIDGET_TEXT}
    assert third.text == "kept in ~/recsys-lab/progress.json"


def add_output(kind, **fields):
    return lambda notebook: notebook.cells[3].outputs.append(nbformat.v4.new_output(kind, **fields))


def add_html(text):
    return add_output("display_data", data={"text/html": text})


def add_prose(text):
    return lambda notebook: notebook.cells.append(nbformat.v4.new_markdown_cell(text))


def set_count(notebook):
    notebook.cells[3].execution_count = 9


def set_widget_state(notebook):
    notebook.metadata.widgets = {"application/vnd.jupyter.widget-state+json": {}}


DEFECTS = [
    (add_output("error", ename="KeyError", evalue="x", traceback=[]), "cell 4: an error is stored: KeyError"),
    (add_output("stream", name="stderr", text="Warning: old"), "cell 4: it writes to stderr: 'Warning: old'"),
    (add_output("stream", text="read /home/ann/log.csv"), "a place on this machine is stored: /home/ann/log.csv"),
    (add_output("stream", text=r"read C:\Users\ann\log.csv"), r"a place on this machine is stored: C:\Users\ann"),
    (add_output("stream", text="<object at 0x7f9a12>"), "a memory address is stored: 0x7f9a12"),
    (add_output("display_data", data={building.WIDGET: {"model_id": "a"}}), "a widget is stored"),
    (add_output("display_data", data={"image/png": "aGk="}), "a figure has no alternative text"),
    (add_html('<img src="data:image/png;base64,aGk=">'), "a picture has no alternative text"),
    (add_html('<img alt=" " src="x.png">'), "a picture has no alternative text"),
    (add_html("<svg><circle r='1'/></svg>"), "a picture has no alternative text"),
    (set_count, "its code cells were not executed in order: [1, 9, 3, 4, 5]"),
    (set_widget_state, "holds the state of widgets"),
    (add_prose("It is {{ lab07.x }}."), "cell 9: '{{' is left in the prose"),
    (add_prose("# Another title"), "2 first-level headings, not one: Lab 07 · Tiny, Another title"),
    (add_prose("#### Too deep"), "heading 'Too deep': level 4 after level 2"),
    (add_prose("![](../dot.png)"), "a picture in the prose has no alternative text"),
    (add_prose('<p><img src="../dot.png"></p>'), "a picture in the prose has no alternative text"),
    (add_prose("see [it](nowhere.md)"), "link nowhere.md: there is no such file"),
    (add_prose('see <a href="nowhere.md">it</a>'), "link nowhere.md: there is no such file"),
    (add_prose("see [it](../../../etc/passwd)"), "leads out of the repository"),
    (add_prose("see [it](#Nowhere)"), "link #Nowhere: there is no such anchor here"),
    (add_prose("see [it](../labs/07_tiny.ipynb#Nowhere)"), "there is no such anchor there"),
    (
        add_prose("see [it](https://github.com/someone/course/blob/v0.0.1/README.md)"),
        "leads to v0.0.1; the edition is v",
    ),
    (add_prose("see [it](https://github.com/someone/course/blob/{edition}/x.md)"), "there is no such file"),
]


@pytest.mark.parametrize(("plant", "line"), DEFECTS)
def test_a_planted_defect_is_found(course, plant, line):
    change(solution(course), plant)
    text = solution(course).read_text(encoding="utf-8").replace("{edition}", sources.settings(course)[1])
    solution(course).write_text(text, encoding="utf-8")
    [found] = notebook_checks.defects(course)
    assert found.startswith("solutions/07_tiny.ipynb: ")
    assert line in found


FINE = [
    add_html('<img alt="a dot" src="data:image/png;base64,/tmp/aaa0x7f9a12bc">'),
    add_html('<svg aria-label="a book"></svg><img aria-hidden="true" src="x.png">'),
    add_prose("```python\n# no heading\n```\n\nsee [it](https://example.org/a#b) and [this](../solutions/07_tiny.py)"),
    add_prose("### Deeper\n\n#### Still deeper\n\n## And up\n\nsee [it](../labs/07_tiny.ipynb#The-end)"),
    add_prose("see [it](https://github.com/someone/course/issues/3)"),
    add_output("stream", text="~/recsys-lab, https://x.org/home/y and home/z: 0xff"),
]


@pytest.mark.parametrize("plant", FINE)
def test_what_is_no_defect(course, plant):
    change(solution(course), plant)
    assert notebook_checks.defects(course) == []


def test_defects_of_a_learners_notebook(course):
    def spoil(notebook):
        notebook.cells[3].outputs.append(nbformat.v4.new_output("stream", text="4"))
        notebook.cells[4].execution_count = 1
        notebook.cells[5].source += "\n# BEGIN SOLUTION"
        notebook.cells[6].source += "\n# Title\n\n{{ lab07.x }}"
        notebook.metadata.widgets = {}

    change(learners(course), spoil)
    lines = "\n".join(notebook_checks.defects(course))
    for words in ("cell 4: has outputs", "cell 5: has outputs", "cell 6: a mark", "2 first-level", "'{{'", "widgets"):
        assert words in lines


def test_a_large_file_is_named(course):
    change(solution(course), add_output("stream", text="x" * notebook_checks.MAX_BYTES))
    assert "bytes; at most 1,500,000 are allowed" in notebook_checks.defects(course)[0]


# ---- the set-up cell on Colab and elsewhere -------------------------------------------------------------------


@pytest.fixture
def run_setup(monkeypatch):
    """Run the set-up cell in an IPython of its own, with a stand-in for pip; return (error, what pip was told)."""
    from IPython.core.interactiveshell import InteractiveShell

    def run(edition, on_colab=False, installed="0.2.0"):
        shell, told = InteractiveShell(), []
        shell.register_magic_function(told.append, magic_name="pip")
        if on_colab:
            monkeypatch.setitem(sys.modules, "google.colab", sys)
        if installed is None:
            monkeypatch.setitem(sys.modules, "recsys_lab", None)
        else:
            monkeypatch.setattr("recsys_lab.__version__", installed)
        result = shell.run_cell(authoring.setup_code("someone/course", edition), silent=True)
        return result.error_in_exec, told

    return run


def test_on_colab_the_edition_is_installed_and_nothing_else_replaced(run_setup):
    error, told = run_setup("v0.2.0", on_colab=True)
    assert error is None
    assert told == [
        'install -q --no-deps implicit rapidfuzz "recsys-lab @ git+https://github.com/someone/course@v0.2.0"'
    ]


def test_an_install_that_failed_does_not_go_unnoticed(run_setup, capsys):
    error, _ = run_setup("v0.2.0", on_colab=True, installed=None)
    assert isinstance(error, AssertionError)
    assert "needs recsys-lab 0.2.0 or newer; found 0.0.0" in str(error)
    assert "Restart session" in str(error)


@pytest.mark.parametrize(
    ("edition", "installed", "fine"),
    [
        ("v0.2.0", "0.2.0", True),
        ("v0.2.0", "0.10.0", True),
        ("v0.2.0", "0.3.0.dev1", True),
        ("v0.2.0", "0.1.9", False),
        ("v0.2.1", "0.2.0", False),
    ],
)
def test_elsewhere_it_only_looks(run_setup, capsys, edition, installed, fine):
    error, told = run_setup(edition, installed=installed)
    assert told == []
    assert isinstance(error, AssertionError) != fine


def test_every_dependency_is_on_colab_or_is_installed_there():
    on_colab = ["ipywidgets", "matplotlib", "numpy", "pandas", "pooch", "pyarrow", "scipy", "torch", "tqdm"]
    # torch, pooch, pooch and scikit-learn need them
    on_colab += ["filelock", "platformdirs", "requests", "threadpoolctl"]
    # the labs are notebooks already; web pages and their checks are not part of a lab
    not_imported = ["jupyterlab", "fastapi", "jinja2", "prometheus-client", "python-multipart", "segno", "uvicorn"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.match(r"[\w-]+", line)[0] for line in project["dependencies"]]
    assert set(names) <= {*on_colab, *not_imported, *authoring.COLAB_LACKS}


# ---- a new lab, and the commands ----------------------------------------------------------------------------


CHECKS = """
class Answers:
    def __getattr__(self, name):
        return lambda items: 1 - len(set(items)) / len(items)

answers = Answers()

def repeat_share(function):
    try:
        print("correct" if function([7, 3, 7]) == 1 / 3 else "not yet")
    except NotImplementedError:
        print("not attempted")
"""


def test_the_template_builds_and_is_plain_python(tmp_path):
    root = write_course(tmp_path)
    path = building.new(root, "90_what_now")
    text = path.read_text(encoding="utf-8")
    ast.parse(text)
    assert "# # Lab 90 · What now" in text
    assert "Exercise 90.1" in text
    assert "NN" not in text
    for words in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *words, "--stdin-filename", "solutions/90_what_now.py", "-"]
        assert subprocess.run(ruff, input=text.encode(), cwd=ROOT).returncode == 0
    # its own module of checks is what an author writes next
    (root / "solutions" / "stand_in.py").write_text(CHECKS)
    edit(path, "from recsys_lab.checks import lab90 as check", "import stand_in as check")
    edit(path, '"trivago-100k"', '"bookshop"')  # the real log may not be here
    building.build(root, ["90"])
    assert building.check(root, ["90"]) == []
    assert "exercise 90.1" in code(root / "labs/90_what_now.ipynb")


@pytest.mark.parametrize(
    ("name", "message"), [("7_x", "two digits"), ("08-x", "two digits"), ("08_X", "two digits"), ("07_b", "07 already")]
)
def test_a_name_that_will_not_do(course, name, message):
    with pytest.raises(BuildError, match=message):
        building.new(course, name)


@pytest.fixture
def command(course, monkeypatch, capsys):
    """Run a command of ``recsys-lab`` on the course; return (status, what it printed)."""
    monkeypatch.setattr(cli, "ROOT", course)

    def run(*words):
        status = cli.main(list(words))
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


def test_the_commands(course, command):
    assert command("build", "--check") == (0, "all notebooks are up to date\n")
    edit(source(course), "Tiny", "Small")
    status, printed = command("build", "--check")
    assert status == 1
    assert "solutions/07_tiny.ipynb is stale" in printed
    assert printed.endswith("run: recsys-lab build\n")
    assert command("build", "07")[0] == 0
    assert command("build", "--check", "07")[0] == 0
    assert command("new", "08_more")[1].endswith("then: recsys-lab build 08\n")
    assert command("new", "08_more")[0] == 2
    assert command("build", "99") == (2, command("build", "99")[1])


def test_reset_is_a_command(course, command):
    assert command("reset", "07")[0] == 0
    edit(course / "work" / "07_tiny.ipynb", "TODO: your code", "mine")
    status, printed = command("reset", "07")
    assert (status, printed.splitlines()[0]) == (0, "Your old copy is now work/07_tiny.kept-1.ipynb")
    assert command("reset", "42")[0] == 2


def test_authors_hear_what_is_missing(command, monkeypatch):
    monkeypatch.delitem(sys.modules, "recsys_lab.building", raising=False)
    monkeypatch.setitem(sys.modules, "nbformat", None)
    status, printed = command("build", "--check")
    assert status == 2
    assert "pip install --editable '.[test]'" in printed


def test_what_record_returns_is_not_stored_as_an_output(course):
    building.build(course)
    stored = nbformat.read(course / "solutions" / "07_tiny.ipynb", as_version=4)
    assert all(not cell.outputs for cell in stored.cells if "solution-only" in cell.metadata.get("tags", []))
