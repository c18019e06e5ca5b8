"""A TFDS set made by a test."""

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds


def write_set(
    data_dir, name="toy", shape=(6, 5, 1), labels=None, secret="validation", **sizes
):
    """Writes random images as a prepared TFDS set.

    `sizes` are those of the splits; the labels of the split `secret` are all -1, as in
    sets whose test labels are not published.
    """
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=shape),
            "label": labels or tfds.features.ClassLabel(num_classes=3),
        }
    )
    version = {"mnist": "3.0.1"}.get(name, "1.0.0")
    folder = data_dir / name / version
    folder.mkdir(parents=True)
    rng, written, infos = np.random.default_rng(0), {}, []
    for split, size in sizes.items():
        images = rng.integers(
            0, 256, [size, *(side or 7 for side in shape)], dtype=np.uint8
        )
        written[split] = images
        shards = np.array_split(np.arange(size), -(-size // 16))
        for number, shard in enumerate(shards):
            ending = f"tfrecord-{number:05}-of-{len(shards):05}"
            with tf.io.TFRecordWriter(str(folder / f"{name}-{split}.{ending}")) as file:
                for i in shard:
                    label = -1 if split == secret else i % 3
                    example = {"image": images[i], "label": label}
                    file.write(features.serialize_example(example))
        lengths = [len(shard) for shard in shards]
        infos.append(
            tfds.core.SplitInfo(name=split, shard_lengths=lengths, num_bytes=0)
        )
    tfds.folder_dataset.write_metadata(
        data_dir=str(folder),
        features=features,
        split_infos=infos,
        filename_template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        check_data=False,
    )
    return written
