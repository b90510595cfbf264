"""Blobs in a folder. A blob's file is the hash of its key: keys are names, and may be longer than a file's name."""

import hashlib
import os
import re
import tempfile
from pathlib import Path

import grpc
import plugin_pb2 as messages
import plugin_pb2_grpc as services
from errors import Failure, streaming, unary

KEY = re.compile(r"[a-z0-9\-_./]{1,200}", re.ASCII)
PIECE = 256 * 1024


class Blobs(services.BlobsServicer):
    def __init__(self, root: Path):
        self.done = root / "blobs"
        self.unfinished = root / "unfinished"
        self.done.mkdir(parents=True, exist_ok=True)
        self.unfinished.mkdir(exist_ok=True)
        # What an earlier run did not finish is nobody's.
        for left in self.unfinished.iterdir():
            left.unlink()

    def path(self, key: str) -> Path:
        if not KEY.fullmatch(key) or any(part in ("", ".", "..") for part in key.split("/")):
            raise Failure("invalid", "not a key for a blob")
        return self.done / hashlib.sha256(key.encode()).hexdigest()

    @unary
    def Put(self, requests, context):
        try:
            return self.put(requests)
        except grpc.RpcError:
            # The sender went away. Nobody hears this; the file is gone already.
            raise Failure("unavailable", "the sender went away") from None

    def put(self, requests):
        first = next(requests, None)
        if first is None or first.WhichOneof("part") != "start":
            raise Failure("invalid", "the first message is not `start`")
        path, limit = self.path(first.start.key), first.start.limit
        descriptor, name = tempfile.mkstemp(dir=self.unfinished)
        try:
            with os.fdopen(descriptor, "wb") as file:
                size = self.receive(requests, file, limit)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
        sync_folder(self.done)
        return messages.PutResponse(size=size)

    @staticmethod
    def receive(requests, file, limit: int) -> int:
        size = 0
        for request in requests:
            part = request.WhichOneof("part")
            if part == "piece":
                size += len(request.piece)
                if size > limit:
                    raise Failure("invalid", f"more than the {limit} bytes allowed")
                file.write(request.piece)
            elif part == "finish":
                if request.finish.size != size:
                    raise Failure("invalid", f"{size} bytes came, {request.finish.size} were sent")
                return size
            else:
                raise Failure("invalid", "a message that is no part of a blob")
        raise Failure("unavailable", "the sender ended before `finish`")

    @unary
    def Head(self, request, context):
        try:
            return messages.HeadResponse(size=self.path(request.key).stat().st_size)
        except FileNotFoundError:
            return messages.HeadResponse()

    @streaming
    def Get(self, request, context):
        try:
            file = open(self.path(request.key), "rb")
        except FileNotFoundError:
            return
        with file:
            size = os.fstat(file.fileno()).st_size
            start, end = 0, size
            if request.HasField("range"):
                start, end = min(request.range.start, size), min(request.range.end, size)
            yield messages.GetResponse(found=messages.GetResponse.Found())
            file.seek(start)
            left = max(end - start, 0)
            while left > 0:
                piece = file.read(min(left, PIECE))
                if not piece:
                    raise Failure("corrupt", "the file is shorter than it was")
                left -= len(piece)
                yield messages.GetResponse(piece=piece)

    @unary
    def Delete(self, request, context):
        self.path(request.key).unlink(missing_ok=True)
        return messages.DeleteResponse()

    @unary
    def SignedUrl(self, request, context):
        raise Failure("unsupported", "this plugin serves no URLs")


def sync_folder(folder: Path) -> None:
    """A new name is durable only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise Failure("unavailable", error.strerror or "fsync failed", maybe_done=True) from error
    finally:
        os.close(descriptor)
