"""Execute the notebooks: in place (their stored outputs), or into build/ with a browsable HTML site.

python tools/execute.py execute [--only 03]    refresh the stored outputs
python tools/execute.py run [--only 03]        write build/notebooks/*.ipynb and build/site/index.html
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from website import make_site

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
METADATA |= {"language_info": {"name": "python"}}


class NotebookError(Exception):
    """A cell of a notebook failed; the message names the notebook and holds the traceback."""


def chosen(only: str) -> list[Path]:
    """Return the notebooks whose file name starts with `only`, all of them for an empty string."""
    found = sorted(NOTEBOOKS.glob(f"{only}*.ipynb"))
    return found or sys.exit(f"no notebook starts with {only!r}: say 03, or nothing for all")


def execute(path: Path, change: Callable | None = None) -> nbformat.NotebookNode:
    """Run a notebook, altered by `change`, from the top, one progress line; return it as it is to be stored."""
    notebook, started = nbformat.read(path, as_version=4), time.perf_counter()
    os.environ.setdefault("TQDM_DISABLE", "1")  # a progress bar would leave blanks in a stored output
    if change:
        change(notebook)

    def progress(cell: nbformat.NotebookNode, cell_index: int) -> None:
        if sys.stdout.isatty():
            print(f"\r{path.name}  cell {cell_index + 1}/{len(notebook.cells)}", end="", flush=True)

    options = {"timeout": 1200, "record_timing": False, "coalesce_streams": True, "on_cell_start": progress}
    try:
        NotebookClient(notebook, resources={"metadata": {"path": str(NOTEBOOKS)}}, **options).execute()
    except DeadKernelError:
        raise NotebookError(f"{path.name} failed: its kernel died, most often for want of memory (2.5 GB)") from None
    except (CellExecutionError, CellTimeoutError) as error:
        raise NotebookError(f"{path.name} failed:\n{error}") from None
    print(f"\r{path.name}  {len(notebook.cells)} cells, {time.perf_counter() - started:.0f} s", flush=True)
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def build(paths: list[Path], folder: Path) -> None:
    """Execute notebooks into folder/notebooks, and make an HTML site of all five in folder/site."""
    (folder / "notebooks").mkdir(parents=True, exist_ok=True)
    for path in paths:
        nbformat.write(execute(path), folder / "notebooks" / path.name)
    make_site(folder / "notebooks", folder / "site")
    print(f"executed notebooks: {folder / 'notebooks'}\nopen this in a browser: {folder / 'site' / 'index.html'}")


def arguments(words: str, commands: list[str]) -> argparse.Namespace:
    """Return `command` and `only` from the command line; `words` are what --help shows."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=commands)
    parser.add_argument("--only", default="", metavar="NN", help="only the notebooks whose names start so, e.g. 03")
    return parser.parse_args()


def main() -> None:
    given = arguments(__doc__, ["run", "execute"])
    weights = os.environ.get("RESNET50V2_WEIGHTS") or "transplant"
    if (file := Path(weights).expanduser()).is_file():  # the notebooks run in a folder of their own
        os.environ["RESNET50V2_WEIGHTS"] = str(file.resolve())
    if weights == "transplant":  # the text is about these weights only
        os.environ.setdefault("CHECKS", "strict")
    try:
        if given.command == "run":
            build(chosen(given.only), ROOT / "build")
        else:
            for path in chosen(given.only):
                path.write_text(nbformat.writes(execute(path)) + "\n", encoding="utf-8", newline="\n")
    except NotebookError as error:
        sys.exit(f"\r{error}")


if __name__ == "__main__":
    main()
