"""SIGTERM and SIGINT: finish the running call, save, leave; the second one: leave."""

import contextlib
import os
import signal
import socket
import threading
import time

_TOGETHER = 0.05  # seconds


class Interrupted(BaseException):
    """Training was stopped by a signal, and everything is saved.

    No Exception, as KeyboardInterrupt is none: it may rise out of code that TensorFlow
    traces, and AutoGraph changes the Exceptions that pass through it.

    Attributes:
        signum: the signal's number.
    """

    def __init__(self, signum: int):
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


class StopSignals:
    """Context in which SIGTERM and SIGINT set `received` instead of killing.

    Python runs signal handlers only between two operations of the main thread,
    so a second signal is watched by a thread of its own: it ends the process at
    once, even in the middle of a long TensorFlow call. One that comes together with
    the first is not a second one: `timeout`, for example, signals a process and
    then its whole group. Outside the main thread, where Python allows no handlers,
    the context does nothing.
    """

    _SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self):
        self.received: int | None = None
        self._installed = self._raises = False

    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            return self
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._old_descriptor = signal.set_wakeup_fd(self._writer.fileno())
        self._old_handlers = [signal.signal(s, self._set) for s in self._SIGNALS]
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._installed = True
        return self

    def __exit__(self, *_):
        if not self._installed:
            return
        for number, handler in zip(self._SIGNALS, self._old_handlers, strict=True):
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_descriptor)
        self._writer.close()  # Ends the watcher's read.
        self._watcher.join()
        self._reader.close()

    def check(self) -> None:
        """Raises `Interrupted` if a signal came."""
        if self.received is not None:
            raise Interrupted(self.received)

    @contextlib.contextmanager
    def at_once(self):
        """Context of slow work that leaves nothing to save: a signal raises in it."""
        self.check()
        self._raises = True
        try:
            yield
        finally:
            self._raises = False

    def _set(self, signum, frame):
        del frame
        self.received = signum
        if self._raises:
            raise Interrupted(signum)

    def _watch(self):
        first = None
        while data := self._reader.recv(1):
            if data[0] not in self._SIGNALS:
                continue
            now = time.monotonic()
            if first is None:
                first = now
            elif now - first > _TOGETHER:
                os._exit(128 + data[0])
