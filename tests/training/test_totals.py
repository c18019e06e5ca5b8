import numpy as np
import pytest
import tensorflow as tf

from common.errors import NonFiniteLoss
from training.totals import SKIPPED, Totals

VALUES = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)


def feed(totals, values, first_step=0):
    rows = tf.constant(values)

    @tf.function
    def many(n):
        for i in tf.range(n):
            totals.add({"b": rows[i, 1], "a": rows[i, 0]}, i + first_step)

    many(len(values))


def assert_means(found, values):
    expected = np.mean(values, axis=0, dtype=np.float64)
    np.testing.assert_allclose([found["a"], found["b"]], expected, rtol=1e-12)


def test_means_are_those_of_the_epoch():
    totals = Totals(["a", "b"])
    feed(totals, VALUES[:4])
    assert_means(totals.epoch_means(), VALUES[:4])
    feed(totals, VALUES[4:])
    assert_means(totals.epoch_means(), VALUES[4:])


def test_intervals_go_on_over_the_end_of_an_epoch():
    totals = Totals(["a", "b"])
    feed(totals, VALUES[:2])
    assert_means(totals.interval_means(), VALUES[:2])
    feed(totals, VALUES[2:4])
    assert_means(totals.epoch_means(), VALUES[:4])
    feed(totals, VALUES[4:7])
    assert_means(totals.interval_means(), VALUES[2:7])
    feed(totals, VALUES[7:])
    assert_means(totals.epoch_means(), VALUES[4:])
    assert_means(totals.interval_means(), VALUES[7:])


def test_means_of_nothing_are_zero():
    assert Totals(["a"]).epoch_means() == {"a": 0.0}
    assert Totals(["a"]).interval_means() == {"a": 0.0}


def test_the_variables_are_all_that_a_restart_needs():
    first, second = Totals(["a", "b"]), Totals(["a", "b"])
    feed(first, VALUES[:3])
    first.interval_means()
    feed(first, VALUES[3:5])
    for old, new in zip(first.variables, second.variables, strict=True):
        new.assign(old)
    for totals in (first, second):
        feed(totals, VALUES[5:])
    assert first.epoch_means() == second.epoch_means()
    assert first.interval_means() == second.interval_means()


def test_sums_are_float64():
    totals = Totals(["a", "b"])
    feed(totals, np.float32([[1e8, 0.1]] + [[1.0, 0.1]] * 8))
    expected = (1e8 + 8) / 9
    found = totals.epoch_means()
    np.testing.assert_allclose(found["a"], expected, rtol=1e-12)
    np.testing.assert_allclose(found["b"], np.float64(np.float32(0.1)), rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_bad_step_is_named(bad):
    values = VALUES.copy()
    values[4, 1] = bad
    values[6] = np.nan
    totals = Totals(["a", "b"])
    feed(totals, values[:4])
    totals.check("distill")
    feed(totals, values[4:], first_step=4)
    message = rf"in step 5 of phase 'distill'.*Received: b={bad}\. The last good"
    with pytest.raises(NonFiniteLoss, match=message):
        totals.check("distill")


def test_all_bad_terms_are_named():
    totals = Totals(["a", "b"])
    feed(totals, np.float32([[np.nan, np.inf]]))
    with pytest.raises(NonFiniteLoss, match="a=nan, b=inf"):
        totals.check("distill")


def scaled():
    return Totals(["a", "b", SKIPPED], may_overflow=["b"])


def feed_scaled(totals, values):
    """Steps of which a loss scaler skips those whose "b" is not finite."""
    for a, b in values:
        skipped = tf.constant(float(not np.isfinite(b)))
        totals.add({"a": a, "b": b, SKIPPED: skipped}, tf.constant(0))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_overflows_is_averaged_over_the_steps_that_were_taken(bad):
    values = VALUES.copy()
    values[[0, 4, 5], 1] = bad
    totals = scaled()
    feed_scaled(totals, values[:3])
    found = totals.interval_means()
    assert found[SKIPPED] == 1
    np.testing.assert_allclose(found["b"], values[1:3, 1].mean(), rtol=1e-6)
    feed_scaled(totals, values[3:])
    totals.check("distill")
    assert totals.interval_means()[SKIPPED] == 2
    found = totals.epoch_means()
    assert found[SKIPPED] == 3
    np.testing.assert_allclose(found["a"], values[:, 0].mean(dtype=float), rtol=1e-6)
    taken = values[np.isfinite(values[:, 1]), 1]
    np.testing.assert_allclose(found["b"], taken.mean(dtype=float), rtol=1e-6)


def test_without_a_step_that_was_taken_there_is_no_mean():
    totals = scaled()
    feed_scaled(totals, np.float32([[1.0, np.inf]] * 2))
    assert totals.epoch_means() == {"a": 1.0, SKIPPED: 2}
    assert totals.epoch_means() == {"a": 0.0, "b": 0.0, SKIPPED: 0}


def test_a_restart_knows_the_skipped_steps():
    first, second = scaled(), scaled()
    feed_scaled(first, np.float32([[1.0, np.inf], [1.0, 3.0]]))
    for name in ("variables", "skipped"):
        for old, new in zip(getattr(first, name), getattr(second, name), strict=True):
            new.assign(old)
    assert second.epoch_means() == {"a": 1.0, "b": 3.0, SKIPPED: 1}


def test_without_a_loss_scaler_a_checkpoint_holds_what_it_did():
    assert [v.shape for v in Totals(["a", "b"]).variables] == [(2, 2), (2,)]
    assert "skipped_steps" not in Totals(["a"]).epoch_means()
