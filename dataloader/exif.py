"""How a picture has to be turned to be seen upright, as its EXIF data say."""

import struct

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_ORIENTATION, _SHORT = 0x0112, 3
# JPEG: what comes between two bytes of a marker, and the scan, behind which is no EXIF.
_FILL, _SCAN, _WITHOUT_LENGTH = 0xFF, 0xDA, (0x01, *range(0xD0, 0xD9))


def orientation(encoded: bytes) -> int:
    """The EXIF orientation of a PNG or JPEG file, 1 to 8.

    1 is upright, and what is taken where the file says nothing that can be read.
    Source: EXIF 2.32, 4.6.4 (tag 0x0112); PNG's eXIf chunk.

    Args:
        encoded: the file, or as much of its beginning as has the EXIF data.
    """
    try:
        exif = _of_png(encoded) if encoded.startswith(_PNG) else _of_jpeg(encoded)
        found = _in_tiff(exif)
    except (struct.error, IndexError):  # It is cut off or wrong.
        return 1
    return found if 1 <= found <= 8 else 1


def _of_jpeg(encoded) -> bytes:
    """The content of the first APP1 segment that begins with Exif."""
    place = len(_JPEG)
    while encoded.startswith(_JPEG):
        if encoded[place] != _FILL:
            break
        marker = encoded[place + 1]
        if marker == _FILL:
            place += 1
            continue
        if marker == _SCAN:
            break
        place += 2
        if marker in _WITHOUT_LENGTH:
            continue
        (length,) = struct.unpack_from(">H", encoded, place)
        content = encoded[place + 2 : place + length]
        if marker == 0xE1 and content.startswith(b"Exif\0\0"):
            return content[6:]
        place += max(length, 2)
    return b""


def _of_png(encoded) -> bytes:
    place = len(_PNG)
    while place < len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, place)
        if kind == b"eXIf":
            return encoded[place + 8 : place + 8 + length]
        place += 12 + length  # with the checksum
    return b""


def _in_tiff(exif) -> int:
    """The tag's value in the first directory, 1 if it is not there."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, entry)
        if tag == _ORIENTATION and kind == _SHORT:
            return value
    return 1
