"""The repository's address: one everywhere, stamped by `make links`, and by a workflow on GitHub."""

import os
import shutil
import subprocess
import sys

import links
import pytest
import yaml
from conftest import ROOT


def test_the_address_is_the_same_everywhere():
    address = links.PLACE.read_text(encoding="utf-8").strip()
    for page in links.PAGES:
        found = links.ADDRESS.findall(page.read_text(encoding="utf-8"))
        assert found and set(found) == {address}, f"{page.name}: make links REPO={address} stamps {address}"


@pytest.mark.parametrize("path", links.PAGES[1:], ids=lambda path: path.stem)
def test_stamping_changes_the_address_and_nothing_else(path):
    text, address = path.read_text(encoding="utf-8"), links.PLACE.read_text(encoding="utf-8").strip()
    other = links.stamped(text, "some-body/a.fork")
    assert links.ADDRESS.findall(other) == ["some-body/a.fork"] * 2  # the badge and the setup cell
    assert links.stamped(other, address) == text


@pytest.mark.parametrize("arguments", [[], ["nobody"], ["a/b/c"], ["https://github.com/a/b"], ["a/b", "c/d"]])
def test_an_address_that_is_none_changes_nothing(arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["links.py", *arguments])
    with pytest.raises(SystemExit, match="make links REPO=owner/name"):
        links.main()


@pytest.mark.skipif(os.name == "nt", reason="the workflow runs on Linux")
def test_the_workflow_stamps_a_fork_with_one_commit(tmp_path):
    (job,) = yaml.safe_load((ROOT / ".github/workflows/address.yml").read_text(encoding="utf-8"))["jobs"].values()
    fork, environment = tmp_path / "fork", os.environ | {"GITHUB_REPOSITORY": "some-body/a.fork"}
    for name in ("notebooks", "tools"):
        shutil.copytree(ROOT / name, fork / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "Makefile"):
        shutil.copy(ROOT / name, fork)

    def run(script):
        words = ["bash", "-ec", script]
        return subprocess.run(words, cwd=fork, env=environment, check=True, capture_output=True, text=True).stdout

    run("git init -qb main && git add . && git -c user.name=a -c user.email=a@b.c commit -qm first")
    run("git init -q --bare ../origin && git remote add origin ../origin && git push -qu origin main")
    for _ in range(2):  # the second finds nothing to do
        run(job["steps"][-1]["run"])
    assert run("git log --format=%s origin/main") == "Stamp the address some-body/a.fork\nfirst\n"
    for page in ("README.md", *(f"notebooks/{path.name}" for path in links.PAGES[1:])):
        assert set(links.ADDRESS.findall(run(f"git show origin/main:{page}"))) == {"some-body/a.fork"}
