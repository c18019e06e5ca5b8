"""The rule of tests/method_cost.py, on sessions that are only told."""

import pathlib
import time
import types

import pytest

import distiller  # noqa: F401  # as the test files of methods do
from tests import method_cost

DISTILLER = pathlib.Path("tests/distiller")


def item(path, *marks, **parameters):
    """A test of a file, as pytest collects it."""
    marks = [mark.mark for mark in marks]
    return types.SimpleNamespace(
        path=DISTILLER / path,
        callspec=types.SimpleNamespace(params=parameters),
        user_properties=[],
        iter_markers=lambda name: [m for m in marks if m.name == name],
        get_closest_marker=lambda name: any(m.name == name for m in marks),
    )


@pytest.mark.parametrize(
    ("test", "names"),
    [
        (item("test_kd_svd.py"), {"KD_SVD"}),
        (item("../test_parity.py", pytest.mark.method("AT")), {"AT"}),
        (item("test_conformance.py", case=("VID", ())), {"VID"}),
        (item("test_conformance.py", name="VID"), {"VID"}),
        (item("test_conformance.py", case=("AB", ())), set()),  # one of the seams
        (item("test_composition.py"), set()),
        (item("test_vid.py", pytest.mark.slow), set()),
        (item("../nets/test_net_families.py", name="resnet8", case=3), set()),
    ],
)
def test_what_is_counted_for_which_method(test, names):
    assert method_cost.methods_of(test) == names


def finished(seconds, **config):
    """A session at its end; its tests of VID took so long."""
    costs = method_cost.Costs()
    for value in ("VID", seconds / 2), ("AT", 1.0), ("VID", seconds / 2):
        properties = [("method_seconds", value), ("another", 100)]
        for when in ("setup", "call", "teardown"):
            report = types.SimpleNamespace(when=when, user_properties=properties)
            costs.pytest_runtest_logreport(report)
    config = types.SimpleNamespace(**config)
    session = types.SimpleNamespace(config=config, exitstatus=0)
    costs.pytest_sessionfinish(session, session.exitstatus)
    return session.exitstatus, costs.above()


def test_a_session_fails_by_a_method_that_costs_too_much():
    most = method_cost.LIMIT * method_cost.TOLERANCE
    assert finished(0.9 * most) == (0, [])
    status, (line,) = finished(1.1 * most)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert line.startswith("VID costs") and "Expected" in line and "Received: " in line
    # A worker leaves it to the session that adds up all of them.
    assert finished(2 * most, workerinput={})[0] == 0


def test_processor_time_is_measured_and_a_slow_processor_gets_more(monkeypatch):
    test, shares = item("test_vid.py"), []
    for slowness in (1.0, 4.0):
        monkeypatch.setattr(method_cost, "slowness", lambda found=slowness: found)
        costs = method_cost.Costs()
        run = costs.pytest_runtest_protocol(test, None)
        next(run)
        until = time.process_time() + 0.2
        while time.process_time() < until:
            pass
        time.sleep(0.3)  # costs no one else anything
        costs.pytest_runtest_makereport(test, types.SimpleNamespace(when="teardown"))
        [(_, (name, seconds))] = test.user_properties
        assert name == "VID"
        shares.append(seconds * slowness)
        test.user_properties.clear()
    assert shares == pytest.approx([0.2, 0.2], abs=0.09)
