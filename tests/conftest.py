import op_utils.environment  # noqa: F401

# isort: split
import pytest

import commands

QUICK = ("--batch_size=64", "--student=resnet8", "--data_fraction=0.5")


@pytest.fixture(scope="session")
def teacher(tmp_path_factory):
    """A teacher for digits, trained for one epoch; the path of its file."""
    folder = tmp_path_factory.mktemp("teacher")
    finished = commands.run(
        "train_w_distill.py",
        "--distiller=none",
        "--student=wrn_10_1",
        "--epochs=2",
        "--train_dir=run",
        cwd=folder,
    )
    assert finished.code == 0, finished.err
    return folder / "run/student.keras"
