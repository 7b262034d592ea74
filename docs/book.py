"""An mdBook preprocessor for files at the top of the repository.

A chapter that stands for such a file gets its text. A link that leads out of docs/ leads to the chapter of its target,
or becomes plain text where the book has none. The sources keep links that work in the repository.
"""

import json
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
CHAPTERS = {"README.md": "start.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}


def within_book(text, at_top):
    """Returns the text with links for the book; `at_top` is whether it comes from the top of the repository."""

    def link(match):
        label, target = match[1], match[2]
        path, mark, fragment = target.partition("#")
        if not path or "://" in path:
            return match[0]
        if at_top:
            path = path.removeprefix("docs/") if path.startswith("docs/") else "../" + path
        if path.startswith("../"):
            path = CHAPTERS.get(path.removeprefix("../"))
        return f"[{label}]({path}{mark}{fragment})" if path else label

    return re.sub(r"\[([^][]*)\]\(([^()\s]+)\)", link, text)


def visit(items):
    for chapter in (item["Chapter"] for item in items if "Chapter" in item):
        source = next((name for name, page in CHAPTERS.items() if page == chapter["path"]), None)
        text = (TOP / source).read_text() if source else chapter["content"]
        chapter["content"] = within_book(text, bool(source))
        visit(chapter["sub_items"])


if sys.argv[1:2] != ["supports"]:
    _, book = json.load(sys.stdin)
    visit(book.get("items", book.get("sections")))
    json.dump(book, sys.stdout)
