import keras
import pytest
import tensorflow as tf

from distiller.framework import base
from tests import fakes


class Owner(base.Distiller):
    """Owns variables of every kind, some of them twice."""

    def __init__(self):
        specs = fakes.Net().tap_specs
        super().__init__(specs, specs, fakes.data())
        dense = keras.layers.Dense(2)
        dense.build((None, 3))
        norm = keras.layers.BatchNormalization()
        norm.build((None, 3))
        self.layers = {"dense": dense, "norms": (norm,)}
        self.again = [dense, dense.kernel]
        self.bank = tf.Variable([0, 1], trainable=False)
        self.scale = keras.Variable([1.0])
        self.inner = tf.Module()
        self.inner.shift = tf.Variable(1.0)


def test_variables_of_all_kinds_are_found_once_and_the_nets_are_not():
    method = Owner()
    dense, (norm,) = method.layers["dense"], method.layers["norms"]
    trained = [dense.kernel, dense.bias, norm.gamma, norm.beta, method.scale]
    trained.append(method.inner.shift)
    fixed = [norm.moving_mean, norm.moving_variance, method.bank]

    def ids(variables):
        return sorted(map(id, variables))

    assert ids(method.trainable_variables) == ids(trained)
    assert ids(method.non_trainable_variables) == ids(fixed)
    assert ids(method.variables) == ids(trained + fixed)


def test_the_order_of_variables_is_fixed():
    shapes = [[tuple(v.shape) for v in Owner().variables] for _ in range(3)]
    assert shapes[0] == shapes[1] == shapes[2]


def test_a_checkpoint_holds_what_variables_lists(tmp_path):
    method = Owner()
    path = tf.train.Checkpoint(method=method).write(str(tmp_path / "c"))
    saved = [key for key, _ in tf.train.list_variables(path) if "OBJECT" not in key]
    counter = [key for key in saved if key.startswith("save_counter")]
    assert len(saved) - len(counter) == len(method.variables)


def test_defaults():
    method, net, batch = Owner(), fakes.Net(), fakes.batch()
    (phase,) = method.phases()
    assert (phase.name, phase.length, phase.combine) == ("distill", "train", None)
    assert {id(v) for v in phase.own} == {id(v) for v in method.trainable_variables}
    assert method.draw(batch) == {}
    assert method.deployed(net, None) is net
    assert set(method.teacher_forward(net, None, batch).taps) == set(net.tap_specs)
    before = net.norms[0].moving_mean.numpy()
    method.teacher_forward(net, None, batch)
    assert (net.norms[0].moving_mean.numpy() == before).all()
    method.student_forward(net, None, batch, None)
    assert (net.norms[0].moving_mean.numpy() != before).any()
    assert not method.overrides("teacher_forward")
    with pytest.raises(NotImplementedError, match="Owner does not implement loss"):
        method.loss(None, None, batch)


def test_unknown_length_raises():
    with pytest.raises(ValueError, match="'init' or 'train'.*length='long'"):
        base.Phase("p", None, length="long")
