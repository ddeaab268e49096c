"""What surrounds every call on both ports: who may call, and the deadline, which the batchers' queues keep to."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field

from google.protobuf.descriptor import MethodDescriptor

from bridge.access import Access
from bridge.errors import DeadlineExceeded


@dataclass
class Call:
    """A call that runs: its method and the moment of `time.monotonic` when its caller is gone, if it said so."""

    method: str
    deadline_s: float | None = None

    def expired(self) -> bool:
        """Return whether the caller has given up."""
        return self.deadline_s is not None and time.monotonic() >= self.deadline_s


_current: ContextVar[Call | None] = ContextVar("call", default=None)


def current_call() -> Call | None:
    """Return the call that this task works for, or `None` for work that several calls share."""
    return _current.get()


@dataclass(frozen=True)
class Calls:
    """Begins calls: both edges go through here, once for each call, in a task of the call's own."""

    access: Access = field(default_factory=Access)

    def begin(self, method: MethodDescriptor, authorization: str, seconds_left: float | None) -> Call:
        """Check a call and make it the current one.

        Raises `Unauthenticated` or `DeadlineExceeded`, which end it before its request is looked at.
        """
        self.access.check(method.containing_service.full_name, authorization)
        deadline_s = None if seconds_left is None else time.monotonic() + seconds_left
        call = Call(method.full_name, deadline_s)
        if call.expired():
            raise DeadlineExceeded("the deadline was past when the call arrived; give it more time")
        _current.set(call)
        return call
