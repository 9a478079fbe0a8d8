"""The course's look for figures, and showing them so that everybody gets them.

Start a lab with ``plots.style()``. Then ``plots.show(fig, alt="...")`` shows a figure with a text in its place for
who cannot see it; it goes out as HTML, the only form of which JupyterLab, Colab and VS Code all pass the text on to a
screen reader. ``plots.real_log(name, draw, ...)`` is for what is drawn from a real log.
"""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Callable
from importlib.resources import files

from cycler import cycler
from IPython.display import display
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

#: Okabe and Ito, "Color universal design" (2008): told apart with every common kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: Lines differ in their dashes too, so that no meaning hangs on colour alone.
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 12,
    "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=DASHES),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 13,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "figure.figsize": (7.5, 4.0),
    "font.size": 12,
    "grid.alpha": 0.3,
    "image.cmap": "cividis",
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "savefig.facecolor": "white",
}
DPI = 110
#: Environment variable with the folder in which the build gathers the pictures of real logs.
VARIABLE = "RECSYS_LAB_FIGURES"


def style() -> None:
    """Give every figure from here on the course's look."""
    plt.rcParams.update(STYLE)


def show(figure: Figure, alt: str) -> None:
    """Show a figure, and say in words what it shows.

    Parameters
    ----------
    figure : Figure
        It is closed afterwards, so that no notebook shows it a second time.
    alt : str
        What a person who cannot see it should know: what is drawn, and what it comes to.
    """
    show_png(png(figure), alt)


def png(figure: Figure) -> bytes:
    """Return a figure as PNG, the same bytes for the same picture, and close it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def show_png(image: bytes, alt: str) -> None:
    """Show a PNG with its text."""
    if not alt.strip():
        raise ValueError('show(figure, alt="..."): say in words what the figure shows')
    source = "data:image/png;base64," + base64.b64encode(image).decode()
    tag = f'<img style="max-width: 100%" alt="{html.escape(alt)}" src="{source}">'
    display({"text/html": tag, "text/plain": f"Figure: {alt}"}, raw=True)


def real_log(name: str, draw: Callable, *, alt: str, picture: str) -> None:
    """Draw from a real log where it is on this machine; elsewhere show the stored picture and how to get the log.

    Nothing is downloaded here, since that takes its time and may break off.

    Parameters
    ----------
    name : str
        A name of `recsys_lab.datasets.available`.
    draw : callable
        Takes the `Dataset`, returns a figure.
    alt : str
        What the figure shows, in words.
    picture : str
        Name of the stored picture, such as "lab01_gaps". Building the lab stores it.
    """
    from recsys_lab import datasets
    from recsys_lab.download import DataFileError

    try:
        log = datasets.load(name, download=False)
    except DataFileError as error:
        show_stored(name, picture, alt, error)
        return
    image = png(draw(log))
    if folder := os.environ.get(VARIABLE):
        with open(os.path.join(folder, f"{picture}.png"), "wb") as file:
            file.write(image)
    show_png(image, alt)


def show_stored(name: str, picture: str, alt: str, error: Exception) -> None:
    """Show a stored picture in place of a log that is not here, and say how to get it."""
    stored = files("recsys_lab").joinpath("figures", f"{picture}.png")
    building = VARIABLE in os.environ  # then the notebook is to look as it does where the log is
    if building and not stored.is_file():
        raise error
    if not building:
        there = "Below is the stored picture, which will do." if stored.is_file() else "There is no stored picture."
        print(f"{str(error).splitlines()[0].removesuffix(' Looked in')}\n{there}")  # the list of folders follows there
        print(f"To draw it yourself: datasets.load({name!r}) in a new cell fetches the log, or says how to get it.")
    if stored.is_file():
        show_png(stored.read_bytes(), alt)
