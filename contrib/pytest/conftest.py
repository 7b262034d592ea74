"""pytest collects what imgduel tries: each seed of fuzz-seeds/ and some fresh cases become tests, of one run of imgduel.

Copy this file and adapter.py beside your tests. `IMGDUEL` names the program, `IMGDUEL_ADAPTER` the command of the adapter.
"""
import os
import shlex
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

HERE = Path(__file__).parent
IMGDUEL = shlex.split(os.environ.get("IMGDUEL", "imgduel"))
ADAPTER = os.environ.get("IMGDUEL_ADAPTER", f"{sys.executable} {HERE / 'adapter.py'}")


def run(*arguments):
    """The testcases of one run of imgduel."""
    with tempfile.TemporaryDirectory() as directory:
        junit = Path(directory, "junit.xml")
        command = [*IMGDUEL, *arguments, "--candidate", f"adapter:{ADAPTER}", "--junit", str(junit)]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
        if not junit.exists():
            raise pytest.UsageError(done.stderr.strip())
        return list(xml.parse(junit).iter("testcase"))


def pytest_collection(session):
    """Runs imgduel once, before anything is collected."""
    seeds = sorted(str(seed) for seed in HERE.glob("fuzz-seeds/*.json"))
    session.imgduel = (run("replay", *seeds) if seeds else []) + run("fuzz", "--seed", "1", "--iterations", "20")


def pytest_collect_file(file_path, parent):
    if file_path == HERE / "adapter.py":
        return Cases.from_parent(parent, path=file_path)


class Cases(pytest.File):
    def collect(self):
        for case in self.session.imgduel:
            name = f"{case.get('classname')}::{case.get('name')}"
            yield Case.from_parent(self, name=name, case=case)


class Case(pytest.Item):
    def __init__(self, *, case, **others):
        super().__init__(**others)
        self.case = case

    def runtest(self):
        if (skipped := self.case.find("skipped")) is not None:
            pytest.skip(skipped.get("message"))
        if (failed := self.case.find("failure")) is not None:
            pytest.fail(failed.text, pytrace=False)
