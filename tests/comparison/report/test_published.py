import pytest

from comparison.report import published
from comparison.report.published import Fact
from distiller import registry

# What this project does not have, or not in this shape.
FOREIGN_METHODS = {
    "DIST", "DIST+", "DKD", "ICKD", "KD w/ LS", "KD+DOT", "KR", "L2", "PAD-L2", "SRD",
    "SSKD", "Tf-KD",
}  # fmt: skip
FOREIGN_NETS = {"DenseNet-BC (k=12, depth=100)", "ResNet-18 (itself)"}


def test_every_method_is_ours_or_known_to_be_foreign():
    names = {fact.method for fact in published.facts()}
    foreign = {n for n in names if published.method_key(n) not in registry.METHODS}
    assert foreign <= FOREIGN_METHODS  # of which some may have become ours


def test_every_net_is_ours_or_known_to_be_foreign():
    foreign = set()
    for fact in published.facts():
        key = published.dataset_key(fact.dataset)
        for name in filter(None, (fact.teacher, fact.student)):
            try:
                published.canonical_name(published.net_key(name, key))
            except ValueError:
                foreign.add(name)
    assert foreign <= FOREIGN_NETS


@pytest.mark.parametrize(
    ("name", "dataset", "ours"),
    [
        ("resnet-20", "cifar10", "resnet20"),
        ("WRN-40-2", "cifar100", "wrn_40_2"),
        ("WResNet-40-2", "cifar100", "wrn_40_2"),
        ("ResNet32 (x4 widths)", "cifar100", "resnet32x4"),
        ("ResNet32x4", "cifar100", "resnet32x4"),
        ("ShuffleNet-V1", "cifar100", "ShuffleV1"),
        ("ShuffleNetV2", "cifar100", "ShuffleV2"),
        ("Sh.NetV2-0.5", "cinic10", "shufflenetV2-0.5"),
        ("ResNet-18", "imagenet", "ResNet18-ImageNet"),
        ("ResNet18", "cifar100", "ResNet18"),
        ("MobileNet-V1", "imagenet", "MobileNetV1-ImageNet"),
        ("no such net", "cifar10", "no such net"),
    ],
)
def test_nets(name, dataset, ours):
    assert published.net_key(name, dataset) == ours


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("CIFAR-10", "cifar10"),
        ("cifar10", "cifar10"),
        ("folder:/data/CINIC-10", "cinic10"),
        ("folder:/data/cinic-10/", "cinic10"),
        ("imagenet2012", "imagenet"),
        ("folder:tiny-imagenet-200", "tinyimagenet"),
    ],
)
def test_datasets(name, key):
    assert published.dataset_key(name) == key


@pytest.mark.parametrize(
    ("name", "ours"),
    [("baseline", "none"), ("ST", "Soft_logits"), ("Soft-logits", "Soft_logits"),
     ("CO", "OFD"), ("margin_ReLU", "OFD"), ("kd", "Soft_logits"), ("DKD", "DKD")],
)  # fmt: skip
def test_methods(name, ours):
    assert published.method_key(name) == ours


def test_facts_of_a_pair():
    found = published.of_pair("cifar10", "resnet20", "resnet20")
    assert {f.dataset for f in found} == {"CIFAR-10"}
    source = "Knowledge-Distillation-Zoo README"
    at = Fact(source, "CIFAR-10", "resnet-20", "resnet-20", "AT", 92.89, "table 1")
    alone = Fact(source, "CIFAR-10", None, "resnet-20", "baseline", 92.37, "table 1")
    assert at in found and alone in found
    assert published.of_pair("cifar10", "resnet56", "resnet8") == ()
    # Both nets are there alone, but not as a pair.
    assert published.of_pair("cifar10", "resnet110", "resnet32") == ()
