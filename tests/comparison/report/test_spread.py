from comparison.report.spread import Spread


def test_spread_of_nothing_and_of_one():
    assert Spread.of([]) == Spread(0, None, None)
    assert Spread.of([0.5]) == Spread(1, 0.5, None)


def test_spread_divides_by_one_less():
    assert Spread.of([1.0, 2.0, 6.0]) == Spread(3, 3.0, 7**0.5)
