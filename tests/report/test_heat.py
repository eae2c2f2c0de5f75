import base64
import math
import struct
import zlib

from clearhead.report.heat import large_map, packed, png, small_map

CAUSAL = [[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.0, 0.0, 1.0]]


def opacities(picture):
    """The alpha channel of an 8-bit RGBA picture, read with nothing of the writer's."""
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(picture):
        (length,) = struct.unpack(">I", picture[at : at + 4])
        kind, body = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        (crc,) = struct.unpack(">I", picture[at + 8 + length : at + 12 + length])
        assert crc == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (8, 6)
    raw = zlib.decompress(chunks[b"IDAT"])
    rows = [raw[r * (1 + 4 * width) : (r + 1) * (1 + 4 * width)] for r in range(height)]
    assert all(row[0] == 0 for row in rows)
    return [[row[4 + 4 * c] for c in range(width)] for row in rows]


def test_opacity_is_the_root_of_the_weight():
    assert opacities(png(CAUSAL)) == [[255, 0, 0], [128, 221, 0], [0, 0, 255]]


def test_weights_out_of_range_are_clipped():
    assert opacities(png([[math.nan, -1.0, 2.0]])) == [[0, 0, 255]]
    assert base64.b64decode(packed([[math.nan, -1.0, 2.0]])) == bytes([0, 0, 255])


def test_packed_weights_are_in_reading_order():
    assert base64.b64decode(packed(CAUSAL)) == bytes([255, 0, 0, 64, 191, 0, 0, 0, 255])


def test_maps_name_their_tokens_and_escape_them():
    svg = large_map(CAUSAL, ["<", "\n", "abc"], "layer 1")
    assert svg.count("&lt;") == 2 and svg.count("⏎") == 2 and svg.count("rotate(-90)") == 1
    assert "data:image/png;base64," in small_map(CAUSAL, "layer 1")
