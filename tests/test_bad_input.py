"""Every wrong flag and file: one clear line, exit code 2, nothing overwritten."""

import json

import keras
import pytest

import commands
import nets
from nets import saving

TRAIN = "train_w_distill.py"

# Arguments -> what the error line has to name.
BAD_FLAGS = {
    "--continue_from=absent": "--continue_from=absent",
    "--student=resnet9": "resnet9",
    "--teacher=wrn_17_2": "6n + 4",
    "--distiller=KDD": "KDD",
    "--distiller=AT+AT": "twice",
    "--dataset=digitz": "digitz",
    "--dataset=folder:absent": "train/CLASS/",
    "--hparam=wieght=1": "wieght",
    "--hparam=weight=heavy": "heavy",
    "--hparam=weight=nan": "nan",
    "--hparam=temperature=0": "temperature",
    "--hparam=weight": "weight",
    "--distiller=AT --hparam=taps=stage7": "stage7",
    "--data_fraction=0": "--data_fraction",
    "--data_fraction=2": "--data_fraction",
    "--data_fraction=nan": "--data_fraction",
    "--validation=1.5": "--validation",
    "--validation=-0.1": "--validation",
    "--batch_size=0": "--batch_size",
    "--batch_size=100000": "batch_size",
    "--data_fraction=0.02": "batch_size",
    "--learning_rate=-0.1": "--learning_rate",
    "--learning_rate=inf": "--learning_rate",
    "--init_learning_rate=0": "--init_learning_rate",
    "--epochs=-1": "--epochs",
    "--epochs=0": "--epochs",
    "--epochs=1.5": "epochs",
    "--init_epochs=0": "--init_epochs",
    "--distiller=AB --epochs=30 --equal_epochs": "--equal_epochs leaves 0 epochs",
    "--teacher_epochs=0": "--teacher_epochs",
    "--momentum=1": "--momentum",
    "--weight_decay=-1": "--weight_decay",
    "--task_weight=-1": "--task_weight",
    "--task_weight=nan": "--task_weight",
    "--decay_rate=0": "--decay_rate",
    "--schedule=step --decay_points=0.5,x": "decay_points",
    "--schedule=step --decay_points=70": "--decay_points",
    "--warmup_epochs=60": "--warmup_epochs",
    "--augmentation_period=-1": "--augmentation_period",
    "--distiller=AT+crd --mixup=0.2": "--distiller=AT+CRD reads the label",
    "--cutout=9": "cutout=9",
    "--seed=-1": "--seed",
    "--data_seed=4294967296": "--data_seed",
    "--log_every=0": "--log_every",
    "--checkpoint_every=0": "--checkpoint_every",
    "--schedule=linear": "cosine",
    "--precision=float64": "mixed_bfloat16",
    "--pad_mode=same": "reflect",
    "--nesterov=perhaps": "nesterov",
    "--epoch=3": "epoch",
    "--distiller=none --task_weight=0": "nothing to learn",
    "--distiller=AT --hparam=p=1e9": "p=1000000000",
    "--teacher_checkpoint=absent.keras": "absent.keras",
    "--distiller=dml --teacher_checkpoint=absent.keras": "--distiller=DML trains",
    "--distiller=DML --teacher=resnet9": "resnet9",
    "--flagfile=absent.flags": "absent.flags",
    "--train_dir=/proc/run": "/proc/run",
    "digits": "digits",
}


def assert_one_clear_line(finished, *words):
    assert finished.code == 2, finished
    assert "Traceback" not in finished.err
    assert len(finished.error_lines) == 1, finished.err
    assert finished.error_lines[0].startswith("error: ")
    for word in words:
        assert word in finished.error_lines[0]


@pytest.mark.parametrize("arguments", BAD_FLAGS)
def test_bad_flag(arguments, tmp_path):
    finished = commands.run(TRAIN, *arguments.split(), cwd=tmp_path)
    assert_one_clear_line(finished, BAD_FLAGS[arguments])
    # Nothing was written, not even a teacher's folder.
    assert not [p for p in tmp_path.rglob("*") if not p.name.startswith(".output")]


def test_teacher_that_is_a_text_file(tmp_path):
    (tmp_path / "teacher.keras").write_text("not a net")
    finished = commands.run(TRAIN, "--teacher_checkpoint=teacher.keras", cwd=tmp_path)
    assert_one_clear_line(finished, "teacher.keras", "no .keras archive")


