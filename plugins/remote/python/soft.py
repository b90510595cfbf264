"""Soft state in dictionaries, under one lock. What has expired is dropped when it is met, or by the sweep."""

import threading
import time

import plugin_pb2 as messages
import plugin_pb2_grpc as services
from errors import Failure, streaming, unary

DAY_MS = 24 * 3600 * 1000
PAGE = 512 * 1024
# Everything kept in one dictionary; beyond that writes of new keys are `full`.
ENTRIES = 1_000_000


class Expiring(dict):
    """A dictionary of (value, end of life)."""

    def living(self, key):
        """The value of a key, or None."""
        held = self.get(key)
        if held is None:
            return None
        if held[1] <= time.monotonic():
            del self[key]
            return None
        return held[0]

    def write(self, key, value, ttl_ms: int) -> None:
        if key not in self and len(self) >= ENTRIES:
            self.sweep()
            if len(self) >= ENTRIES:
                raise Failure("full", f"{ENTRIES} entries are kept already")
        self[key] = (value, time.monotonic() + ttl_ms / 1000)

    def sweep(self) -> None:
        now = time.monotonic()
        for key in [key for key, (_, until) in self.items() if until <= now]:
            del self[key]


class SoftState(services.SoftStateServicer):
    def __init__(self):
        self.lock = threading.Lock()
        self.values, self.counters, self.sets = Expiring(), Expiring(), {}

    @unary
    def Set(self, request, context):
        check(names=[request.key], value=request.value, ttl_ms=request.ttl_ms)
        with self.lock:
            self.values.write(request.key, request.value, request.ttl_ms)
        return messages.SetResponse()

    @unary
    def SetIfAbsent(self, request, context):
        check(names=[request.key], value=request.value, ttl_ms=request.ttl_ms)
        with self.lock:
            absent = self.values.living(request.key) is None
            if absent:
                self.values.write(request.key, request.value, request.ttl_ms)
        return messages.SetIfAbsentResponse(written=absent)

    @unary
    def Get(self, request, context):
        check(names=[request.key])
        with self.lock:
            return messages.ValueResponse(value=self.values.living(request.key))

    @unary
    def Remove(self, request, context):
        check(names=[request.key])
        with self.lock:
            self.values.pop(request.key, None)
        return messages.RemoveResponse()

    @unary
    def Add(self, request, context):
        check(names=[request.counter], ttl_ms=request.ttl_ms)
        with self.lock:
            before = self.counters.living(request.counter)
            total = (before or 0) + request.by
            if not -(2**63) <= total < 2**63:
                raise Failure("invalid", "the sum does not fit 64 bits")
            if before is None:
                self.counters.write(request.counter, total, request.ttl_ms)
            else:
                # The window is the one that the counter began with.
                self.counters[request.counter] = (total, self.counters[request.counter][1])
        return messages.AddResponse(sum=total)

    @unary
    def Join(self, request, context):
        check(names=[request.set, request.member], value=request.value, ttl_ms=request.ttl_ms)
        with self.lock:
            if request.set not in self.sets and len(self.sets) >= ENTRIES:
                raise Failure("full", f"{ENTRIES} sets are kept already")
            self.sets.setdefault(request.set, Expiring()).write(request.member, request.value, request.ttl_ms)
        return messages.JoinResponse()

    @unary
    def Leave(self, request, context):
        check(names=[request.set, request.member])
        with self.lock:
            members = self.sets.get(request.set)
            if members is not None:
                members.pop(request.member, None)
                if not members:
                    del self.sets[request.set]
        return messages.LeaveResponse()

    @streaming
    def Members(self, request, context):
        check(names=[request.set])
        with self.lock:
            members = self.sets.get(request.set, Expiring())
            members.sweep()
            if not members:
                self.sets.pop(request.set, None)
            found = [(name, value) for name, (value, _) in members.items()]
        # By bytes; Python's own order of texts is by code point, which for UTF-8 is the same.
        found.sort()
        page, size = [], 0
        for name, value in found:
            page.append(messages.MembersResponse.Member(name=name, value=value))
            size += len(name) + len(value)
            if size >= PAGE:
                yield messages.MembersResponse(members=page)
                page, size = [], 0
        if page:
            yield messages.MembersResponse(members=page)

    def sweep(self) -> None:
        """Drops all that has expired. Run from time to time: what nobody asks for is never met."""
        with self.lock:
            self.values.sweep()
            self.counters.sweep()
            for members in self.sets.values():
                members.sweep()
            self.sets = {name: members for name, members in self.sets.items() if members}


def check(names, value: bytes = b"", ttl_ms: int = 1) -> None:
    """The limits of the contract."""
    if any(not 1 <= len(name.encode()) <= 512 for name in names):
        raise Failure("invalid", "keys and members are 1 to 512 bytes")
    if len(value) > 64 * 1024:
        raise Failure("invalid", "values are at most 64 KiB")
    if not 1 <= ttl_ms <= DAY_MS:
        raise Failure("invalid", "times to live are 1 ms to 24 h")
