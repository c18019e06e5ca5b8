"""Vision transformers in standard layers, as the Keras guide and others build them."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("users")
class Patches(layers.Layer):
    """[B, H, W, C] to [B, N, P * P * C]."""

    def __init__(self, patch_size, **kwargs):
        super().__init__(**kwargs)
        self.patch_size = patch_size

    def call(self, images):
        patches = ops.image.extract_patches(images, size=self.patch_size)
        _, height, width, numbers = patches.shape
        return ops.reshape(patches, (-1, height * width, numbers))

    def get_config(self):
        return {**super().get_config(), "patch_size": self.patch_size}


@keras.saving.register_keras_serializable("users")
class PatchEncoder(layers.Layer):
    """A projection of the patches, and their positions."""

    def __init__(self, num_patches, width, **kwargs):
        super().__init__(**kwargs)
        self.num_patches, self.width = num_patches, width
        own = {"dtype": self.dtype_policy}
        self.projection = layers.Dense(width, **own)
        self.position = layers.Embedding(num_patches, width, **own)

    def build(self, shape):
        self.projection.build(shape)
        self.position.build(None)

    def call(self, patches):
        positions = ops.expand_dims(ops.arange(self.num_patches), axis=0)
        return self.projection(patches) + self.position(positions)

    def get_config(self):
        config = {"num_patches": self.num_patches, "width": self.width}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("users")
class ClassToken(layers.Layer):
    """Puts a trained vector in front of the patches."""

    def build(self, shape):
        self.token = self.add_weight(
            shape=(1, 1, shape[-1]), initializer="random_normal", name="token"
        )

    def call(self, x):
        token = ops.broadcast_to(ops.cast(self.token, x.dtype), ops.shape(x[:, :1]))
        return ops.concatenate([token, x], axis=1)

    def compute_output_shape(self, shape):
        return (shape[0], shape[1] + 1, shape[2])


def _encoded(x, depth=2, heads=2):
    width = x.shape[-1]
    for i in range(depth):
        y = layers.LayerNormalization(epsilon=1e-6, name=f"norm{i}a")(x)
        y = layers.MultiHeadAttention(
            heads, width // heads, dropout=0.1, name=f"attention{i}"
        )(y, y)
        x = layers.Add(name=f"sum{i}a")([x, y])
        y = layers.LayerNormalization(epsilon=1e-6, name=f"norm{i}b")(x)
        y = layers.Dense(2 * width, activation="gelu", name=f"mlp{i}a")(y)
        y = layers.Dropout(0.1, name=f"dropout{i}")(y)
        y = layers.Dense(width, name=f"mlp{i}b")(y)
        x = layers.Add(name=f"sum{i}b")([x, y])
    return layers.LayerNormalization(epsilon=1e-6, name="norm")(x)


def build(size):
    """A patch convolution, a class token, a table of positions."""
    images = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = layers.Conv2D(16, 8, 8, name="patches")(x)
    x = layers.Reshape((-1, 16), name="tokens")(x)
    x = ClassToken(name="class_token")(x)
    count = x.shape[1]
    x = x + layers.Embedding(count, 16, name="positions")(ops.arange(count))
    x = _encoded(x)[:, 0]
    outputs = layers.Dense(4, activation="softmax", dtype="float32")(x)
    return keras.Model(images, outputs, name="vit")


def of_the_guide(size):
    """Resizing and augmentation inside, hand-made patches, a wide head of logits."""
    augmentation = keras.Sequential(
        [
            layers.Rescaling(1 / 255),
            layers.Resizing(size, size),
            layers.RandomFlip("horizontal"),
            layers.RandomZoom(0.2, 0.2),
        ],
        name="data_augmentation",
    )
    images = keras.Input((size, size, 3))
    x = Patches(8)(augmentation(images))
    x = _encoded(PatchEncoder(x.shape[1], 16)(x))
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    for units in (32, 16):
        x = layers.Dropout(0.5)(layers.Dense(units, activation="gelu")(x))
    return keras.Model(images, layers.Dense(4)(x), name="guide_vit")


def pooled(size):
    """The mean of all tokens instead of a class token."""
    images = keras.Input((size, size, 3))
    x = layers.Conv2D(16, 8, 8, name="patches")(images)
    x = _encoded(layers.Reshape((-1, 16), name="tokens")(x))
    x = layers.GlobalAveragePooling1D(name="mean")(x)
    return keras.Model(images, layers.Dense(4, name="logits")(x), name="pooled_vit")
