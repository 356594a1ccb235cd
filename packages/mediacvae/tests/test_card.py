"""The recipe card: whole, escaped, and with amounts one can weigh."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediacvae.card import CAUTION, card, weighed
from mediacvae.ingredients import GROUPS

ROWS = [
    ("NaCl", 5.0),
    ("yeast extract", 2.5),
    ("Biotin", 2e-5),
    ("Na2S x 9 H2O", 0.4),
    ("FeSO4 x 7 H2O", 0.001),
    ("Agar", 15.0),
]
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Tags balanced, texts kept."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


def test_a_whole_card() -> None:
    page = Page(
        card(
            ROWS,
            title="Recipe 1 for E. coli",
            facts={"pH": "7.0", "Temperature": 37, "Atmosphere": None, "Note": "", "Size": float("nan")},
            odds=0.73,
            nearest=[("mediadive.medium:1 NUTRIENT AGAR", 0.91)],
            reasons=["NaCl: marker"],
        )
    )
    for word in (
        "Recipe 1 for E. coli",
        "pH",
        "7.0",
        "37",
        "73 %",
        "0.00002",
        "20 µg",
        "400 mg",
        "NUTRIENT AGAR",
        "0.91",
    ):
        assert word in page.text
    assert CAUTION in page.text
    for absent in ("Atmosphere", "Note", "Size", "nan", "None"):
        assert absent not in page.text
    titles = [text for text in page.texts if text.lower() in GROUPS]
    assert [text.lower() for text in titles] == list(GROUPS)


def test_what_is_not_known_leaves_no_line() -> None:
    text = Page(card(ROWS, title="x", facts={})).text
    for absent in ("Odds", "Nearest", "Why", "pH"):
        assert absent not in text


@given(st.text(max_size=40))
def test_any_text_is_escaped(text: str) -> None:
    plain = Page(card(ROWS, title="x", facts={"f": "y"}, nearest=[("z", 0.5)], reasons=["r"]))
    page = Page(
        card([(text, 1.0), *ROWS], title=text, facts={"f": f"y{text}"}, nearest=[(text, 0.5)], reasons=[text])
    )
    assert page.tags == plain.tags
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href")]


def test_markup_in_names_is_shown_and_does_nothing() -> None:
    nasty = "<script>alert('x')</script>\" onload=\"y & \x00z"
    page = card([(nasty, 1.0)], title=nasty, facts={nasty: nasty}, nearest=[(nasty, 1.0)], reasons=[nasty])
    assert "<script" not in page
    assert "\x00" not in page
    assert "<script>alert('x')</script>\" onload=\"y &  z" in Page(page).texts


@pytest.mark.parametrize(
    ("g", "said"),
    [(12.345, "12.3 g"), (1.0, "1 g"), (0.9996, "1 g"), (0.5, "500 mg"), (1e-3, "1 mg"), (2e-5, "20 µg"),
     (3e-8, "30 ng"), (1234.0, "1230 g"), (0.0, "0 g"), (2e-12, "0.002 ng")],
)  # fmt: skip
def test_amounts_as_weighed(g: float, said: str) -> None:
    assert weighed(g) == said


@given(st.floats(1e-9, 1e4))
def test_no_amount_is_shown_more_than_half_a_percent_off(g: float) -> None:
    number, unit = weighed(g).split()
    assert float(number) * {"g": 1.0, "mg": 1e-3, "µg": 1e-6, "ng": 1e-9}[unit] == pytest.approx(
        g, rel=0.0051
    )


@pytest.mark.parametrize("odds", [-0.1, 1.1, float("inf")])
def test_odds_are_a_probability(odds: float) -> None:
    with pytest.raises(ValueError, match="odds: expected a probability"):
        card(ROWS, title="x", facts={}, odds=odds)


@pytest.mark.parametrize("amount", [-1.0, float("nan"), float("inf")])
def test_a_bad_amount_is_named(amount: float) -> None:
    with pytest.raises(ValueError, match="NaCl: expected a finite number"):
        card([("NaCl", amount)], title="x", facts={})


@pytest.mark.parametrize(("odds", "said"), [(0.0, "under 1 %"), (1.0, "over 99 %"), (0.5, "50 %")])
def test_certainty_is_not_claimed(odds: float, said: str) -> None:
    assert said in Page(card(ROWS, title="x", facts={}, odds=odds)).text


def test_odds_come_with_their_span() -> None:
    said = Page(card(ROWS, title="x", facts={}, odds=0.26, span=(0.041, 0.762))).text
    assert "26 % (four in five: 4 to 76 %)" in " ".join(said.split())
    assert "four in five" not in Page(card(ROWS, title="x", facts={}, odds=0.26)).text
