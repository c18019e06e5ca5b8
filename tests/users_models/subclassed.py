"""A model with a `call` of its own, as the guide on subclassing writes it."""

import keras
from keras import layers


@keras.saving.register_keras_serializable("users")
class SmallNet(keras.Model):
    def __init__(self, classes=4, activation="softmax", **kwargs):
        super().__init__(**kwargs)
        self.classes, self.activation = classes, keras.activations.get(activation)
        own = {"dtype": self.dtype_policy}
        self.conv1 = layers.Conv2D(6, 3, 2, padding="same", **own)
        self.norm = layers.BatchNormalization(**own)
        self.conv2 = layers.Conv2D(10, 3, 2, padding="same", activation="relu", **own)
        self.pool = layers.GlobalAveragePooling2D(**own)
        self.dropout = layers.Dropout(0.5, **own)
        self.dense = layers.Dense(classes, activation=activation, **own)

    def call(self, images, training=False):
        x = keras.activations.relu(self.norm(self.conv1(images), training=training))
        x = self.pool(self.conv2(x))
        return self.dense(self.dropout(x, training=training))

    def get_config(self):
        activation = keras.activations.serialize(self.activation)
        config = {"classes": self.classes, "activation": activation}
        return {**super().get_config(), **config}


def build(size):
    model = SmallNet(name="small_net")
    model(keras.ops.zeros((1, size, size, 3)))
    return model


def logits(size):
    model = SmallNet(activation="linear", name="small_net")
    model(keras.ops.zeros((1, size, size, 3)))
    return model


@keras.saving.register_keras_serializable("users")
class PlainNet(keras.Model):
    """No training argument, a list of layers, built by its first images."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        own = {"dtype": self.dtype_policy}
        self.stack = [layers.Conv2D(n, 3, 2, activation="relu", **own) for n in (6, 10)]
        self.flatten, self.dense = layers.Flatten(**own), layers.Dense(4, **own)

    def call(self, images):
        x = images
        for layer in self.stack:
            x = layer(x)
        return self.dense(self.flatten(x))


def plain(size):
    model = PlainNet(name="plain_net")
    model(keras.ops.zeros((1, size, size, 3)))
    return model
