"""What each method costs the fast tests: the session fails if one costs too much.

Counted is processor time, not time on the clock, of the tests that are not slow: those
of `tests/distiller/test_METHOD.py`, those marked `method(NAME)` (its published
vectors), and, of a method that is not in `tests/seams.py`, every test that has its name
as a parameter. A processor slower than that of the limit gets more time, as measured by
a piece of work that is timed first and that also does what TensorFlow does only once.
"""

import collections
import os
import statistics
import sys
import time

import pytest

LIMIT = 3.0  # seconds of processor time that a method should cost
# How much more fails: equal work takes other times beside other work.
TOLERANCE = 1.5
UNIT = 0.030  # seconds of `_work` where the limit was chosen


def seconds_used() -> float:
    """Processor time of this process, its threads and children that ended."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def slowness() -> float:
    """How many times as long as where the limit was chosen the same work takes."""
    _work()
    used = []
    for _ in range(7):
        before = seconds_used()
        _work()
        used.append(seconds_used() - before)
    return max(1.0, statistics.median(used) / UNIT)


def _work():
    """Tracing, compiling and eager steps, of which the methods' tests consist."""
    import tensorflow as tf  # imported already, where a method is tested

    def gradient(images, kernel):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            maps = tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "SAME"))
            loss = tf.reduce_mean(tf.square(tf.reduce_mean(maps, [1, 2])))
        return tape.gradient(loss, kernel)

    images, kernel = tf.ones([4, 8, 8, 3]), tf.ones([3, 3, 3, 4])
    for _ in range(5):
        gradient(images, kernel)
    tf.function(gradient)(images, kernel)


def methods_of(item) -> set[str]:
    """The canonical names of the methods that a test is counted for."""
    # Where no test of the session has imported the methods, none of them is tested; nor
    # are they imported here, which takes seconds.
    registry = sys.modules.get("distiller.registry")
    if registry is None or item.get_closest_marker("slow"):
        return set()
    from tests import seams

    found = {mark.args[0] for mark in item.iter_markers("method")}
    if item.path.parent.name == "distiller":
        module = item.path.stem.removeprefix("test_")
        found |= {n for n in registry.METHODS if _module(registry, n) == module}
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    named = {parameters.get("name"), *_first(parameters.get("case"))}
    return found | {n for n in registry.METHODS if n in named} - set(seams.SEAMS)


def _first(case) -> tuple:
    return case[:1] if isinstance(case, tuple) else ()


def _module(registry, name) -> str:
    return registry.method_class(name).__module__.rpartition(".")[2]


class Costs:
    """Measures each test where it runs, and adds up where the session is reported."""

    def __init__(self):
        self._slowness, self.of_methods = None, collections.Counter()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item, nextitem):
        names = methods_of(item)
        if names and self._slowness is None:
            self._slowness = slowness()
        self._methods, self._before = names, seconds_used()
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item, call):
        if call.when == "teardown" and self._methods:
            seconds = (seconds_used() - self._before) / self._slowness
            for name in sorted(self._methods):
                item.user_properties.append(("method_seconds", (name, seconds)))

    def pytest_runtest_logreport(self, report):
        if report.when == "teardown":
            for key, value in report.user_properties:
                if key == "method_seconds":
                    self.of_methods[value[0]] += value[1]

    def above(self) -> list[str]:
        """A line for each method that costs too much, the costliest first."""
        return [
            f"{name} costs the fast tests {seconds:.1f} s of processor time. Expected "
            f"at most about {LIMIT:.0f} s: mark repetitions as slow. Received: "
            f"{seconds:.1f} s > {LIMIT * TOLERANCE:.1f} s (tests/method_cost.py)."
            for name, seconds in self.of_methods.most_common()
            if seconds > LIMIT * TOLERANCE
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session, exitstatus):
        is_reported_elsewhere = hasattr(session.config, "workerinput")
        if self.above() and not is_reported_elsewhere and exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        for line in self.above():
            terminalreporter.write_line(f"ERROR {line}", red=True)
