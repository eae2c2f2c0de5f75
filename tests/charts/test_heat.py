import base64
import math
import re
import struct
import zlib
from xml.etree import ElementTree

from clearhead.charts.heat import large_map, packed, png, signed_map, small_map
from clearhead.charts.svg import Axis

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
    width, height, depth, color = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, color) == (8, 6)
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


def test_a_heat_map_holds_its_numbers_as_colors():
    svg = signed_map([[-1.0, 0.0, 1.0], [0.5, 0.0, 9.0]], Axis("x"), Axis("y"), 640.0, 300.0, "name")
    ElementTree.fromstring(svg)
    data = base64.b64decode(re.search(r'base64,([^"]*)"', svg)[1])
    assert data.startswith(b"\x89PNG") and struct.unpack(">II", data[16:24]) == (3, 2)
    at = data.index(b"IDAT")
    pixels = zlib.decompress(data[at + 4 : at + 4 + struct.unpack(">I", data[at - 4 : at])[0]])
    rows = [pixels[1:10], pixels[11:20]]
    blue, white, red = rows[0][:3], rows[0][3:6], rows[0][6:]
    assert blue[2] > blue[0] and red[0] > red[2] and min(white) > 200
    assert rows[1][6:] == red  # more than 1 is 1
    assert white != rows[1][:3] != red


def test_rows_and_columns_may_be_different_tokens():
    svg = large_map([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]], ["aa", "b"], "alignment", ["x", "yyyy", "z"])
    root = ElementTree.fromstring(svg)
    rows, columns = (root.find(f"g[@class='{name}']").findall("text") for name in ("rows", "columns"))
    assert [text.text for text in rows] == ["x", "yyyy", "z"]
    assert [text.text for text in columns] == ["aa", "b"]
    image = root.find("image")
    assert float(image.get("x")) > float(image.get("y")), "the rows' tokens are longer than the columns'"
    assert (float(image.get("width")), float(image.get("height"))) == (30.0, 45.0)
