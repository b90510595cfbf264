"""Errors of the contracts, as plugin.proto puts them on the wire."""

import functools

import grpc

CODES = {
    "not_found": grpc.StatusCode.NOT_FOUND,
    "conflict": grpc.StatusCode.ABORTED,
    "fenced": grpc.StatusCode.FAILED_PRECONDITION,
    "full": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "busy": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
    "timeout": grpc.StatusCode.DEADLINE_EXCEEDED,
    "corrupt": grpc.StatusCode.DATA_LOSS,
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "unsupported": grpc.StatusCode.UNIMPLEMENTED,
}


class Failure(Exception):
    """A verb that failed: a kind of CODES, words, and whether a write may have happened all the same."""

    def __init__(self, kind: str, message: str, maybe_done: bool = False):
        super().__init__(message)
        self.kind = kind
        self.maybe_done = maybe_done


def from_os(error: OSError) -> Failure:
    import errno

    kind = "full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "unavailable"
    return Failure(kind, error.strerror or "input/output error")


def abort(context: grpc.ServicerContext, failure: Failure) -> None:
    """Ends the call with a failure. Raises, as grpc's own abort does."""
    context.set_trailing_metadata(
        (
            ("meridian-error-kind", failure.kind),
            ("meridian-maybe-done", "true" if failure.maybe_done else "false"),
        )
    )
    context.abort(CODES[failure.kind], str(failure))


def check_waited_for(context: grpc.ServicerContext) -> None:
    """Ends a call that was given up while it waited for a thread. Nobody hears this."""
    if not context.is_active():
        raise Failure("timeout", "the call was given up before it began")


def unary(verb):
    """A verb with one answer, whose failures become statuses."""

    @functools.wraps(verb)
    def served(self, request, context):
        try:
            check_waited_for(context)
            return verb(self, request, context)
        except Failure as failure:
            abort(context, failure)
        except OSError as error:
            abort(context, from_os(error))

    return served


def streaming(verb):
    """A verb with a stream of answers, whose failures become statuses."""

    @functools.wraps(verb)
    def served(self, request, context):
        try:
            check_waited_for(context)
            yield from verb(self, request, context)
        except Failure as failure:
            abort(context, failure)
        except OSError as error:
            abort(context, from_os(error))

    return served
