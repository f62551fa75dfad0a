"""The cache of compiled kernels on disk: found again, mended, shared by processes, or left alone."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnxlite.kernels import cache_folder as folders
from onnxlite.kernels.cache_folder import CACHE_VARIABLE, cache_folder
from onnxlite.kernels.numba.machine import jit as module
from onnxlite.kernels.numba.machine import store
from onnxlite.kernels.numba.machine.jit import LEDGER, jit
from onnxlite.kernels.numba.machine.sources import sources_of

#: A program of its own file with two kernels, that prints results and what the ledger says of each kernel.
PROGRAM = """
import json, sys
from onnxlite.kernels.numba.machine.jit import LEDGER, jit

@jit
def double(x):
    return x * 2

@jit(reassociate=True)
def quadruple(x):
    return double(x) + double(x)

value = quadruple(float(sys.argv[1]) if len(sys.argv) > 1 else 1.5)
entries = [[e.kernel, e.signature, e.from_cache] for e in LEDGER]
print(json.dumps([value, entries]))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "kernels_of_a_test.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def started(program: Path, folder: Path | str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, CACHE_VARIABLE: str(folder)}
    return subprocess.Popen(
        [sys.executable, str(program), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> tuple[float, dict[str, bool]]:
    """The value that the program printed, and of each kernel whether it came from the cache."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    value, entries = json.loads(output)
    return value, {name.rpartition(".")[2]: from_cache for name, _, from_cache in entries}


def run(program: Path, folder: Path | str, *arguments: str) -> tuple[float, dict[str, bool]]:
    return finished(started(program, folder, *arguments))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_a_second_process_loads_what_the_first_one_compiled(program: Path, folder: Path) -> None:
    value, compiled = run(program, folder)
    assert value == 6
    assert compiled == {"double": False, "quadruple": False}
    written = files(folder)
    assert sorted(name.split("-")[0] for name in written) == ["double", "quadruple"]
    assert run(program, folder) == (6, {"quadruple": True})
    assert files(folder) == written


def test_processes_may_fill_the_cache_at_once(program: Path, folder: Path) -> None:
    processes = [started(program, folder) for _ in range(3)]
    assert [finished(process)[0] for process in processes] == [6, 6, 6]
    assert sorted(name.split("-")[0] for name in files(folder)) == ["double", "quadruple"]
    assert run(program, folder) == (6, {"quadruple": True})


def test_a_changed_source_is_compiled_anew(program: Path, folder: Path) -> None:
    run(program, folder)
    program.write_text(PROGRAM.replace("x * 2", "x * 3"))
    assert run(program, folder) == (9, {"double": False, "quadruple": False})


def test_an_empty_variable_turns_the_cache_off(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    for _ in range(2):
        assert run(program, "") == (6, {"double": False, "quadruple": False})
    assert not home.exists()


@pytest.fixture
def own_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    return folder


def entries(kernel: str) -> list[tuple[str, bool]]:
    return [(e.signature, e.from_cache) for e in LEDGER if e.kernel.startswith(f"{__name__}.{kernel}")]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "one byte differs": lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
    "cut short": lambda data: data[: len(data) // 2],
    "shorter than a checksum": lambda data: data[:7],
    "empty": lambda data: b"",
    "something else": lambda data: b"not a kernel at all" * 50,
    "whole, but no pickle": lambda data: hashlib.sha256(b"junk").digest() + b"junk",
    "whole, but another object": lambda data: hashlib.sha256(b"N.").digest() + b"N.",
}


def loads(make: Callable[[], Any]) -> bool:
    """Whether a kernel that is made anew and called comes from the cache."""
    before = len(LEDGER)
    assert make()(1) == 6
    (entry,) = LEDGER[before:]
    return entry.from_cache


def five_more() -> Any:
    return _adding(5)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_compiled_again_and_replaced(damage: str, own_cache: Path) -> None:
    assert not loads(five_more)
    (path,) = own_cache.iterdir()
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert not loads(five_more)
    assert loads(five_more)
    assert [*own_cache.iterdir()] == [path]


def test_files_of_others_in_the_folder_are_left_alone(own_cache: Path) -> None:
    own_cache.mkdir()
    (own_cache / "notes.txt").write_text("mine")
    assert not loads(five_more)
    assert (own_cache / "notes.txt").read_text() == "mine"
    assert loads(five_more)


def test_a_folder_that_cannot_be_made_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    assert not loads(five_more)
    assert not loads(five_more)
    assert (tmp_path / "file").read_text() == "not a folder"


def test_a_read_only_folder_is_read(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> Any:
        raise PermissionError("read-only")

    assert not loads(five_more)
    monkeypatch.setattr(store.tempfile, "mkstemp", refuse)
    assert loads(five_more)
    assert _adding(6)(1) == 7
    assert len(files(own_cache)) == 1


def _adding(amount: Any) -> Any:
    @jit
    def added(x):  # type: ignore[no-untyped-def]
        return x + amount

    return added


def _calling(function: Any) -> Any:
    @jit
    def called(x):  # type: ignore[no-untyped-def]
        return function(x)

    return called


def _summing(array: Any) -> Any:
    @jit
    def summed(x):  # type: ignore[no-untyped-def]
        return x + array.sum()

    return summed


def test_kernels_of_one_name_that_close_over_different_values_are_different(own_cache: Path) -> None:
    import numpy as np

    for _ in range(2):  # the second time, from the cache
        assert [_adding(amount)(1) for amount in (1, 2, 2.5)] == [2, 3, 3.5]
        assert [_calling(_adding(amount))(1) for amount in (1, 2)] == [2, 3]
        first, second = np.zeros(5000), np.zeros(5000)
        second[2500] = 1
        assert [_summing(array)(1) for array in (first, second)] == [1, 2]
    seen = entries("_adding.<locals>.added")
    assert any(from_cache for _, from_cache in seen)
    assert not all(from_cache for _, from_cache in seen)


def test_signatures_are_entries_of_their_own(own_cache: Path) -> None:
    kernel = _adding(7)
    before = len(entries("_adding.<locals>.added"))
    assert (kernel(1), kernel(1.5), kernel(2)) == (8, 8.5, 9)
    assert entries("_adding.<locals>.added")[before:] == [("(int64,)", False), ("(float64,)", False)]
    assert len(files(own_cache)) == 2
    assert all(entry.seconds > 0 for entry in LEDGER)


def test_the_options_of_a_kernel_are_part_of_what_it_is(own_cache: Path) -> None:
    def total(x):  # type: ignore[no-untyped-def]
        return x + 1

    name = total.__qualname__
    assert jit(total)(1) == 2
    assert jit(total, reassociate=True)(1) == 2
    assert [from_cache for _, from_cache in entries(name)] == [False, False]


_MADE_TWICE = """
import sys
from onnxlite.kernels.numba.machine.jit import LEDGER, jit

def counting(n):
    @jit
    def leaves(depth): return n if depth == 0 else leaves(depth - 1) + leaves(depth - 1)
    @jit
    def count(depth): return leaves(depth)
    return count

print([counting(int(n))(3) for n in sys.argv[1:]], all(entry.from_cache for entry in LEDGER))
"""


def test_functions_made_alike_in_different_processes_are_not_mixed_up(own_cache: Path, tmp_path: Path) -> None:
    program = tmp_path / "made_twice.py"
    program.write_text(_MADE_TWICE)

    def run(*numbers: int) -> str:
        command = [sys.executable, str(program), *map(str, numbers)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert run(3) == "[24] False"
    assert run(5) == "[40] False"
    assert run(5, 3) == "[40, 24] True"


def test_code_of_sources_that_were_edited_since_is_not_kept(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "are_unchanged", lambda _: False)
    assert _adding(3)(1) == 4
    assert not files(own_cache)


def test_an_interrupted_write_leaves_nothing(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Any, target: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(store.os, "replace", full)
    assert _adding(4)(1) == 5
    assert not files(own_cache)


def test_the_folder_is_the_user_s_unless_the_variable_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, "/somewhere")
    assert cache_folder() == Path("/somewhere")
    monkeypatch.setenv(CACHE_VARIABLE, "")
    assert cache_folder() is None
    monkeypatch.delenv(CACHE_VARIABLE)
    for platform, variables, expected in (
        ("linux", {"XDG_CACHE_HOME": "/x"}, Path("/x/onnxlite")),
        ("linux", {"XDG_CACHE_HOME": ""}, Path.home() / ".cache" / "onnxlite"),
        ("darwin", {}, Path.home() / "Library" / "Caches" / "onnxlite"),
        ("win32", {"LOCALAPPDATA": "/local"}, Path("/local/onnxlite")),
        ("win32", {"LOCALAPPDATA": ""}, Path.home() / "AppData" / "Local" / "onnxlite"),
    ):
        monkeypatch.setattr(folders.sys, "platform", platform)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert cache_folder() == expected


def test_a_kernel_depends_on_the_modules_that_its_own_imports_and_on_no_other() -> None:
    package = "onnxlite.kernels.numba"
    assert sources_of(f"{package}.reduction.softmax") == sources_of(f"{package}.reduction.softmax")
    needed = set(sources_of(f"{package}.convolution.convolution"))
    assert set(sources_of(f"{package}.convolution.patch_product")) < needed
    assert set(sources_of(f"{package}.machine.threads")) < needed
    assert not set(sources_of(f"{package}.reduction.topk")) <= needed


def test_a_kernel_of_another_package_depends_on_all_sources_here() -> None:
    assert set(sources_of("onnxlite.kernels.numba.reduction.topk")) < set(sources_of(__name__))
