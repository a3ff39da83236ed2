"""Environments of other versions: the oldest and newest that requirements.txt allows, and Colab's.

python tools/environments.py matrix   unit tests and notebooks 01 and 04 on the oldest and on the newest versions
python tools/environments.py colab    build .venv-colab for tests/places: Colab's Python and packages
python tools/environments.py oldest   print requirements.txt with every package held to its lower bound
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements.txt"
TESTED = ["tests", "notebooks/01_architecture_tour.ipynb", "notebooks/04_activation_maximization.ipynb"]
SHOWN = """import sys; from importlib.metadata import version
print("Python", sys.version.split()[0], *(f"{n} {version(n)}" for n in ("tensorflow", "keras", "numpy", "ipython")))"""


def oldest(text: str) -> str:
    """Return requirements with every `package>=bound` held to the release series of its bound."""
    return re.sub(r"(?m)^([\w-]+)>=([\d.]+).*$", r"\1==\2.*", text)


def interpreter(version: str) -> str | None:
    """Return a working Python of a version such as "3.13", from the PATH or of pyenv; or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for command in filter(shutil.which, [f"python{version}", *map(str, pyenv.glob(f"{version}.*/bin/python"))]):
        if not subprocess.run([command, "-c", "import venv"], capture_output=True).returncode:
            return command
    return None


def build(folder: Path, version: str, requirements: Path) -> tuple[Path | None, str]:
    """Build an environment; return its interpreter and its versions in words, or None and why there can be none."""
    if not (python := interpreter(version)):
        return None, f"no Python {version} on this machine"
    print(f"{folder.name}: installing {requirements.name} into Python {version}", flush=True)
    executable = folder / "bin" / "python"
    pip = [executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
    for words in ([python, "-m", "venv", "--clear", folder], pip, [executable, "-c", SHOWN]):
        found = subprocess.run(words, capture_output=True, text=True)
        if found.returncode:
            return None, (found.stderr.strip() or found.stdout.strip() or "no word why").splitlines()[-1]
    return executable, found.stdout.strip()


def matrix() -> str | None:
    """Test on the oldest and on the newest versions; return in words what failed."""
    folder, failed = ROOT / ".venv-matrix", []
    folder.mkdir(exist_ok=True)
    (folder / "oldest.txt").write_text(oldest(REQUIREMENTS.read_text(encoding="utf-8")), encoding="utf-8")
    for name, version, requirements in (("oldest", "3.11", folder / "oldest.txt"), ("newest", "3.13", REQUIREMENTS)):
        executable, words = build(folder / name, version, requirements)
        print(f"the {name} packages: {words}", flush=True)
        if executable and subprocess.run([executable, "-m", "pytest", *TESTED], cwd=ROOT).returncode:
            failed.append(f"FAILED on the {name} packages: {words}")
    return "\n".join(failed) or None


def colab() -> str | None:
    """Build .venv-colab on Colab's Python, 3.13, or on 3.12 where there is no other; return why if neither works."""
    for version in ("3.13", "3.12"):
        executable, words = build(ROOT / ".venv-colab", version, ROOT / "tools" / "colab-constraints.txt")
        if executable:
            return print(f".venv-colab: {words}")
    return words


if __name__ == "__main__":
    commands = {"matrix": matrix, "colab": colab, "oldest": lambda: print(oldest(REQUIREMENTS.read_text("utf-8")))}
    sys.exit(commands.get(" ".join(sys.argv[1:]), lambda: __doc__)())
