"""Classifiers of KerasHub, which hold their backbone as one layer."""

import keras_hub

models = keras_hub.models


def build(size):
    backbone = models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 128],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(size, size, 3),
    )
    return models.ImageClassifier(backbone=backbone, num_classes=4, name="hub")


def vit(size):
    backbone = models.ViTBackbone(
        image_shape=(size, size, 3),
        patch_size=8,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=32,
    )
    return models.ViTImageClassifier(
        backbone=backbone, num_classes=4, activation="softmax", name="hub_vit"
    )
