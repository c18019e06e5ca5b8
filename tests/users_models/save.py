"""Saves users' models as a script of theirs would: Keras and their file, no more.

python save.py FOLDER MODULE.FUNCTION/SIZE/DTYPE[/SUFFIX] ...
"""

import pathlib
import runpy
import sys

import keras


def perturbed(model, seed=0):
    """The model with other weights; its batch norms amplify, as after a training."""
    rng = keras.random.SeedGenerator(seed)
    num_norms = sum("moving_variance" in v.path for v in model.weights)
    variance = 0.3 if num_norms < 10 else 0.1  # or deep nets forget their images
    for variable in model.weights:
        if "seed_generator" in variable.path or "int" in variable.dtype:
            continue
        noise = keras.random.uniform(variable.shape, -0.1, 0.1, seed=rng)
        scale = 1.0 if len(variable.shape) < 2 else 0.2
        noise = keras.ops.abs(noise) if "moving_variance" in variable.path else noise
        old = variable * variance if "moving_variance" in variable.path else variable
        variable.assign(old + keras.ops.cast(scale * noise, variable.dtype))
    return model


def made(build, size, dtype="float32", seed=1):
    """What the function builds under a global precision."""
    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(dtype)
    try:
        return perturbed(build(size))
    finally:
        keras.config.set_dtype_policy(policy)


def file_name(spec):
    """NAME-SIZE-DTYPE.keras of a model's words on the command line."""
    name, size, dtype, *suffix = spec.split("/")
    return f"{name}-{size}-{dtype}.{suffix[0] if suffix else 'keras'}"


def main(folder, *specs):
    here = pathlib.Path(__file__).parent
    for spec in specs:
        name, size, dtype, *_ = spec.split("/")
        file, _, function = name.partition(".")
        names = runpy.run_path(str(here / f"{file}.py"), run_name="__main__")
        model = made(names[function], int(size), dtype)
        model.save(pathlib.Path(folder) / file_name(spec))
    brought = ("nets", "distiller", "op_utils", "dataloader")
    if any(name in sys.modules for name in brought):
        raise SystemExit("the project was imported")


if __name__ == "__main__":
    main(*sys.argv[1:])