@pytest.mark.parametrize(
    ("classes", "shape", "word"),
    [(7, (8, 8, 1), "7 classes"), (10, (32, 32, 3), "(32, 32, 3)")],
)
def test_teacher_for_other_data(classes, shape, word, tmp_path):
    saving.save(nets.build("resnet8", classes, shape), tmp_path / "teacher.keras")
    for script in (TRAIN, "test.py"):
        flag = "--teacher_checkpoint" if script == TRAIN else "--checkpoint"
        finished = commands.run(script, f"{flag}=teacher.keras", cwd=tmp_path)
        assert_one_clear_line(finished, word, "10 classes")


def test_teacher_with_its_classes_in_another_order(tmp_path):
    net = nets.build("resnet8", 10, (8, 8, 1))
    net.class_names = tuple("1023456789")
    saving.save(net, tmp_path / "teacher.keras")
    finished = commands.run(TRAIN, "--teacher_checkpoint=teacher.keras", cwd=tmp_path)
    words = "another order", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9", "1, 0, 2, 3, 4, 5, 6, 7"
    assert_one_clear_line(finished, "teacher.keras", *words)
    assert not (tmp_path / "runs").exists()


def test_teacher_that_does_not_say_how_it_wants_pixels(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    model.save(tmp_path / "teacher.keras")
    finished = commands.run(TRAIN, "--teacher_checkpoint=teacher.keras", cwd=tmp_path)
    assert_one_clear_line(finished, "how its model wants pixels", "--teacher_scaling")


def save_model(path, units, activation):
    layers = keras.layers.Flatten(), keras.layers.Dense(units, activation, name="out")
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers], name="mine")
    if path.suffix:
        model.save(path)
    else:
        model.export(path, verbose=False)


@pytest.mark.parametrize(
    ("script", "flags", "words"),
    [
        (TRAIN, "--teacher=one.h5 --teacher_scaling=unit", "nets.two_classes(model)"),
        ("test.py", "--checkpoint=one.h5 --scaling=unit", "layer 'out'"),
        (TRAIN, "--student=exported", "SavedModel"),
        (TRAIN, "--teacher_checkpoint=exported", "model.save('model.keras')"),
    ],
)
def test_models_that_have_to_be_converted(script, flags, words, tmp_path):
    file = flags.split()[0].partition("=")[2]
    save_model(tmp_path / file, 1, "sigmoid")
    finished = commands.run(script, *flags.split(), cwd=tmp_path)
    assert_one_clear_line(finished, file, words)
    assert not (tmp_path / "runs").exists()


def test_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("precious")
    finished = commands.run(TRAIN, "--distiller=none", "--train_dir=mine", cwd=tmp_path)
    assert_one_clear_line(finished, "thesis.txt")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_changed_config_names_the_flags(teacher):
    folder = teacher.parent.parent
    before = {p: p.read_bytes() for p in (folder / "run").glob("*.*")}
    finished = commands.run(
        TRAIN,
        *("--distiller=none", "--student=wrn_10_1", "--train_dir=run"),
        *("--epochs=3", "--seed=1"),
        cwd=folder,
    )
    assert_one_clear_line(finished, "--epochs was 2 and is now 3", "--seed was 0")
    assert before == {p: p.read_bytes() for p in (folder / "run").glob("*.*")}


def test_folder_of_another_version(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text(json.dumps({"format": 99}))
    finished = commands.run(TRAIN, "--distiller=none", "--train_dir=run", cwd=tmp_path)
    assert_one_clear_line(finished, "format=99")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ("", "--checkpoint"),
        ("--checkpoint=absent.keras", "absent.keras"),
        ("--checkpoint=absent.h5", ".keras"),
        ("--checkpoint=a.keras --output=a.keras", "overwrite"),
        ("--checkpoint=config.keras", "overwrite"),
        ("--checkpoint=a.keras --output=five.json", "overwrite"),
        ("--checkpoint=a.keras --dataset=nothing", "nothing"),
        ("--chekpoint=a.keras", "chekpoint"),
    ],
)
def test_bad_evaluation(arguments, word, tmp_path):
    (tmp_path / "config.json").write_text("{}")  # the default output of config.keras
    (tmp_path / "five.json").write_text("5")
    finished = commands.run("test.py", *arguments.split(), cwd=tmp_path)
    assert_one_clear_line(finished, word)
