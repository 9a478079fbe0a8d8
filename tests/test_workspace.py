"""The learner's copies: nothing that a person wrote is ever lost, and who wrote nothing gets the newer edition."""

import json
import shutil

import pytest

from recsys_lab import workspace

NAME = "01_a.ipynb"


def write_lab(root, text="raise NotImplementedError", edition="v1", content=None, name=NAME):
    """Write a lab as the build does."""
    cells = [
        {"cell_type": "markdown", "source": ["# A\n", "text"]},
        {"cell_type": "code", "source": text, "outputs": []},
    ]
    facts = {"cells": workspace.fingerprint(cells), "content": content or text, "edition": edition}
    (root / "labs").mkdir(exist_ok=True)
    path = root / "labs" / name
    path.write_text(json.dumps({"cells": cells, "metadata": {"recsys_lab": facts}}), encoding="utf-8")
    return path


def save(path, change):
    """Save a copy as JupyterLab does: other metadata, ids, sources as lists of lines; and what `change` does."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for number, cell in enumerate(notebook["cells"]):
        cell.update(id=f"c{number}", source="".join(cell["source"]).splitlines(keepends=True), metadata={"x": 1})
    notebook["metadata"]["language_info"] = {"version": "3.13"}
    change(notebook)
    path.write_text(json.dumps(notebook, indent=1), encoding="utf-8")


def nothing(notebook):
    pass


def answer(notebook):
    notebook["cells"][1]["source"] = ["return 1"]


def run(notebook):
    notebook["cells"][1]["outputs"] = [{"output_type": "stream", "text": "2"}]


def add(notebook):
    notebook["cells"].append({"cell_type": "markdown", "source": "my notes"})


def turn(notebook):
    notebook["cells"][1]["cell_type"] = "raw"


def no_facts(notebook):
    del notebook["metadata"]["recsys_lab"]


WROTE = [answer, run, add, turn, no_facts]


@pytest.fixture
def copy(tmp_path):
    """Make a checkout with one lab and the learner's copy of it."""
    write_lab(tmp_path)
    workspace.prepare(tmp_path)
    return tmp_path / "work" / NAME


def test_copies_are_made_once(tmp_path):
    lab, second = write_lab(tmp_path), write_lab(tmp_path, name="02_b.ipynb")
    copies, lines = workspace.prepare(tmp_path)
    assert [path.read_bytes() for path in copies] == [lab.read_bytes(), second.read_bytes()]
    assert lines == ["work/01_a.ipynb: a fresh copy", "work/02_b.ipynb: a fresh copy"]
    assert workspace.prepare(tmp_path) == (copies, [])
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == [NAME, "02_b.ipynb"]


def test_without_labs_there_is_nothing_to_copy(tmp_path):
    assert workspace.prepare(tmp_path) == ([], [])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"no lab 01 \(labs: none here\)"):
        workspace.reset(tmp_path, "01")


@pytest.mark.parametrize("change", [nothing, *WROTE])
def test_without_a_newer_edition_nothing_is_touched_or_told(copy, change):
    save(copy, change)
    before = copy.read_bytes()
    lines = workspace.prepare(copy.parent.parent)[1]
    assert copy.read_bytes() == before
    assert lines == [] or change is no_facts  # it cannot be told apart from an older one


def test_who_changed_nothing_gets_the_newer_edition(copy):
    save(copy, nothing)
    lab = write_lab(copy.parent.parent, "raise NotImplementedError('new')")
    assert workspace.prepare(copy.parent.parent)[1] == ["work/01_a.ipynb: brought up to date, you had not changed it"]
    assert copy.read_bytes() == lab.read_bytes()


@pytest.mark.parametrize("change", WROTE)
def test_what_was_written_is_kept_and_told(copy, change):
    save(copy, change)
    before = copy.read_bytes()
    write_lab(copy.parent.parent, "raise NotImplementedError('new')")
    [line] = workspace.prepare(copy.parent.parent)[1]
    assert copy.read_bytes() == before
    assert line.startswith("work/01_a.ipynb: kept as you left it. A newer one is out: '.venv")
    assert "recsys-lab reset 01' puts it here" in line


def test_another_edition_with_the_same_content_is_no_news_for_who_wrote(copy):
    save(copy, answer)
    write_lab(copy.parent.parent, "raise  NotImplementedError", edition="v2", content="raise NotImplementedError")
    assert workspace.prepare(copy.parent.parent)[1] == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', "\udcff"])
def test_what_is_no_notebook_is_kept(copy, text):
    copy.write_bytes(text.encode("utf-8", "surrogateescape"))
    before = copy.read_bytes()
    assert "kept as you left it" in workspace.prepare(copy.parent.parent)[1][0]
    assert copy.read_bytes() == before


def test_a_lab_that_is_gone_stays_with_the_learner(copy):
    root = copy.parent.parent
    shutil.rmtree(root / "labs")
    assert workspace.prepare(root) == ([], [])
    assert copy.exists()


def test_starting_again_keeps_every_old_copy(copy):
    root = copy.parent.parent
    for number in (1, 2):
        save(copy, answer)
        before = copy.read_bytes()
        lines = workspace.reset(root, "01")
        kept = root / "work" / f"01_a.kept-{number}.ipynb"
        assert kept.read_bytes() == before
        assert lines[0] == f"Your old copy is now work/{kept.name}"
        assert copy.read_bytes() == (root / "labs" / NAME).read_bytes()
    assert workspace.prepare(root) == ([copy], [])


def test_starting_again_where_nothing_was_written_keeps_nothing(copy):
    root = copy.parent.parent
    assert workspace.reset(root, "01") == workspace.reset(root, "01_a")
    assert [path.name for path in copy.parent.iterdir()] == [NAME]
    copy.unlink()
    workspace.reset(root, "01")
    assert copy.exists()
    with pytest.raises(ValueError, match=r"no lab 09 \(labs: 01_a\)"):
        workspace.reset(root, "09")
