import json
import math

import pytest

from clearhead.errors import UserError
from clearhead.report.data import PointInfo, read


def test_nothing_is_a_report():
    report = read({})
    assert report.model is None and report.evaluation == {} and math.isnan(report.run.seconds)


def test_null_is_the_same_as_absent():
    assert read({"model": None, "run": {"seed": None, "machine": None}}).model is None


def test_a_whole_report_comes_through_json(report_data):
    report = read(json.loads(json.dumps(report_data)))
    assert report.evaluation["game24"].strategies[1].name == "greedy"
    assert report.trees[0].root.children[0].children[0].text == "=340+68"
    assert report.attention.layers[0][0][0][0] == report_data["attention"]["layers"][0][0][0][0]


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"modle": {}}, "modle"),
        ({"model": {"parameter": 3}}, "report.model.parameter"),
        ({"model": {"parameters": "3"}}, "report.model.parameters"),
        ({"tasks": [{"title": "x"}]}, "report.tasks[0].name"),
        ({"tasks": {"name": "x"}}, "report.tasks"),
        ({"evaluation": {"a": {"strategies": [{"name": "b", "points": [{"acc": 1}]}]}}}, "points[0].acc"),
        ({"trees": [{"root": {"children": [{"chosen": 1}]}}]}, "children[0].chosen"),
        ({"run": {"seconds": True}}, "report.run.seconds"),
    ],
)
def test_a_mistake_names_its_place(data, place):
    with pytest.raises(UserError) as error:
        read(data)
    assert place in str(error.value)


def test_a_point_costs_all_its_tokens():
    assert PointInfo(generated=10.0, reward=5.0).tokens == 15
    assert PointInfo(generated=10.0).tokens == 10  # no reward model was asked
    assert math.isnan(PointInfo().tokens)
