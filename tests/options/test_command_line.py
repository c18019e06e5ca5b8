import pathlib
import signal
import subprocess
import sys
import textwrap

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# Nothing here needs TensorFlow, and without it a process starts in no time.
PRELUDE = """
import signal, sys, time
from unittest import mock
sys.modules["tensorflow"] = mock.MagicMock()
from absl import flags
from options import command_line
from common.interruption import Interrupted
from common.errors import NonFiniteLoss
flags.DEFINE_integer("epochs", 3, "Epochs.", lower_bound=1)
"""


def start(body, *arguments):
    code = PRELUDE + "def main():\n" + textwrap.indent(textwrap.dedent(body), "    ")
    return subprocess.Popen(
        [sys.executable, "-c", code + "\ncommand_line.run(main)\n", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def run(body, *arguments):
    process = start(body, *arguments)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_flags_are_parsed_and_success_is_zero():
    code, out, err = run("print(flags.FLAGS.epochs)", "--epochs=7")
    assert (code, out, err) == (0, "7\n", "")


@pytest.mark.parametrize(
    ("statement", "code", "text"),
    [
        ('raise ValueError("bad\\n  value")', 2, "error: bad value"),
        (
            'open("/no/file")',
            2,
            "error: cannot use /no/file: No such file",
        ),
        ('raise NonFiniteLoss("step 3")', 1, "error: step 3"),
        (
            "raise Interrupted(signal.SIGTERM)",
            143,
            "error: stopped by SIGTERM; all is saved, the same command goes on",
        ),
        ("raise Interrupted(signal.SIGINT)", 130, "error: stopped by SIGINT; all"),
        (
            'raise MemoryError("of 9 GB")',
            1,
            "error: the run does not fit",
        ),
        (
            'raise type("ResourceExhaustedError", (Exception,), {})("OOM\\nmore")',
            1,
            "error: the run does not fit into memory (OOM). Expected a --batch_size",
        ),
        (
            'raise type("DataLossError", (Exception,), {})("corrupted record at 0")',
            2,
            "error: a data file is damaged: corrupted record at 0",
        ),
        (
            'raise type("NotFoundError", (Exception,), {})("train/cat/1.png; gone")',
            2,
            "error: a file that was there is gone: train/cat/1.png; gone",
        ),
        ("raise KeyboardInterrupt", 130, "error: stopped by SIGINT"),
    ],
)
def test_what_stops_a_run_is_one_line(statement, code, text):
    found, out, err = run(statement)
    assert found == code
    assert out == ""
    assert err.startswith(text)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("--epoch=3", "error: Unknown command line flag 'epoch'. Did you mean: epochs"),
        ("--epochs=many", "error: flag --epochs=many: invalid literal"),
        ("--epochs=0", "error: flag --epochs=0: 0 is not"),
        ("epochs=3", "error: unexpected argument 'epochs=3'; expected --name=value"),
    ],
)
def test_bad_arguments_are_one_line(argument, text):
    code, out, err = run("print('started')", argument)
    assert code == 2
    assert out == ""
    assert err.startswith(text)
    assert err.count("\n") == 1


def test_a_script_may_take_arguments():
    code = PRELUDE + "command_line.run(print, takes_arguments=True)"
    process = subprocess.run(
        [sys.executable, "-c", code, "one=a", "--epochs=2", "two"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout == "['one=a', 'two']\n"


def test_verbosity_shows_where_an_error_came_from():
    code, _, err = run('raise ValueError("bad value")', "--verbosity=1")
    assert code == 1
    assert "Traceback" in err
    assert err.endswith("ValueError: bad value\n")


@pytest.mark.parametrize("arguments", [[], ["--verbosity=0"]])
def test_information_is_shown_only_on_demand(arguments):
    body = """
    from absl import logging
    logging.info("some news")
    logging.warning("some trouble")
    """
    _, _, err = run(body, *arguments)
    assert ("some news" in err) == bool(arguments)
    assert "some trouble" in err


def test_a_bug_is_not_hidden():
    code, _, err = run("{}['key']")
    assert code == 1
    assert "Traceback" in err
    assert "KeyError: 'key'" in err


def test_help_names_the_flags():
    code, out, err = run("pass", "--help")
    assert code in (0, 1)  # absl's choice
    assert "--epochs" in out + err


def test_control_c_before_the_training_is_one_line():
    # A shell's background job, in which pytest may run, ignores SIGINT.
    heed = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    process = start(f"{heed}\nprint('ready', flush=True)\ntime.sleep(600)")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == "error: stopped by SIGINT\n"
    assert process.returncode == 130


def test_a_flag_file_that_is_no_text_is_one_line(tmp_path):
    (tmp_path / "flags").write_bytes(bytes(range(256)))
    code, out, err = run("pass", f"--flagfile={tmp_path / 'flags'}")
    assert (code, out) == (2, "")
    assert err.startswith("error: 'utf-8' codec can't decode")
    assert err.count("\n") == 1
