import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from common.interruption import Interrupted, StopSignals

ROOT = pathlib.Path(__file__).parents[2]
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def start(body):
    """A process inside StopSignals that runs `body` after it printed "ready"."""
    code = """
import hashlib, os, signal, sys, time
from common.interruption import StopSignals

def block():
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # minutes in C, without the GIL

with StopSignals() as signals:
    print("ready", flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code + textwrap.indent(textwrap.dedent(body), "    ")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    return process


@pytest.mark.parametrize("signum", SIGNALS)
def test_the_first_signal_is_only_noted(signum):
    with StopSignals() as signals:
        signals.check()
        os.kill(os.getpid(), signum)
        time.sleep(0.01)
        assert signals.received == signum
        with pytest.raises(Interrupted, match=f"stopped by {signum.name}") as caught:
            signals.check()
    assert caught.value.signum == signum


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_restored(fails):
    before = [signal.getsignal(number) for number in SIGNALS]
    threads = threading.active_count()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    outer = signal.set_wakeup_fd(writer)
    try:
        with StopSignals():
            assert [signal.getsignal(number) for number in SIGNALS] != before
            if fails:
                raise KeyError
    except KeyError:
        pass
    finally:
        assert signal.set_wakeup_fd(outer) == writer
        os.close(reader)
        os.close(writer)
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert threading.active_count() == threads


@pytest.mark.parametrize("signum", SIGNALS)
def test_work_that_leaves_nothing_to_save_is_stopped_at_once(signum):
    with StopSignals() as signals:
        with pytest.raises(Interrupted) as caught, signals.at_once():
            os.kill(os.getpid(), signum)
            pytest.fail("the signal did not raise")
        assert caught.value.signum == signum
    with StopSignals() as signals:
        os.kill(os.getpid(), signum)  # only noted
        time.sleep(0.01)
        with pytest.raises(Interrupted), signals.at_once():
            pytest.fail("a signal that came before was forgotten")


def test_contexts_may_follow_each_other():
    for _ in range(3):
        with StopSignals() as signals:
            assert signals.received is None
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            assert signals.received == signal.SIGTERM


def test_outside_the_main_thread_nothing_happens():
    before = [signal.getsignal(number) for number in SIGNALS]
    seen = []

    def work():
        with StopSignals() as signals:
            seen.append([signal.getsignal(number) for number in SIGNALS])
            signals.check()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_second_signal_ends_a_blocked_process_at_once(first, second):
    process = start("block()")
    process.send_signal(first)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(second)
    assert process.wait(20) == 128 + second, "and not after minutes"


def test_signals_that_come_together_are_one():
    process = start(
        """
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)  # at once: the kernel merges none
        time.sleep(0.3)
        print(signals.received, flush=True)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        """
    )
    assert process.stdout.readline() == "15\n"
    assert process.wait(20) == 143


def test_other_signals_do_not_count():
    process = start(
        """
        signal.signal(signal.SIGUSR1, lambda *_: None)
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        sys.exit(signals.received)
        """
    )
    assert process.wait(20) == signal.SIGTERM
