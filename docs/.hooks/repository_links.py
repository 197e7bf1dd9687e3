"""Pages link to files of the repository by relative path, so that they can be read where they lie. On the site such a link
leads to the repository's page of the file; one to a file that is not there fails the strict build.
"""

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"\]\((?P<path>(?:\.\./)+[^)#\s]*)(?P<anchor>#[^)\s]*)?\)")
_REPOSITORY = Path(__file__).resolve().parents[2]
logger = logging.getLogger("mkdocs.hooks.repository_links")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Rewrite the links of one page that leave docs/."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def rewritten(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link["path"]))
        if target.startswith("docs/"):
            return link[0]
        if not (_REPOSITORY / target).exists():
            logger.warning("%s links to %s, which is not there", page.file.src_uri, target)
        kind = "tree" if (_REPOSITORY / target).is_dir() else "blob"
        return f"]({config['repo_url']}/{kind}/main/{target}{link['anchor'] or ''})"

    return _LINK.sub(rewritten, markdown)
