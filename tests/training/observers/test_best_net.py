import zipfile

import pytest

from training.observers.best_net import BestNet


def save(net, path):
    """Stands for saving a net; a `.keras` file is a zip archive."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", net)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "best.keras"


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    return folder


def test_the_net_is_saved_whenever_it_improves():
    saved = []
    keeper = BestNet("best.keras", lambda net, path: saved.append((net, path.name)))
    keeper.message("nothing")
    assert saved == []
    keeper.improved("first", 3)
    keeper.improved("second", 5)
    assert saved == [("first", "best.keras"), ("second", "best.keras")]


def test_a_checkpoint_has_a_copy(path, checkpoint):
    keeper = BestNet(path, save)
    save("of an epoch that a killed process trained", path)
    keeper.saving(checkpoint)
    assert list(checkpoint.iterdir()) == []
    keeper.improved("best", 1)
    keeper.saving(checkpoint)
    content = path.read_bytes()
    for damage in (path.unlink, lambda: path.write_bytes(content[:-1]), lambda: None):
        damage()
        keeper = BestNet(path, save, log=pytest.fail)
        keeper.restored(checkpoint, 1, 0.5)
        assert path.read_bytes() == content
        (checkpoint / path.name).unlink()
        keeper.saving(checkpoint)  # the next one, without a better epoch
        assert (checkpoint / path.name).read_bytes() == content


def test_a_file_that_someone_deletes_stops_no_training(path, checkpoint):
    keeper = BestNet(path, save)
    keeper.improved("best", 1)
    path.unlink()
    keeper.saving(checkpoint)
    assert list(checkpoint.iterdir()) == []


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped", None])
def test_a_checkpoint_without_copy_needs_the_file(path, checkpoint, damage):
    save("best" * 100, path)
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:-10])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    lines = []
    BestNet(path, save, lines.append).restored(checkpoint, 4, 0.75)
    if damage is None:
        assert lines == []
        return
    (line,) = lines
    assert "best.keras is missing or damaged" in line and "0.75, is lost" in line


def test_without_validation_nothing_is_missed(path, checkpoint):
    BestNet(path, save, pytest.fail).restored(checkpoint, 4, -1.0)
