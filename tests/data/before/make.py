"""Makes the files of this folder, with the code of the state before; see README.md.

python tests/data/before/make.py
"""

import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import op_utils.environment  # noqa: E402, F401  quietens TensorFlow

# isort: split

import json  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402

import commands  # noqa: E402
import dataloader  # noqa: E402
import distiller  # noqa: E402
import nets  # noqa: E402
from nets import profile  # noqa: E402
from op_utils import computation  # noqa: E402
from op_utils.options import Options  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
NUM_IMAGES = 8
TAP = "stage2"  # whose values are kept
FIT = {"method": "FitNet", "hparams": ["taps=stage1", "weight=0.01"], "seed": 3}
RUN = {
    "train_dir": "run",
    "teacher_checkpoint": "net.keras",
    "student": "little.keras",
    "student_scaling": "unit",
    "student_taps": "stage1=block1_out,stage2=block2_out",
    "distiller": "FitNet",
    "hparam": "taps=stage2",
    "data_fraction": "0.3",
    "validation": "0.1",
    "batch_size": "32",
    "learning_rate": "0.03",
    "init_epochs": "1",
    "epochs": "6",
    "checkpoint_every": "5",
}
STOP_AT = 30  # of 12 steps an epoch


def model(width, name, softmax=True):
    """A Keras model with a residual sum, for images [8, 8, 1] in [0, 1]."""
    conv = {"kernel_size": 3, "padding": "same"}
    images = keras.Input((8, 8, 1))
    x = first = keras.layers.Conv2D(width, name="block1_conv", **conv)(images)
    x = keras.layers.BatchNormalization(name="block1_bn", momentum=0.9)(x)
    x = keras.layers.ReLU(name="block1_relu")(x)
    x = keras.layers.Conv2D(width, name="block1_conv2", **conv)(x)
    x = keras.layers.Add(name="block1_out")([x, first])
    x = keras.layers.MaxPooling2D(name="pool")(x)
    x = keras.layers.Conv2D(2 * width, activation="relu", name="block2_out", **conv)(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    end = "softmax" if softmax else None
    x = keras.layers.Dense(10, activation=end, name="classes")(x)
    return keras.Model(images, x, name=name)


def train(command):
    """The interrupted run and what it begins with, in the current folder."""
    script = "train_w_distill.py"
    flags = ("--distiller=none", "--student=wrn_10_1", "--epochs=3")
    finished = commands.run(script, *flags, "--train_dir=teacher", cwd=os.getcwd())
    assert finished.code == 0, finished.err
    shutil.copy("teacher/student.keras", "net.keras")
    keras.utils.set_random_seed(2)
    model(4, "little", softmax=False).save("little.keras")
    process = commands.Command(script, *command, cwd=os.getcwd())
    while not os.path.exists(f"run/checkpoints/step-{STOP_AT:010d}"):
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGTERM)
    stopped = process.wait()
    assert stopped.code == 128 + signal.SIGTERM, stopped.err
    assert not os.path.exists("run/result.json")
    # Its files' names have the machine's.
    shutil.rmtree("run/tensorboard")
    os.remove("run/.lock")
    shutil.copytree("run", "stopped")
    finished = commands.run(script, *command, cwd=os.getcwd())
    assert finished.code == 0, finished.err


def outputs(net, images):
    """Logits and one tap of uint8 images, as arrays."""
    output = net(net.normalise(images), with_taps=True)
    return {"logits": np.asarray(output.logits), "tap": np.asarray(output.taps[TAP])}


def facts(net):
    """What a net says of itself."""
    return {
        "name": net.name,
        "num_classes": net.num_classes,
        "class_names": list(net.class_names or ()),
        "image_shape": list(net.image_shape),
        "mean": list(net.mean),
        "std": list(net.std),
        "parameters": nets.count_parameters(net),
        "multiply_accumulates": nets.multiply_accumulates(net),
        "weights_sha256": computation.net_digest(net),
        "tap_specs": {n: list(s.shape) for n, s in net.tap_specs.items()},
        "tap_layers": getattr(net, "tap_layers", {}),
        "sizes": profile.facts(net),
    }


