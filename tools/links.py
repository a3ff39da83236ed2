"""Write the repository's address wherever it stands: python tools/links.py owner/name

It is kept in tools/repository.txt, and stands in the links to Colab and in the setup cells, which clone it. On GitHub
the workflow `address` does this by itself. Outputs stay as they are, so nothing has to be executed again.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "tools" / "repository.txt"
PAGES = [ROOT / "README.md", *sorted((ROOT / "notebooks").glob("*.ipynb"))]
ADDRESS = re.compile(r"(?:(?<=google\.com/github/)|(?<=--depth 1 https://github\.com/))[\w.-]+/[\w.-]+")


def stamped(text: str, address: str) -> str:
    """Return the text of a page with its addresses replaced by another."""
    return ADDRESS.sub(address, text)


def main() -> None:
    address = sys.argv[1] if len(sys.argv) == 2 else ""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+", address):
        sys.exit(f"{address!r} is no owner/name of a GitHub repository: make links REPO=owner/name")
    for page in PAGES:
        page.write_text(stamped(page.read_text(encoding="utf-8"), address), encoding="utf-8", newline="\n")
    PLACE.write_text(address + "\n", encoding="utf-8", newline="\n")
    print(f"the repository is {address}")


if __name__ == "__main__":
    main()
