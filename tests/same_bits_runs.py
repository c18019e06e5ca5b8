"""The process of `same_bits.py` that trains with one state of the repository.

It is started in the state's folder. Of the state it uses `train_w_distill.main` and
`distiller.names` alone, and reads the files of the runs by itself: what is inside may
have moved. One process trains everything, so that TensorFlow starts once.
"""

import csv
import gc
import io
import json
import os
import pathlib
import pickle
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence

FLAGS = ["--dataset=npz:images.npz", "--batch_size=16", "--epochs=2"]
FLAGS += ["--init_epochs=1", "--teacher_epochs=1", "--student=resnet8"]
# The second one is for methods that need the student's widths.
TEACHERS = "WResNet-10-2", "WResNet-10-1"


def work(folder: pathlib.Path) -> None:
    """Trains what each line of the standard input says: a JSON object, name and flags.

    On the standard output there is first a line with the methods, then one for each
    run: {}, {"error": why it failed} or {"unknown": a flag that there is not}. What
    the runs write, and NAME.pickle with the variables, is in `folder`.
    """
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the training prints is no answer
    sys.path[0] = os.getcwd()  # in place of this file's folder
    import train_w_distill  # isort: skip, it sets TensorFlow up
    import distiller

    os.chdir(folder)
    print(json.dumps(distiller.names()), file=channel, flush=True)
    seen = set()
    for line in sys.stdin:
        run = json.loads(line)
        answer = train(train_w_distill.main, run)
        files = {path for path in pathlib.Path().rglob("*") if path.is_file()} - seen
        seen |= files
        pathlib.Path(f"{run['name']}.pickle").write_bytes(
            pickle.dumps(variables(sorted(files, key=lambda p: p.stat().st_mtime)))
        )
        print(json.dumps(answer), file=channel, flush=True)


def train(main, run: Mapping) -> dict:
    """Runs the command, with the first teacher that the method takes."""
    import keras
    from absl import flags

    answer = {}
    for teacher in TEACHERS:
        arguments = [f"--train_dir={run['name']}", f"--teacher={teacher}"]
        try:
            for name in flags.FLAGS:
                flags.FLAGS[name].unparse()
            flags.FLAGS(["train_w_distill.py", *FLAGS, *arguments, *run["flags"]])
            main()
            return {}
        except flags.Error as error:
            return {"unknown": str(error)}
        except ValueError as error:  # Nothing is written before the nets are accepted.
            answer = {"error": str(error)}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}
        finally:
            keras.utils.clear_session()
            gc.collect()
    return answer


def variables(files: Sequence[pathlib.Path]) -> dict:
    """Place -> (label, array) of the variables in checkpoints and nets.

    A place is the file and the variable's key in it.
    """
    readers = {".index": of_checkpoint, ".keras": of_net}
    return {
        f"{path.with_suffix('')}: {key}": (label, array)
        for path in files
        if path.suffix in readers
        for key, label, array in readers[path.suffix](path)
    }


def of_checkpoint(index: pathlib.Path) -> Iterator[tuple]:
    """(key, label, array) of each variable of a TensorFlow checkpoint."""
    import tensorflow as tf
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    table, phase = index.with_name("metrics.csv"), ""
    if table.exists():
        phase = list(csv.DictReader(table.read_text().splitlines()))[-1]["phase"]
    reader = tf.train.load_checkpoint(str(index.with_suffix("")))
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    for node in graph.nodes:
        for one in node.attributes:
            key = one.checkpoint_key.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE")
            label = f"({one.full_name}; phase {phase})"
            yield key, label, reader.get_tensor(one.checkpoint_key)


def of_net(path: pathlib.Path) -> list[tuple]:
    """(key, label, array) of each weight of a `.keras` file."""
    import h5py

    found = []

    def visit(key, item):
        if isinstance(item, h5py.Dataset):
            found.append((key, "", item[()]))

    with zipfile.ZipFile(path) as archive:
        weights = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(weights) as file:
        file.visititems(visit)
    return found


if __name__ == "__main__":
    work(pathlib.Path(sys.argv[1]))
