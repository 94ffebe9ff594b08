"""Links from a page to files of the repository that are no pages: they lead to the repository's web site."""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

LINK = re.compile(r"(\]\()((?:\.\./)+[^)#\s]+)((?:#[^)\s]*)?\))")
LOGGER = logging.getLogger(__name__)


def rewritten(text: str, page: Path, docs: Path, url: str) -> tuple[str, list[str]]:
    """Return a page whose links out of the documentation have become addresses, and the links that lead nowhere."""
    missing = []

    def replace(match: re.Match[str]) -> str:
        target = (page.parent / match[2]).resolve()
        if target.is_relative_to(docs):
            return match[0]
        if not target.exists():
            missing.append(match[2])
        kind = "tree" if target.is_dir() else "blob"
        return f"{match[1]}{url}/{kind}/main/{target.relative_to(docs.parent).as_posix()}{match[3]}"

    return LINK.sub(replace, text), missing


def on_read(app: Sphinx, name: str, content: list[str]) -> None:
    page = Path(app.env.doc2path(name)).resolve()
    content[0], missing = rewritten(content[0], page, Path(app.srcdir).resolve(), app.config.repository_url)
    for link in missing:
        LOGGER.warning("there is no file %s", link, location=name)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("repository_url", "", "env")
    app.connect("source-read", on_read)
    return {"parallel_read_safe": True}
