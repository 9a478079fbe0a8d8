"""Figures: the text in their place, the look, and what is drawn from real logs."""

import base64
import itertools
import re
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from recsys_lab import datasets, plots
from recsys_lab.download import DataFileError

# Machado, Oliveira and Fernandes (2009), severity 1: what is left of linear RGB
DEFICIENCIES = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.fixture(autouse=True)
def own_settings():
    """Leave matplotlib as it was."""
    with mpl.rc_context():
        yield
    plt.close("all")


@pytest.fixture
def shown(monkeypatch):
    """Note what would be displayed."""
    seen = []
    monkeypatch.setattr(plots, "display", lambda data, raw: seen.append(data))
    return seen


def line(**kwargs):
    figure, axes = plt.subplots(**kwargs)
    axes.plot([1, 2, 3])
    return figure


def picture_in(data):
    return base64.b64decode(re.search(r"base64,([^\"]+)", data["text/html"])[1])


def test_a_figure_goes_out_with_its_text_and_once(shown):
    plots.show(line(), alt='Recall of "A" & B <up>')
    [data] = shown
    assert 'alt="Recall of &quot;A&quot; &amp; B &lt;up&gt;"' in data["text/html"]
    assert data["text/plain"] == 'Figure: Recall of "A" & B <up>'
    assert picture_in(data).startswith(b"\x89PNG")
    assert plt.get_fignums() == []


@pytest.mark.parametrize("alt", ["", "  "])
def test_a_figure_without_a_text_is_refused(shown, alt):
    with pytest.raises(ValueError, match="say in words"):
        plots.show(line(), alt=alt)
    with pytest.raises(TypeError):
        plots.show(line())


def test_the_same_picture_is_the_same_bytes():
    first, second = plots.png(line()), plots.png(line())
    assert first == second
    assert b"Software" not in first


def test_the_look_is_asked_for():
    before = dict(mpl.rcParams)
    assert (
        subprocess.run(
            [
                sys.executable,
                "-c",
                "import matplotlib, recsys_lab.plots; assert matplotlib.rcParams['axes.grid'] is False",
            ]
        ).returncode
        == 0
    )
    plots.style()
    assert {name for name in plots.STYLE if mpl.rcParams[name] == before[name]} <= {"image.cmap", "figure.facecolor"}
    looks = [(entry["color"], entry["linestyle"]) for entry in mpl.rcParams["axes.prop_cycle"]]
    assert len(looks) == len({colour for colour, _ in looks}) == len({str(dashes) for _, dashes in looks}) == 7


@pytest.mark.parametrize("kind", ["none", *DEFICIENCIES])
def test_colours_can_be_told_apart(kind):
    def nearest(colours):
        matrix = np.array(DEFICIENCIES.get(kind, np.eye(3)))
        seen = [np.clip(matrix @ np.power(to_rgb(colour), 2.2), 0, 1) ** (1 / 2.2) for colour in colours]
        return min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))

    assert nearest(plots.COLOURS) > 0.115
    if kind != "none":  # matplotlib's own colours would not do
        assert nearest(mpl.colormaps["tab10"].colors[:7]) < 0.115


@pytest.mark.parametrize("colour", plots.COLOURS[:3])
def test_the_first_colours_stand_out_from_the_page(colour):
    red, green, blue = np.power(to_rgb(colour), 2.2)
    assert 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) > 3  # WCAG 2.1, 1.4.11


# ---- real logs ----------------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Put the package's folder for stored pictures elsewhere."""
    monkeypatch.setattr(plots, "files", lambda package: tmp_path)
    monkeypatch.delenv(plots.VARIABLE, raising=False)
    (tmp_path / "figures").mkdir()
    return tmp_path / "figures"


@pytest.fixture
def no_log(monkeypatch):
    def load(name, download):
        raise DataFileError(f"{name} is not on this machine. Looked in\n    /a/folder\n  How to get it: ask.")

    monkeypatch.setattr(datasets, "load", load)


def draw(log):
    return line()


def test_a_log_that_is_here_is_drawn(shown, stored, capsys):
    plots.real_log("bookshop", draw, alt="A line.", picture="lab01_line")
    assert picture_in(shown[0]) == plots.png(line())
    assert list(stored.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_the_build_stores_the_picture(shown, stored, tmp_path, monkeypatch):
    monkeypatch.setenv(plots.VARIABLE, str(tmp_path))
    plots.real_log("bookshop", draw, alt="A line.", picture="lab01_line")
    assert (tmp_path / "lab01_line.png").read_bytes() == picture_in(shown[0])


def test_elsewhere_the_stored_picture_is_shown_and_how_to_get_the_log(shown, stored, no_log, capsys):
    (stored / "lab01_line.png").write_bytes(b"stored")
    plots.real_log("trivago-100k", draw, alt="A line.", picture="lab01_line")
    assert picture_in(shown[0]) == b"stored"
    said = capsys.readouterr().out
    assert "trivago-100k is not on this machine.\n" in said and "Below is the stored picture" in said
    assert "datasets.load('trivago-100k')" in said


def test_without_a_picture_it_says_so(shown, stored, no_log, capsys):
    plots.real_log("trivago-100k", draw, alt="A line.", picture="lab01_line")
    assert shown == []
    assert "There is no stored picture." in capsys.readouterr().out


def test_building_without_the_log_keeps_the_notebook_as_it_was(shown, stored, no_log, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv(plots.VARIABLE, str(tmp_path))
    with pytest.raises(DataFileError):
        plots.real_log("trivago-100k", draw, alt="A line.", picture="lab01_line")
    (stored / "lab01_line.png").write_bytes(b"stored")
    plots.real_log("trivago-100k", draw, alt="A line.", picture="lab01_line")
    assert picture_in(shown[0]) == b"stored"
    assert capsys.readouterr().out == ""
