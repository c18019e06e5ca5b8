"""A grid of runs from Python: the flags of benchmark.py in, its report.json out.

python -m examples.grid_from_python

Flags and report are what stays; the modules between them may change at any time.
Called again, it goes on where it was interrupted, and runs nothing twice.
"""

import json
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).parents[1] / "benchmark.py"


def run(output: str, **grid) -> dict:
    """Runs a grid, or what is missing of it.

    Args:
        output: folder of the runs and the report.
        **grid: flags of benchmark.py; a list is joined by commas.

    Returns:
        What `report.json` holds: docs/benchmark.md names its parts.

    Raises:
        subprocess.CalledProcessError: a flag is wrong, or a run failed.
    """
    flags = [
        f"--{name}={','.join(map(str, x)) if isinstance(x, list) else x}"
        for name, x in grid.items()
    ]
    command = [sys.executable, str(SCRIPT), f"--output={output}", *flags]
    subprocess.run(command, check=True)
    return json.loads(pathlib.Path(output, "report.json").read_text())


def main(output: str = "runs/from_python", **grid) -> dict[str, tuple[float, int]]:
    """Compares two methods with the student alone, on a tenth of the digits.

    Returns:
        Label of a row -> mean test accuracy, 0 to 1, and over how many seeds.
    """
    nets = {"teacher": "WResNet-10-1", "student": "WResNet-10-1"}
    sides = {"methods": ["none", "Soft_logits", "AT"], "seeds": [0, 1]}
    recipe = {"data_fraction": 0.1, "epochs": 20, "teacher_epochs": 8, "batch_size": 32}
    (table,) = run(output, **{**nets, **sides, **recipe, **grid})["tables"]
    return {
        row["label"]: (row["last"]["mean"], row["finished"]) for row in table["rows"]
    }


if __name__ == "__main__":
    for label, (accuracy, seeds) in main().items():
        print(f"{label}: {accuracy:.1%}, mean of {seeds} seeds")
