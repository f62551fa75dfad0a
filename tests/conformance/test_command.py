from __future__ import annotations

import argparse
import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from onnxlite.conformance import command, record
from onnxlite.conformance.cases import Case

sys.path.insert(0, str(Path(__file__).parent))
from fake_engine import ENGINE, fake_case


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """The suite that the command sees; a test adds to it."""
    found: list[Case] = []
    for module in (command, record):
        monkeypatch.setattr(module, "load_cases", lambda: found)
    return found


def _run(*arguments: str) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    text = io.StringIO()
    status = command.main(parser.parse_args(arguments), Console(file=text, width=200))
    return status, text.getvalue()


@pytest.mark.parametrize("jobs", ["0", "2"])
def test_all_pass(cases: list[Case], jobs: str) -> None:
    cases.append(fake_case("right"))
    status, text = _run("--engine", ENGINE, "--jobs", jobs)
    assert status == 0
    assert "FAIL" not in text


def test_a_failure_is_shown_and_makes_the_status(cases: list[Case]) -> None:
    cases += [fake_case("right"), fake_case("wrong shape"), fake_case("decline")]
    status, text = _run("--engine", ENGINE, "--jobs", "0")
    assert status == 1
    assert "FAIL test wrong shape: output 0: expected the shape (3,), got (1, 3)" in text
    assert "SKIP test decline: NotImplementedError: no kernel for Relu" in text
    assert [cell for cell in text.splitlines()[-2].split() if cell.isdigit()] == ["1", "1", "1"]


def test_a_skip_is_no_failure(cases: list[Case]) -> None:
    cases.append(fake_case("decline"))
    assert _run("--engine", ENGINE, "--jobs", "0")[0] == 0


def test_a_crash_needs_a_worker(cases: list[Case]) -> None:
    cases += [fake_case("crash"), fake_case("right")]
    status, text = _run("--engine", ENGINE)
    assert status == 1
    assert "SIGSEGV" in text


def test_patterns_choose_by_name_or_operator(cases: list[Case]) -> None:
    cases += [fake_case("right"), fake_case("wrong value")]
    assert _run("--engine", ENGINE, "--jobs", "0", "-k", "t ri.ht$")[0] == 0
    assert _run("--engine", ENGINE, "--jobs", "0", "-k", "Relu")[0] == 1
    status, text = _run("--engine", ENGINE, "-k", "Rel")
    assert (status, text.strip()) == (2, "no case matches 'Rel'")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "other"], "there is no engine 'other'"),
        (["--engine", "no.such:ENGINE"], "No module named 'no'"),
        (["--engine", ENGINE, "--provider", "P"], "has no provider 'P' here; available: FakeProvider"),
        (["--engine", ENGINE, "-k", "("], "missing )"),
        (["--engine", ENGINE, "-k", "right", "--write"], "leave out -k"),
        (["--engine", ENGINE, "-k", "right", "--check"], "leave out -k"),
    ],
)
def test_misuse(cases: list[Case], arguments: list[str], message: str) -> None:
    cases.append(fake_case("right"))
    status, text = _run(*arguments)
    assert status == 2
    assert message in text


def test_write_then_check(cases: list[Case], tmp_path: Path) -> None:
    cases += [fake_case("right"), fake_case("wrong value")]
    arguments = ("--engine", ENGINE, "--jobs", "0", "--folder", str(tmp_path))
    assert "the scoreboard has no column for fake FakeProvider" in _run(*arguments, "--check")[1]
    assert _run(*arguments, "--write")[0] == 1
    assert {path.name for path in tmp_path.iterdir()} == {record.JSON_NAME, record.MARKDOWN_NAME}
    status, text = _run(*arguments, "--check")
    assert status == 0  # as on the scoreboard, failures and all
    assert "the scoreboard agrees" in text
    cases[:] = [fake_case("wrong value", "simple"), fake_case("decline")]
    assert _run(*arguments, "--check")[0] == 1


def test_the_module_runs() -> None:
    arguments = [sys.executable, "-m", "onnxlite.conformance", "-k", "^test_relu$"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "node" in done.stdout
