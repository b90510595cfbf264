"""Generates the stubs of plugin.proto into a folder: python stubs.py FOLDER"""

import sys
from pathlib import Path

from grpc_tools import protoc


def generate(folder: Path) -> None:
    protos = Path(__file__).resolve().parent.parent / "proto"
    folder.mkdir(parents=True, exist_ok=True)
    arguments = ["protoc", f"-I{protos}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    if protoc.main([*arguments, str(protos / "plugin.proto")]) != 0:
        raise SystemExit("plugin.proto does not compile")


if __name__ == "__main__":
    generate(Path(sys.argv[1]))
