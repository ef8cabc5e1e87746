"""Hooks of mkdocs (mkdocs.yml): pages that lie outside docs/, and links that are written for reading in the repository.

README.md, ARCHITECTURE.md and CHANGELOG.md become pages. A link between pages stays a link; a link to any other file of
the repository, which the site does not have, becomes its text; a link to nothing is left for `mkdocs build --strict` to
complain of.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# Where a page of the site, named relative to docs/, comes from in the repository.
OUTSIDE = {"index.md": "README.md", "architecture.md": "ARCHITECTURE.md", "changelog.md": "CHANGELOG.md"}

_CODE = re.compile(r"^(```.*?^```|~~~.*?^~~~)|(`[^`\n]*`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts pages that the navigation does not name under "More"."""
    named = set(re.findall(r"[\w/]+\.md", str(config.nav)))
    more = [path.name for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in named]
    if more:
        config.nav.append({"More": more})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for page, source in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page, files: Files, **_) -> str:
    parts, position = [], 0
    for code in _CODE.finditer(markdown):
        parts += [_relink(markdown[position : code.start()], page.file.src_uri, files), code.group()]
        position = code.end()
    parts.append(_relink(markdown[position:], page.file.src_uri, files))
    return "".join(parts)


def _relink(text: str, page: str, files: Files) -> str:
    return _LINK.sub(lambda link: _rewritten(link, page, files), text)


def _rewritten(link: re.Match, page: str, files: Files) -> str:
    """`link`, a match of _LINK, with its target seen from `page` in the site."""
    source = OUTSIDE.get(page, f"docs/{page}")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link["target"]))
    pages = {source: page for page, source in OUTSIDE.items()}
    wanted = pages.get(target, target.removeprefix("docs/"))
    if files.get_file_from_path(wanted) and (target in pages or target.startswith("docs/")):
        path = posixpath.relpath(wanted, posixpath.dirname(page) or ".")
        return f"{link['image']}[{link['text']}]({path}{link['anchor'] or ''})"
    return link["text"] if (ROOT / target).exists() else link.group()
