"""TensorBoard's event files: records with checksums, each a protocol buffer, read without TensorFlow.

A record is uint64 length | masked CRC-32C of it | data | masked CRC-32C of these (tensorflow/core/lib/io).
Of a summary's values the scalars are read, old (`simple_value`) and new (a tensor of one float).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from clearhead.errors import UserError

POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected
LARGEST = 1 << 28  # bytes of one record; an image takes a few million


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc_table()


def masked_crc(data: bytes) -> int:
    """CRC-32C, rotated and shifted as TensorFlow stores it.

    >>> hex(masked_crc(b"123456789"))
    '0xc78ab0e5'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(file: BinaryIO, name: str) -> Iterator[bytes]:
    """The data of each record; the last may be torn by a kill, and is then left out."""
    number = 0
    while len(head := file.read(12)) == 12:
        number += 1
        length, crc = struct.unpack("<QI", head)
        if masked_crc(head[:8]) != crc or length > LARGEST:
            raise UserError(f"{name}: record {number} has a wrong checksum; the file is damaged, or no tfevents file")
        data, tail = file.read(length), file.read(4)
        if len(tail) < 4:
            return
        if struct.unpack("<I", tail)[0] != masked_crc(data):
            raise UserError(f"{name}: record {number} has a wrong checksum; the file is damaged")
        yield data


def scalars(path: Path) -> Iterator[tuple[int, str, float]]:
    """(step, tag, value) of every scalar in the file."""
    with path.open("rb") as file:
        for data in records(file, str(path)):
            event = fields(data)
            step = next((_signed(v) for number, v in event if number == 2), 0)
            for summary in (v for number, v in event if number == 5 and isinstance(v, bytes)):
                for value in (v for number, v in fields(summary) if number == 1 and isinstance(v, bytes)):
                    found = dict(fields(value))
                    number = _scalar(found)
                    if number is not None and isinstance(found.get(1), bytes):
                        yield step, found[1].decode("utf-8", "replace"), number


def _scalar(value: dict[int, Any]) -> float | None:
    if isinstance(value.get(2), bytes) and len(value[2]) == 4:
        return float(struct.unpack("<f", value[2])[0])
    tensor = dict(fields(value[8])) if isinstance(value.get(8), bytes) else {}
    formats = {1: ("f", 5), 2: ("d", 6)}  # dtype -> of the content, and the field of its values
    if tensor.get(1) not in formats:
        return None
    form, number = formats[tensor[1]]
    raw = tensor.get(4, tensor.get(number))
    size = struct.calcsize(form)
    return float(struct.unpack(f"<{form}", raw)[0]) if isinstance(raw, bytes) and len(raw) == size else None


def fields(data: bytes) -> list[tuple[int, Any]]:
    """(number, value) of a protocol buffer: integers, or bytes for all else; what is cut off is left out."""
    found: list[tuple[int, Any]] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        match key & 7:
            case 0:
                value, at = _varint(data, at)
                found.append((key >> 3, value))
                continue
            case 1:
                size = 8
            case 2:
                size, at = _varint(data, at)
            case 5:
                size = 4
            case _:
                break
        found.append((key >> 3, data[at : at + size]))
        at += size
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            break
    return value, at


def _signed(value: Any) -> int:
    return value - (1 << 64) if isinstance(value, int) and value >> 63 else int(value)
