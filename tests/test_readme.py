"""The Python in the Markdown files runs as it stands."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCKS = [
    pytest.param(block, id=f"{path.relative_to(ROOT).as_posix()}-{number}")
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "data" / "README.md",
        ROOT / "benchmarks" / "README.md",
    )
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_python_in_markdown_runs(block):
    exec(compile(block, "markdown", "exec"), {})


def test_the_readme_shows_some():
    assert any("README.md-0" in block.id for block in BLOCKS)
