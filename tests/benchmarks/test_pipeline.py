"""The README's picture is what the script draws."""

from xml.etree import ElementTree

from benchmarks import pipeline


def test_the_picture_is_drawn_by_the_script():
    assert pipeline.FILE.read_text(encoding="utf-8") == pipeline.draw()


def test_it_is_valid_and_nothing_leaves_the_picture():
    tree = ElementTree.fromstring(pipeline.draw())
    for text in tree.iter("{http://www.w3.org/2000/svg}text"):
        half = len(text.text) * 8.5 / 2  # no letter of this size is wider
        assert float(text.get("x")) >= half, text.text
        assert float(text.get("x")) + half <= pipeline.WIDTH, text.text
