"""A run's settings, none of them the default; and a student as a recipe sees it."""

import types


def student(compute_dtype="float32", num_classes=2):
    facts = {"compute_dtype": compute_dtype, "num_classes": num_classes}
    return types.SimpleNamespace(mean=(0.5,), std=(0.25,), **facts)


def phase(task_weight=None):
    """A phase as a recipe sees it."""
    return types.SimpleNamespace(length="train", task_weight=task_weight)


# By the name of the flag.
VALUES = {
    "train_dir": "elsewhere",
    "dataset": "folder:cinic",
    "data_dir": "elsewhere",
    "data_fraction": 0.25,
    "validation": 0.1,
    "data_seed": 1,
    "validation_seed": 4,
    "augmentation_period": 4,
    "pad_mode": "reflect",
    "image_size": 48,
    "merge_valid": True,
    "skip_bad_images": True,
    "cache_gib": 0.5,
    "randaugment": 2,
    "randaugment_magnitude": 5.0,
    "cutout": 8,
    "mixup": 0.2,
    "cutmix": 1.0,
    "teacher": "WRN-16-4",
    "teacher_checkpoint": "a.keras",
    "teacher_taps": "stage1=a",
    "teacher_scaling": "unit",
    "teacher_weights": "none",
    "teacher_epochs": 30,
    "teacher_seed": 2,
    "teacher_data_seed": 5,
    "teacher_dir": "elsewhere/teachers",
    "normalisation": "teacher",
    "student": "WRN-16-1",
    "student_taps": "stage1=b",
    "student_scaling": "pixels",
    "student_weights": "none",
    "continue_from": "elsewhere/run",
    "imports": ("math",),
    "distiller": "AT+VID",
    "hparam": ("AT.weight=1", "VID.weight=0.1"),
    "task_weight": 0.5,
    "class_weight": "balanced",
    "epochs": 50,
    "init_epochs": 20,
    "init_learning_rate": 0.01,
    "equal_epochs": True,
    "batch_size": 128,
    "learning_rate": 0.1,
    "schedule": "step",
    "decay_points": (0.3, 0.6),
    "decay_rate": 0.2,
    "warmup_epochs": 2.5,
    "weight_decay": 1e-4,
    "momentum": 0.8,
    "nesterov": True,
    "precision": "mixed_bfloat16",
    "xla": True,
    "seed": 3,
    "teacher_cache": True,
    "teacher_cache_taps": True,
    "teacher_cache_dir": "elsewhere",
    "teacher_cache_precision": "bfloat16",
    "allow_other_code": True,
    "evaluate_every": 7,
    "log_every": 8,
    "checkpoint_every": 9,
}
