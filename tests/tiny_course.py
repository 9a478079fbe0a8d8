"""A course with one lab that takes a second, for the tests of building, checking and running notebooks."""

import shutil
from pathlib import Path

import recsys_lab

ROOT = Path(__file__).resolve().parent.parent
SOURCE = '''\
# %% [markdown]
# # Lab 07 · Tiny
#
# See [the solution](../solutions/07_tiny.ipynb), [the end](#The-end) and ![a dot](../dot.png).

# %% tags=["setup"]
# The build puts the set-up here.

# %% [markdown]
# ## The part
#
# ### Exercise 7.1 · Double

# %%
def double(x):
    """Twice x."""
    # BEGIN SOLUTION
    return 2 * x
    # END SOLUTION


try:
    print(double(2))
except NotImplementedError as error:
    print("not attempted:", error)

# %%
import os

print("another number each time:", os.getpid(), object())

# %% tags=["check-output"]
print("the same each time")

# %% tags=["solution-only"]
from recsys_lab.records import record

answer = record("lab07.answer", 42.123456789, "{:.1f}")
answer  # a last line that shows its value

# %% [markdown]
# The answer is {{ lab07.answer }}.
#
# ## The end
'''


def write_course(root: Path, source: str = SOURCE, name: str = "07_tiny") -> Path:
    """Write a course whose only lab has this source; return its folder."""
    (root / "solutions").mkdir(parents=True, exist_ok=True)
    (root / "tests").mkdir(exist_ok=True)
    (root / "dot.png").write_bytes(b"")
    (root / "solutions" / f"{name}.py").write_text(source, encoding="utf-8")
    shutil.copy(ROOT / "solutions" / "conftest.py", root / "solutions")
    shutil.copy(ROOT / "tests" / "nbval_sanitize.cfg", root / "tests")
    set_edition(root, f"v{recsys_lab.__version__}")
    return root


def set_edition(root: Path, edition: str) -> None:
    """Write the one setting that badges and the Colab line come from."""
    text = f'[tool.recsys-lab]\nrepository = "someone/course"\nedition = "{edition}"\n'
    (root / "pyproject.toml").write_text(text, encoding="utf-8")


def edit(path: Path, old: str, new: str) -> None:
    """Replace a piece of text in a file; it has to be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
