"""Records of a grid that nobody trained; their numbers follow from their place."""

import hashlib
import json
import pathlib

from comparison.grid.record import FAILED, FINISHED, MISSING, Record

METHODS = (
    "none Soft_logits Logits DML FitNet AT NST AB VID FT OFD AFD LwM Sobolev BSS FSP "
    "KD_SVD KD_EID MHGD RKD PKT SP CC IRG CRD MLKD"
).split()
# Of a run folder on the disk.
METRICS = (
    "phase,epoch,step,test_accuracy,images_per_second\n"
    "distill,1,10,0.125,100.0\n"
    "distill,2,20,0.25,100.0\n"
)
SETTINGS = {"hparam": [], "distiller": "AT", "batch_size": 8}
BEST = {"epoch": 1, "validation_accuracy": 0.5, "test_accuracy": 0.125}


def record(
    method="AT",
    *,
    seed=0,
    fraction=1.0,
    last=0.5,
    best=None,
    varied=(),
    state=FINISHED,
    reason="",
    dataset="cifar10",
    teacher="resnet56",
    student="resnet8",
    speed=1000.0,
    epochs=3,
    settings=None,
    versions=None,
):
    """One cell. Its curve rises to `last`; `best` None: without a validation split."""
    teacher = "" if method == "none" else teacher
    place = (dataset, teacher, student, method, varied, fraction, seed)
    folder = pathlib.Path("runs") / hashlib.sha256(repr(place).encode()).hexdigest()[:8]
    found = Record(*place, folder, state, reason)
    if state != FINISHED:
        return found
    curve = [last * (1 - 0.5 * 0.8**epoch) for epoch in range(1, epochs)] + [last]
    return Record(
        *place,
        folder,
        state,
        result=result(found, last, best, settings or {}, versions or {}),
        rows=tuple(row(i, accuracy, speed) for i, accuracy in enumerate(curve, 1)),
    )


def result(cell, last, best, settings, versions):
    """As a run's result.json."""
    teacher = {"net": cell.teacher, "top1": 0.93, "parameters": 855770}
    return {
        **({"teacher": teacher} if cell.teacher else {}),
        "student": {
            "net": cell.student,
            "top1": last,
            "top5": 0.9,
            "loss": 1.25,
            "parameters": 78042,
            "non_trainable_parameters": 2080,
            "multiply_accumulates": 12501632,
            "weights_sha256": f"of {cell.folder.name}",
        },
        "best_on_validation": best
        and {"epoch": 2, "validation_accuracy": 0.9 * best, "test_accuracy": best},
        "forward_passes": {
            "student": 1.0,
            **({"teacher": 1.0} if cell.teacher else {}),
        },
        "settings": {
            "dataset": cell.dataset,
            "data_fraction": cell.fraction,
            "teacher": "",
            "teacher_checkpoint": "sha256:0" if cell.teacher else "",
            "student": cell.student,
            "distiller": cell.method,
            "hparam": [] if cell.method == "none" else ["weight=2.0", "taps=stages"],
            "task_weight": 1.0,
            "epochs": 3,
            "batch_size": 64,
            "image_size": 0,
            "precision": "float32",
            "xla": False,
            "learning_rate": 0.05,
            "seed": cell.seed,
            **settings,
        },
        "versions": {"tensorflow": "2.21.0", **versions},
    }


def row(epoch, accuracy, speed):
    """As one of a run's metrics.csv; an epoch has 640 images."""
    return {
        "phase": "train",
        "epoch": str(epoch),
        "step": str(10 * epoch),
        "loss": repr(2.0 / epoch),
        "test_accuracy": repr(accuracy),
        "images_per_second": repr(speed),
    }


def draw(*key):
    """From 0 to 1, the same for the same key."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return int.from_bytes(digest[:4]) / 2**32


def grid(methods=METHODS, fractions=(1.0, 0.1), seeds=(0, 1, 2), epochs=30):
    """All cells; BSS failed, CRD is not finished, and MLKD lacks a seed."""
    records = []
    for method in methods:
        for fraction in fractions:
            for seed in seeds:
                last = 0.6 + 0.2 * fraction + 0.08 * draw(method)
                last += 0.02 * draw(method, fraction) + 0.01 * draw(method, seed)
                place = {"method": method, "fraction": fraction, "seed": seed}
                if method == "BSS":
                    why = 'loss "bss" is not finite | step 70 <b>&amp;</b>'
                    records.append(record(**place, state=FAILED, reason=why))
                elif method == "CRD" or (method == "MLKD" and seed == 2):
                    records.append(record(**place, state=MISSING))
                else:
                    speed = 1000.0 / (
                        1 if method == "none" else 1.2 + 4 * draw(method, 1) ** 3
                    )
                    numbers = {"last": round(last, 4), "best": round(last - 0.002, 4)}
                    records.append(
                        record(**place, **numbers, speed=speed, epochs=epochs)
                    )
    return records


def kd_grid(temperatures=("2", "4", "8", "16"), weights=(".2", ".4", ".6", ".8")):
    """Soft_logits over two hyperparameters and the student alone; one cell failed."""
    records = [record("none", last=0.6)]
    for temperature in temperatures:
        for weight in weights:
            varied = (("temperature", temperature), ("weight", weight))
            last = round(0.6 + 0.05 * draw(temperature, weight), 4)
            failed = (temperature, weight) == ("8", ".4")
            records.append(
                record("Soft_logits", varied=varied, state=FAILED, reason="stopped")
                if failed
                else record("Soft_logits", varied=varied, last=last)
            )
    return records


def finish(cell, best=None, form=1):
    """A finished run folder for a cell of a grid."""
    path = cell.folder.path
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"format": form}))
    (path / "metrics.csv").write_text(METRICS)
    result = {"student": {"top1": 0.25}, "best_on_validation": best}
    (path / "result.json").write_text(json.dumps({**result, "settings": SETTINGS}))
