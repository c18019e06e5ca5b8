"""How the scripts start, fail and stop: one clear line and an exit code."""

import signal
import sys
from collections.abc import Callable

from absl import app, flags, logging

from common.errors import NonFiniteLoss
from common.interruption import Interrupted

BAD_INPUT, FAILED = 2, 1


def run(main: Callable, takes_arguments: bool = False) -> None:
    """Parses the flags, calls `main` and exits.

    Exit codes: 0 done; 1 training failed; 2 bad input, files or flags; 130 and
    143 stopped by SIGINT and SIGTERM after saving. A user's mistake (ValueError,
    OSError) is one line on stderr; `--verbosity=1` shows where it came from.

    Args:
        main: called without arguments, or with the list of those that are no flags.
        takes_arguments: whether there may be such arguments.
    """

    def guarded(argv):
        if not flags.FLAGS["verbosity"].present:  # TensorFlow tells of every file.
            logging.set_verbosity(logging.WARNING)
        if not takes_arguments and len(argv) > 1:
            _fail(f"unexpected argument {argv[1]!r}; expected --name=value", BAD_INPUT)
        _guarded(lambda: main(argv[1:]) if takes_arguments else main())

    app.run(guarded, flags_parser=_parse)


def _parse(argv):
    try:
        return flags.FLAGS(argv)
    except (flags.Error, UnicodeDecodeError) as error:  # also: no text in a flag file
        _fail(str(error).removeprefix("ERROR:: "), BAD_INPUT)


def _guarded(main):
    try:
        main()
    except (ValueError, OSError) as error:
        if logging.get_verbosity() > logging.INFO:
            raise
        _fail(_words(error), BAD_INPUT)
    except MemoryError as error:
        _fail_for_memory(error)
    except NonFiniteLoss as error:
        _fail(str(error), FAILED)
    except KeyboardInterrupt:  # Where nothing is trained.
        _fail("stopped by SIGINT", 128 + signal.SIGINT)
    except Interrupted as stop:
        _fail(f"{stop}; all is saved, the same command goes on", 128 + stop.signum)
    except Exception as error:
        # By name, because not every script that starts here needs TensorFlow.
        names = [kind.__name__ for kind in type(error).__mro__]
        if "ResourceExhaustedError" in names:
            _fail_for_memory(error)
        if "DataLossError" in names:
            _fail(f"a data file is damaged: {error}", BAD_INPUT)
        if "NotFoundError" in names:  # an image, for one, that is read when it is due
            _fail(f"a file that was there is gone: {error}", BAD_INPUT)
        raise


def _fail_for_memory(error: Exception):
    cause = str(error).partition("\n")[0]
    _fail(
        f"the run does not fit into memory ({cause}). Expected a --batch_size, nets "
        "and data that do.",
        FAILED,
    )


def _words(error: Exception) -> str:
    """What an error says; of the system's, which file it is about, in front."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return (
            f"cannot use {error.filename}: {error.strerror}. Expected a path that can "
            "be read and written."
        )
    # An error while a graph is traced comes behind the stack of what it calls.
    text = str(error)
    return text.rpartition("Error: ")[2] if text.startswith("in user code") else text


def _fail(text: str, code: int):
    print("error: " + " ".join(text.split()), file=sys.stderr)
    sys.exit(code)
