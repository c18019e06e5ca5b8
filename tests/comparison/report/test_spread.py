from comparison.report import spread


def test_spread_of_nothing_and_of_one():
    assert spread.spread([]) == spread.Spread(0, None, None)
    assert spread.spread([0.5]) == spread.Spread(1, 0.5, None)


def test_spread_divides_by_one_less():
    assert spread.spread([1.0, 2.0, 6.0]) == spread.Spread(3, 3.0, 7**0.5)