def distillation(folder):
    """The model of `fit`, made alike each time."""
    student = nets.load(folder / "narrowed.keras")
    teacher = nets.load(folder / "wrapped.keras")
    made = distiller.DistillationModel(
        student, teacher, FIT["method"], hparams=FIT["hparams"], seed=FIT["seed"]
    )
    made.compile(keras.optimizers.SGD(0.01), metrics=["accuracy"])
    return made


def main():
    """Writes all files; those of before are replaced."""
    test = dataloader.load("digits").test
    images = test.images[:NUM_IMAGES]
    command = [f"--{name}={value}" for name, value in RUN.items()]
    command.append("--hparam=weight=1")
    with tempfile.TemporaryDirectory() as temporary:
        os.chdir(temporary)
        folder = pathlib.Path(temporary)
        train(command)

        keras.utils.set_random_seed(1)
        trained = model(8, "brought")
        trained.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
        train_images = dataloader.load("digits").train
        pixels = train_images.images[:640]
        trained.fit(
            pixels / np.float32(255), train_images.labels[:640], epochs=8, verbose=0
        )
        taps = {"stage1": "block1_out", "stage2": "block2_out"}
        scale = {"mean": (0.3,), "std": (0.4,), "scaling": "unit"}
        net = nets.wrap(trained, taps, **scale)
        net.class_names = tuple(f"digit {i}" for i in range(10))
        nets.save(net, "wrapped.keras")
        narrowed = nets.narrow(trained, 0.5, seed=5)
        nets.save(nets.wrap(narrowed, taps, **scale), "narrowed.keras")

        fitted = distillation(folder)
        labels = train_images.labels[:640]
        last = distiller.MethodCheckpoint("fit.npz")
        how = {"batch_size": 64, "verbose": 0}
        fitted.fit(pixels, labels, callbacks=[last], **how)
        fitted.save_weights("student.weights.h5")
        arrays = {"images": images}
        arrays["fit_logits"] = np.asarray(fitted.predict(images, verbose=0))
        goes_on = fitted.fit(pixels, labels, **how)
        arrays["fit_own"] = np.asarray(fitted.method.variables[0])
        losses = {name: h.history["loss"] for name, h in goes_on.items()}

        told = {"fit": {**FIT, "losses": losses, **how, "num_images": len(pixels)}}
        told["nets"] = {}
        sources = {
            "net": "net.keras",
            "wrapped": "wrapped.keras",
            "narrowed": "narrowed.keras",
            "best_student": "stopped/best_student.keras",
        }
        for name, file in sources.items():
            net = nets.load(file)
            told["nets"][name] = facts(net)
            arrays |= {f"{name}_{k}": v for k, v in outputs(net, images).items()}
        probabilities = trained.predict(images / np.float32(255), verbose=0)
        arrays["wrapped_probabilities"] = probabilities

        student = nets.load("run/student.keras")
        for name, value in outputs(student, images).items():
            arrays[f"finished_{name}"] = value
        result = json.loads(pathlib.Path("run/result.json").read_text())
        config = json.loads(pathlib.Path("stopped/config.json").read_text())
        steps = sorted(p.name for p in pathlib.Path("stopped/checkpoints").iterdir())
        told["run"] = {
            "command": command,
            "steps": steps,
            "sources_sha256": config["provenance"][0]["sources_sha256"],
            "student": result["student"],
            "teacher": result["teacher"],
            "rows": len(pathlib.Path("run/metrics.csv").read_text().splitlines()) - 1,
            "default_train_dir": Options().default_train_dir(),
        }
        registered = sorted(
            key for key in keras.saving.get_custom_objects() if key.startswith("nets>")
        )
        told["registered"] = registered
        write(folder, told, arrays)


def write(folder, told, arrays):
    """Copies what is kept and writes what is expected of it."""
    shutil.rmtree(HERE / "run", ignore_errors=True)
    shutil.copytree(folder / "stopped", HERE / "run")
    for name in ("net", "little", "wrapped", "narrowed"):
        shutil.copy(folder / f"{name}.keras", HERE)
    for name in ("fit.npz", "student.weights.h5"):
        shutil.copy(folder / name, HERE)
    np.savez_compressed(HERE / "expected.npz", **arrays)
    text = json.dumps(told, indent=1) + "\n"
    (HERE / "expected.json").write_text(text)


if __name__ == "__main__":
    main()
