from clearhead.charts.markup import Html, join, tag


def test_plain_text_is_escaped_and_markup_is_not():
    assert (
        tag("p", "<script>alert(1)</script>", tag("b", "&"))
        == "<p>&lt;script&gt;alert(1)&lt;/script&gt;<b>&amp;</b></p>"
    )


def test_attributes_cannot_be_broken_out_of():
    assert tag("a", title='"><script>') == '<a title="&quot;&gt;&lt;script&gt;"></a>'


def test_children_may_be_nested_and_missing():
    assert join(None, ["a", [Html("<i>"), None]], "b") == "a<i>b"


def test_an_empty_element_has_no_end():
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_attribute_values():
    assert tag("line", x1=1.0, x2=2.345, open=True, hidden=False, id=None) == '<line x1="1" x2="2.35" open></line>'
