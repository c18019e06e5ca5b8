import pytest

import nets
from nets.resnet import ResNet
from nets.wresnet import WResNet


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("wrn_16_4", "wrn_16_4"),
        ("WRN-16-4", "wrn_16_4"),
        ("WResNet-16-4", "wrn_16_4"),
        ("wresnet_16_4", "wrn_16_4"),
        ("wrn_10_16", "wrn_10_16"),
        ("ResNet20", "resnet20"),
        ("resnet-20", "resnet20"),
        ("ResNet8x4", "resnet8x4"),
        ("RESNET_32X4", "resnet32x4"),
        ("resnet18", "ResNet18"),
        ("resnet50_imagenet", "ResNet50-ImageNet"),
        ("VGG-13", "vgg13"),
        ("mobilenetv2", "MobileNetV2"),
        ("ShuffleV2", "ShuffleV2"),
        ("shufflenetV2-1.0", "shufflenetV2-1.0"),
        ("ShuffleNetV2_0.5", "shufflenetV2-0.5"),
    ],
)
def test_spelling_does_not_matter(name, canonical):
    assert nets.canonical_name(name) == canonical


def test_names_are_canonical_and_unique():
    assert len(set(nets.names())) == len(nets.names())
    assert tuple(map(nets.canonical_name, nets.names())) == nets.names()


def test_build_gives_the_net_that_was_named():
    net = nets.build("WRN-22-2", 5, (8, 8, 1))
    assert (net.name, net.depth, net.width) == ("wrn_22_2", 22, 2)
    assert isinstance(net, WResNet)
    assert net.image_shape == (8, 8, 1)
    net = nets.build("ResNet8x4", 5, (8, 8, 1))
    assert (net.name, net.num_blocks, net.stem_width) == ("resnet8x4", (1, 1, 1), 32)
    assert isinstance(net, ResNet)


def test_names_that_differ_by_a_hair_are_different_nets():
    ours, cinic = (nets.build(n, 10) for n in ("ShuffleV2", "shufflenetV2-1.0"))
    assert (ours.order, cinic.order) == ("post_activation", "pre_activation")
    small, large = (nets.build(n, 10) for n in ("ResNet18", "ResNet18-ImageNet"))
    assert (small.image_shape, large.image_shape) == ((32, 32, 3), (224, 224, 3))
    assert (small.large_stem, large.large_stem) == (False, True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "resnet65",
            r"Did you mean 'resnet56'\?.*resnet32x4.*wrn_D_K.*name='resnet65'",
        ),
        ("ResNet-8-x4y", "Did you mean 'resnet8x4'"),
        ("alexnetwork", "no net of this name. Expected one of resnet8, "),
        ("resnet26", "no net of this name"),
        ("shufflenetV2-1.5", "Did you mean 'shufflenetV2-"),
        ("wrn164", "no net of this name. Did you mean 'wrn_16_4'"),
        ("wrn_15_2", r"6n \+ 4.*depth=15"),
        ("wrn_4_2", r"6n \+ 4.*depth=4"),
        ("wrn_16_0", "at least 1.*width=0"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(ValueError, match=message):
        nets.build(name, 10)
