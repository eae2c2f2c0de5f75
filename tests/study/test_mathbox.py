"""Matrices and rows on several lines and on one."""

from clearhead.study.mathbox import HELD, drawn, fill, in_a_row, rows

MATRIX = ("bmatrix", [["1", "0"], ["0", "10"]])


def test_a_matrix_in_one_line_and_in_two() -> None:
    assert fill(f"A = {chr(HELD)}", [MATRIX], in_a_row) == "A = [1 0; 0 10]"
    assert drawn(f"A = {chr(HELD)}", [MATRIX]) == ["A = ⎡ 1  0  ⎤", "    ⎣ 0  10 ⎦"]


def test_a_matrix_within_a_matrix_is_written_in_its_cell() -> None:
    held = [MATRIX, ("pmatrix", [[chr(HELD)], ["2"]])]
    assert drawn(chr(HELD + 1), held) == ["⎛ [1 0; 0 10] ⎞", "⎝ 2           ⎠"]


def test_rows_stand_below_each_other_at_their_sign() -> None:
    assert rows([["a", "= b"], ["aaa", "= c"], ["all of it"]], []) == ["  a = b", "aaa = c", "all of it"]
    assert rows([[chr(HELD)]], [("aligned", [["a", "= b"], ["c", "= d"]])]) == ["a = b", "c = d"]
    assert rows([[chr(HELD)]], [MATRIX]) == [chr(HELD)]
