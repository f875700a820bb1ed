"""Generate the Python stubs and the golden examples of the contracts. `--check` only says whether they are stale."""

from __future__ import annotations

import filecmp
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

ROOT = Path(__file__).resolve().parent.parent
STUBS = ROOT / "libs" / "contracts" / "src"
EXAMPLES = ROOT / "libs" / "contracts" / "examples"


def generate(target: Path) -> None:
    """Write all stubs below `target`."""
    protos = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto" / "duly").rglob("*.proto"))
    scripts = str(Path(sys.executable).parent)
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}"),
            *(f"--python_out={target}", f"--grpc_python_out={target}"),
            *(f"--mypy_out=quiet:{target}", f"--mypy_grpc_out=quiet:{target}"),
            *protos,
        ],
        check=True,
        env={**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"},
    )
    for path in target.rglob("*_pb2_grpc.py"):
        if "Servicer" not in path.read_text():  # messages only: an empty service stub
            path.unlink()
            path.with_suffix(".pyi").unlink(missing_ok=True)


def stale(fresh: Path) -> list[str]:
    """Stubs that differ from freshly generated ones, are missing, or should be gone."""
    wanted = {path.relative_to(fresh) for path in fresh.rglob("*_pb2*") if path.is_file()}
    present = {path.relative_to(STUBS) for path in (STUBS / "duly").rglob("*_pb2*") if path.suffix in {".py", ".pyi"}}
    changed = {path for path in wanted & present if not filecmp.cmp(fresh / path, STUBS / path, shallow=False)}
    return sorted(str(path) for path in changed | (wanted ^ present))


def write_missing_examples() -> list[str]:
    """One golden example per event and version: bytes and their JSON. Existing ones are never touched."""
    from duly_contracts.events import EVENTS, encode

    written = []
    for event in EVENTS:
        folder = EXAMPLES / event.name / f"v{event.version}"
        if (folder / "example.bin").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        message = event.message()
        _fill(message)
        (folder / "example.bin").write_bytes(encode(message))
        (folder / "example.json").write_text(json_format.MessageToJson(message, sort_keys=True) + "\n")
        written.append(str(folder.relative_to(ROOT)))
    return written


def _fill(message: Message) -> None:
    """A value in every field, told apart by the field's number."""
    for field in message.DESCRIPTOR.fields:
        target = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            target["content-type"] = "application/json"
        elif field.is_repeated:
            if field.message_type is not None:
                _fill(target.add())
            else:
                target.append(_scalar(field))
        elif field.message_type is not None:
            if field.message_type.full_name == "google.protobuf.Timestamp":
                target.FromJsonString("2031-03-01T09:00:00Z")
            else:
                _fill(target)
        else:
            setattr(message, field.name, _scalar(field))


def _scalar(field: FieldDescriptor) -> object:
    if field.enum_type is not None:
        return field.enum_type.values[1].number
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            if field.type == FieldDescriptor.TYPE_BYTES:
                return b"\x00raw"
            if field.name == "currency":
                return "EUR"
            return "2031-03-01" if field.name == "on" or field.name.endswith("date") else f"{field.name}-1"
        case FieldDescriptor.CPPTYPE_BOOL:
            return True
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return field.number / 32
        case _:
            return field.number


def main() -> int:
    if sys.argv[1:] == ["--check"]:
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder))
            old = stale(Path(folder))
        if old:
            print("stale stubs, run `make generate`:", *old, sep="\n  ")
        return 1 if old else 0
    for path in (STUBS / "duly").rglob("*_pb2*"):
        path.unlink()
    generate(STUBS)
    for folder in write_missing_examples():
        print(f"new golden example: {folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
