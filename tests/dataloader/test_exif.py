"""The EXIF orientation of PNG and JPEG files, and the note about them."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

import dataloader
from dataloader import exif, image_check
from tests.dataloader.test_folder import write_set

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


def tiff(value, order=">", tag=0x0112, before=1):
    """EXIF data with other entries before the orientation."""
    entries = [(0x010F, 3, 1, 7)] * before + [(tag, 3, 1, value)]
    mark = b"MM" if order == ">" else b"II"
    head = mark + struct.pack(f"{order}HIH", 42, 8, len(entries))
    body = b"".join(struct.pack(f"{order}HHIHxx", *entry) for entry in entries)
    return head + body + bytes(4)


def file(kind, data=None) -> bytes:
    """A picture with these EXIF data, written without an EXIF library."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(PIXELS).save(buffer, kind)
    content = buffer.getvalue()
    if data is None:
        return content
    if kind == "JPEG":  # behind the JFIF segment, and another APP1
        other = b"\xff\xe1" + struct.pack(">H", 8) + b"http:/"
        segment = b"\xff\xe1" + struct.pack(">H", len(data) + 8) + b"Exif\0\0" + data
        return content[:20] + other + b"\xff" + segment + content[20:]
    chunk = b"eXIf" + data
    chunk = struct.pack(">I", len(data)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    end = content.rindex(b"IEND") - 4  # behind the pixels, as is allowed
    return content[:end] + chunk + content[end:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_orientation(kind, order):
    for value in range(1, 9):
        content = file(kind, tiff(value, order))
        assert exif.orientation(content) == value
        picture = PIL.Image.open(io.BytesIO(content))
        assert picture.getexif()[0x0112] == value


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_what_pillow_writes(kind):
    data, buffer = PIL.Image.Exif(), io.BytesIO()
    data[0x0112], data[0x0131] = 6, "a camera"
    PIL.Image.fromarray(PIXELS).save(buffer, kind, exif=data)
    assert exif.orientation(buffer.getvalue()) == 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_without_or_with_unreadable_data_a_picture_is_upright(kind):
    assert exif.orientation(file(kind)) == 1
    for data in (tiff(0), tiff(9), tiff(6, tag=0x0113), b"", b"XX", tiff(6)[:14]):
        assert exif.orientation(file(kind, data)) == 1
    content = file(kind, tiff(6))
    for length in range(len(content)):
        assert exif.orientation(content[:length]) in (1, 6)
    for place in range(2, 60):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        assert 1 <= exif.orientation(bytes(damaged)) <= 8


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_note_tells_how_many_and_they_are_taken_as_stored(
    kind, tmp_path, monkeypatch
):
    write_set(tmp_path, (6, 8, 3))
    ending = kind.lower().replace("jpeg", "jpg")
    for name, value in (("train/ant/a", 6), ("train/bee/b", 3), ("test/cat/c", 8)):
        (tmp_path / f"{name}.{ending}").write_bytes(file(kind, tiff(value)))
    (tmp_path / f"train/cat/upright.{ending}").write_bytes(file(kind, tiff(1)))
    (note,) = dataloader.load(f"folder:{tmp_path}").notes
    assert note.startswith("pictures with an EXIF orientation, which are taken as sto")
    assert f"3 (train/ant/a.{ending}, train/bee/b.{ending}, test/cat/c." in note
    monkeypatch.setattr(image_check, "check", None)  # from what is kept
    dataset = dataloader.load(f"folder:{tmp_path}")
    assert dataset.notes == (note,) and dataset.input_shape == (6, 8, 3)
    as_stored = np.asarray(PIL.Image.open(io.BytesIO(file(kind))))
    assert np.abs(dataset.train.images[4].astype(int) - as_stored).max() <= 4
