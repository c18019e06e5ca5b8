from op_utils.best_net import BestNet


def test_the_net_is_saved_whenever_it_improves():
    saved = []
    keeper = BestNet("best.keras", lambda net, path: saved.append((net, path)))
    keeper.message("nothing")
    assert saved == []
    keeper.improved("first", 3)
    keeper.improved("second", 5)
    assert saved == [("first", "best.keras"), ("second", "best.keras")]
