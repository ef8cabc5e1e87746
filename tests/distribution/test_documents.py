"""README and the other documents: what they say to run runs, and what they link to is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "examples" / "README.md"]


def headings(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links(document):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", document.read_text("utf-8"), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\(([^)\s#]*)(?:#([^)\s]*))?\)", text):
        if target.startswith(("https:", "mailto:")):
            continue
        file = document.parent / target if target else document
        assert file.exists(), f"{document.name} links to {target}, which is not there"
        if anchor:
            assert anchor in headings(file), f"{document.name} links to {target}#{anchor}, which has no such heading"


def test_examples_in_readme_run(so3lr):
    result = subprocess.run([sys.executable, ROOT / "scripts" / "run_readme.py"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "example 3 ran" in result.stdout
