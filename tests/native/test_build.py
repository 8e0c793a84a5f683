"""The build: small static programs without a libc, from every compiler, and clear words without one."""

from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyrunc.plan import ops

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_GNU_STACK = 1, 2, 3, 0x6474E551
EXECUTABLE, WRITABLE = 1, 2
SOURCE = '/some where/"quoted"\\?/ä'


def segments(path: Path) -> list[tuple[int, int]]:
    """(type, flags) of every program header (elf(5))."""
    data = path.read_bytes()
    assert data[:5] == b"\x7fELF\x02"
    (offset,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    return [struct.unpack_from("<II", data, offset + size * n) for n in range(count)]


@pytest.mark.parametrize("compiler", [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("gcc", "clang")])
@pytest.mark.parametrize("test", [False, True])
def test_programs_are_small_static_and_free_of_warnings(
    builder: ModuleType, tmp_path: Path, compiler: str, test: bool
) -> None:
    init = builder.build(tmp_path, cc=compiler, test=test, source=SOURCE)
    for path, limit in ((init, 64 << 10), (tmp_path / "pyrunc", 16 << 10)):
        assert path.stat().st_size <= limit
        assert path.stat().st_mode & 0o111 == 0o111
        kinds = segments(path)
        assert not {PT_INTERP, PT_DYNAMIC} & {kind for kind, _ in kinds}
        for kind, flags in kinds:
            assert kind not in (PT_LOAD, PT_GNU_STACK) or flags & (EXECUTABLE | WRITABLE) != EXECUTABLE | WRITABLE
    assert SOURCE.encode() in (tmp_path / "pyrunc").read_bytes()
    assert (b"injected failure" in init.read_bytes()) == test


@pytest.mark.needs("gcc")
def test_no_symbol_of_a_libc_is_wanted(builder: ModuleType, tmp_path: Path) -> None:
    builder.build(tmp_path)
    flags = [flag for flag in builder.FREESTANDING if flag != "-s"]
    for name in ("init", "launcher"):
        output = tmp_path / name
        command = ["gcc", "-std=gnu11", *flags, *builder.GCC_ONLY, f"-I{tmp_path}", f"{name}.c", "-o", output]
        subprocess.run(command, cwd=builder.HERE, check=True)
        symbols = subprocess.run(["nm", "--extern-only", output], capture_output=True, text=True, check=True).stdout
        defined = {line.split()[-1] for line in symbols.splitlines()}
        linker = {"__bss_start", "_edata", "_end", "_GLOBAL_OFFSET_TABLE_"}
        assert defined - linker <= {"_start", "start_c", "memcpy", "memmove", "memset", "memcmp"}
        words = [line.split() for line in symbols.splitlines()]
        data = [name for *_, kind, name in words if kind in "BbDd" and name not in linker]
        assert not data, "state outside of struct init"


def test_the_header_has_every_op_in_the_order_of_the_table(generator: ModuleType) -> None:
    text = generator.header()
    at = -1
    for name, shape in ops.INIT.items():
        kinds = "".join(argument.split(":")[1] for argument in shape.split())
        before, at = at, text.index(f'{{"{name}", "{kinds}"}}')
        assert before < at
        for number, argument in enumerate(shape.split()):
            first = f"enum {{ A_{name}_{shape.split(':')[0]}".upper().replace("ENUM", "enum")
            enumerators = text[text.index(first) :].split("}")[0]
            wanted = f"A_{name}_{argument.split(':')[0]}".upper()
            assert enumerators.split("{")[1].split(",")[number].strip() == wanted
    assert f"#define SLOT_LIMIT {ops.SLOT_LIMIT}\n" in text
    assert f"#define TARGET_OPTIONAL {ops.TARGET_OPTIONAL}\n" in text


@pytest.mark.parametrize("shape", ["x", "x:q", "x:i:y:z"])
def test_a_shape_that_is_unknown_stops_the_build(generator: ModuleType, tmp_path: Path, shape: str) -> None:
    table = tmp_path / "ops.py"
    table.write_text(f"INIT = {{'name': {shape!r}}}\n")
    with pytest.raises(ValueError, match="name: "):
        generator.header(table)


def test_another_table_has_another_magic_number(generator: ModuleType, tmp_path: Path) -> None:
    table = tmp_path / "ops.py"
    table.write_text(generator.OPS.read_text() + "INIT['one_more'] = 'x:i'\n")
    with pytest.raises(ValueError, match=r"the table has changed, and MAGIC has to be 0x[0-9A-F]{8} now"):
        generator.header(table)


def test_without_a_compiler_the_error_names_the_package(
    builder: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(builder.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(builder.BuildError, match="apt-get install gcc"):
        builder.build(tmp_path / "out")


def test_a_compiler_that_is_not_there_or_fails_is_named(
    builder: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(builder.BuildError, match="CC=no-such-compiler"):
        builder.build(tmp_path)
    with pytest.raises(builder.BuildError, match="false does not work"):
        builder.build(tmp_path, cc="false")
    assert not (tmp_path / "pyrunc-init").exists()
