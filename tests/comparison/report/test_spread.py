from comparison.report import spread as statistics


def test_spread_of_nothing_and_of_one():
    assert statistics.spread([]) == statistics.Spread(0, None, None)
    assert statistics.spread([0.5]) == statistics.Spread(1, 0.5, None)


def test_spread_divides_by_one_less():
    assert statistics.spread([1.0, 2.0, 6.0]) == statistics.Spread(3, 3.0, 7**0.5)
