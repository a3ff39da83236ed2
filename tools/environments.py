"""Environments of other versions: the oldest and newest that requirements.txt allows, and Colab's.

python tools/environments.py matrix   unit tests and notebooks 01 and 04 on the oldest and on the newest versions, each
                                      in .venv-matrix/; says what it left out, and why
python tools/environments.py colab    build .venv-colab for tests/places: Colab's Python and packages, or the nearest
python tools/environments.py oldest   print requirements.txt with every package held to its lower bound
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ["-r", str(ROOT / "requirements.txt")]
CONSTRAINTS = ["-c", str(ROOT / "constraints.txt")]  # TensorFlow 2.20, Keras 3.13, NumPy 2.1: Colab's, in 2026
TESTED = ["tests", "--ignore=tests/places", "notebooks/01_architecture_tour.ipynb"]
TESTED += ["notebooks/04_activation_maximization.ipynb"]
SHOWN = "import keras, numpy, sys, tensorflow as tf; print(sys.version.split()[0], tf.__version__, keras.__version__, "
SHOWN += "numpy.__version__)"


def oldest(text: str) -> str:
    """Return requirements with every `package>=bound` held to the release series of its bound."""
    return re.sub(r"(?m)^([\w-]+)>=([\d.]+).*$", r"\1==\2.*", text)


def interpreter(version: str) -> str | None:
    """Return a working Python of a version such as "3.13": on the PATH, of pyenv, or of Windows' launcher; or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [[f"python{version}"], *([str(p)] for p in sorted(pyenv.glob(f"{version}.*/bin/python")))]
    for command in [*candidates, ["py", f"-{version}"]]:
        if shutil.which(command[0]):
            words = [*command, "-c", "import sys, venv; print(sys.executable); print(sys.version)"]
            found = subprocess.run(words, capture_output=True, text=True)
            executable, _, rest = found.stdout.partition("\n")
            if found.returncode == 0 and rest.startswith(f"{version}."):
                return executable
    return None


def build(folder: Path, version: str, packages: list[str]) -> tuple[Path | None, str]:
    """Build an environment; return its interpreter, or None and why it cannot be built here."""
    if not (python := interpreter(version)):
        return None, f"no Python {version} on this machine"
    made = subprocess.run([python, "-m", "venv", "--clear", str(folder)], capture_output=True, text=True)
    if made.returncode:
        return None, f"{python} -m venv failed: {(made.stdout + made.stderr).strip().splitlines()[:1]}"
    executable = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    words = [executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    found = subprocess.run(words, capture_output=True, text=True)
    if found.returncode == 0:
        return executable, ""
    complaints = [line for line in found.stderr.splitlines() if line.startswith("ERROR")]
    return None, complaints[-1] if complaints else "pip failed without a word"


def versions(executable: Path) -> str:
    """Return in words which versions an environment holds."""
    found = subprocess.run([executable, "-c", SHOWN], capture_output=True, text=True).stdout.split()
    return "Python {}, TensorFlow {}, Keras {}, NumPy {}".format(*found) if len(found) == 4 else "a broken environment"


def matrix() -> None:
    """Test on the oldest and on the newest versions; exit with 1 if anything failed."""
    (ROOT / ".venv-matrix").mkdir(exist_ok=True)
    bounds = ROOT / ".venv-matrix" / "oldest.txt"
    bounds.write_text(oldest((ROOT / "requirements.txt").read_text(encoding="utf-8")), encoding="utf-8")
    report, failed = [], False
    for name, version, packages in (("oldest", "3.11", ["-r", str(bounds)]), ("newest", "3.13", REQUIREMENTS)):
        print(f"the {name} packages, Python {version}: installing", flush=True)
        executable, why = build(ROOT / ".venv-matrix" / name, version, packages)
        if executable is None:
            report.append(f"the {name} packages, Python {version}: skipped, {why}")
            continue
        print(f"{versions(executable)}: testing", flush=True)
        run = subprocess.run([executable, "-m", "pytest", *TESTED], cwd=ROOT, env={**os.environ, "CHECKS": "strict"})
        report.append(f"{versions(executable)}: {'FAILED' if run.returncode else 'passed'}")
        failed = failed or run.returncode != 0
    print("\n".join(report))
    sys.exit(failed)


def colab() -> None:
    """Build .venv-colab with Colab's packages and its Python, 3.12, or the nearest that is here."""
    for version in ("3.12", "3.13", "3.11"):
        executable, why = build(ROOT / ".venv-colab", version, [*REQUIREMENTS, *CONSTRAINTS])
        if executable:
            (ROOT / ".venv-colab" / "ready").touch()
            return print(f".venv-colab: {versions(executable)}")
        print(f"Python {version}: {why}")
    sys.exit("no environment like Colab's can be built here")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["matrix", "colab", "oldest"])
    command = parser.parse_args().command
    if command == "oldest":
        print(oldest((ROOT / "requirements.txt").read_text(encoding="utf-8")), end="")
    else:
        {"matrix": matrix, "colab": colab}[command]()


if __name__ == "__main__":
    main()
