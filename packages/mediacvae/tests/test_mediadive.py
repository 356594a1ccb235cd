"""MediaDive's answers: solutions within solutions poured together, nothing guessed, a polite client."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytosol.cli import run
from mediacvae import db
from mediacvae.cli import app
from mediacvae.db import DatabaseError
from mediacvae.db.client import Client, ClientError, mirror
from mediacvae.db.mediadive import recipe, strains
from mediacvae.db.mediadive_files import import_answers


def compound(order, name, amount, unit="g", g_l=None, mmol_l=None):
    return {
        "recipe_order": order, "compound": name, "compound_id": order, "amount": amount, "unit": unit, "g_l": g_l,
        "mmol_l": mmol_l, "condition": None, "optional": 0,
    }  # fmt: skip


def part(order, name, number, amount, unit="ml"):
    return {"recipe_order": order, "solution": name, "solution_id": number, "amount": amount, "unit": unit}


# In the form of /rest/medium/{id}: litres of a stock in litres of a solution in litres of a medium.
MEDIUM = {
    "medium": {
        "id": 282, "name": "METHANOCALDOCOCCUS MEDIUM", "complex_medium": "no", "min_pH": 6, "max_pH": 6.5,
        "source": "DSMZ", "link": "https://www.dsmz.de/282.pdf", "reference": None, "description": None,
    },
    "solutions": [
        {
            "id": 548, "name": "Main sol. 282", "volume": 1012,
            "recipe": [
                compound(1, "K2HPO4", 0.14, g_l=0.13834, mmol_l=0.794254),
                compound(2, "NaCl", 18, g_l=17.78656, mmol_l=304.36),
                part(3, "Trace elements", 25, 10),
                part(4, "Vitamins", 30, 2),
                compound(5, "Ethanol", 3, "ml"),
                compound(6, "Distilled water", 1000, "ml"),
            ],
            "steps": [{"step": "Mix."}],
        },
        {
            "id": 25, "name": "Trace elements", "volume": 1000,
            "recipe": [compound(1, "NaCl", 1, g_l=1, mmol_l=17.1), part(2, "Selenite", 26, 5)], "steps": [],
        },
        {"id": 26, "name": "Selenite", "volume": 100, "recipe": [compound(1, "Na2SeO3 x 5 H2O", 3, "mg")]},
        {"id": 30, "name": "Vitamins", "volume": None, "recipe": [compound(1, "Biotin", 2, "mg")]},
    ],
}  # fmt: skip
LISTED = [
    {
        "id": 282,
        "name": "METHANOCALDOCOCCUS MEDIUM",
        "complex_medium": "no",
        "source": "DSMZ",
        "min_pH": 6,
        "max_pH": 6.5,
    },
    {
        "id": "1a",
        "name": "REACTIVATION",
        "complex_medium": "yes",
        "source": "DSMZ",
        "min_pH": None,
        "max_pH": None,
    },
]
COMPOSITION = [{"id": 1, "name": "Peptone", "g_l": 5, "mmol_l": None, "optional": 0}]
STRAINS = [
    {
        "id": 1909,
        "species": "Methanocaldococcus jannaschii",
        "ccno": "DSM 2661",
        "growth": 1,
        "bacdive_id": 6981,
        "domain": "A",
    },
    {
        "id": 7,
        "species": "Escherichia coli",
        "ccno": "DSM 30083",
        "growth": 0,
        "bacdive_id": 4907,
        "domain": "B",
    },
    {"id": 8, "species": None, "ccno": "DSM 1", "growth": 1, "bacdive_id": None, "domain": "B"},
]


def answer(data):
    return {"status": 200, "count": len(data), "data": data}


def amounts(data):
    return {line["ingredient"]: line for line in recipe(data, "x").lines}


def test_solutions_are_poured_together():
    found = amounts(MEDIUM)
    assert found["K2HPO4"]["g_per_l"] == pytest.approx(0.13834)
    assert found["NaCl"]["g_per_l"] == pytest.approx(17.78656 + 1 * 10 / 1012)
    assert found["NaCl"]["flag"] == "summed"
    assert found["Na2SeO3 x 5 H2O"]["g_per_l"] == pytest.approx(0.03 * (5 / 1000) * (10 / 1012))
    assert found["Na2SeO3 x 5 H2O"]["raw_value"] == 3
    assert found["Na2SeO3 x 5 H2O"]["raw_unit"] == "mg"
    assert not any(line["guessed"] for line in found.values())


def test_what_is_not_told_is_not_guessed():
    found = amounts(MEDIUM)
    assert found["Biotin"]["g_per_l"] is None  # a mass in a stock whose volume is not told
    assert found["Biotin"]["flag"] == "volume_unknown"
    assert found["Biotin"]["raw_value"] == 2
    assert found["Ethanol"]["g_per_l"] is None  # a volume
    assert found["Ethanol"]["flag"] == "amount_unknown"


@pytest.mark.parametrize("field", [{"volume": None}, {"volume": 0}])
def test_without_the_volume_of_the_main_solution_no_share_is_known(field):
    data = MEDIUM | {"solutions": [MEDIUM["solutions"][0] | field, *MEDIUM["solutions"][1:]]}
    found = amounts(data)
    assert found["K2HPO4"]["g_per_l"] == pytest.approx(0.13834)  # per litre, as MediaDive says
    assert found["Na2SeO3 x 5 H2O"]["flag"] == "share_unknown"
    assert found["NaCl"]["g_per_l"] is None  # a part of it is not known


def test_a_solution_that_is_not_told_is_kept_by_name():
    found = amounts(MEDIUM | {"solutions": MEDIUM["solutions"][:1]})
    assert found["Trace elements"]["g_per_l"] is None
    assert found["Trace elements"]["flag"] == "solution_unknown"


def test_a_solution_within_itself_is_refused():
    ring = [
        {"id": 1, "name": "Main sol.", "volume": 1000, "recipe": [part(1, "A", 2, 10)]},
        {"id": 2, "name": "A", "volume": 100, "recipe": [part(1, "B", 3, 10)]},
        {"id": 3, "name": "B", "volume": 100, "recipe": [part(1, "A", 2, 10)]},
    ]
    with pytest.raises(DatabaseError, match="it holds itself"):
        recipe(MEDIUM | {"solutions": ring}, "x")
    with pytest.raises(DatabaseError, match="expected a main solution"):
        recipe(MEDIUM | {"solutions": ring[1:]}, "x")


@given(
    st.floats(0.1, 100),
    st.floats(10, 2000),
    st.floats(0, 50),
    st.floats(10, 2000),
    st.floats(0, 50),
    st.floats(10, 2000),
)
def test_a_chain_of_stocks_is_a_product_of_shares(grams, v3, ml3, v2, ml2, v1):
    chain = [
        {"id": 1, "name": "Main sol.", "volume": v1, "recipe": [part(1, "A", 2, ml2)]},
        {"id": 2, "name": "A", "volume": v2, "recipe": [part(1, "B", 3, ml3)]},
        {"id": 3, "name": "B", "volume": v3, "recipe": [compound(1, "X", grams)]},
    ]
    made = amounts(MEDIUM | {"solutions": chain})["X"]["g_per_l"]
    assert made == pytest.approx(grams * 1000 / v3 * ml3 / v2 * ml2 / v1, rel=1e-9)


@pytest.fixture
def answers(tmp_path):
    for name, data in (
        ("media.json", LISTED), ("medium/282.json", MEDIUM), ("medium-composition/1a.json", COMPOSITION),
        ("medium-strains/282.json", STRAINS), ("medium-strains/1a.json", []),
    ):  # fmt: skip
        file = tmp_path / "answers" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(answer(data)))
    return tmp_path / "answers"


def check_stored(url):
    found = db.read(url)
    assert found.media[["medium_id", "medium_type", "collection"]].to_numpy().tolist() == [
        ["mediadive.medium:1a", "COMPLEX", "DSMZ"], ["mediadive.medium:282", "DEFINED", "DSMZ"],
    ]  # fmt: skip
    assert set(found.amounts["ingredient"]) == {
        "Peptone", "K2HPO4", "NaCl", "Na2SeO3 x 5 H2O", "Biotin", "Ethanol", "Distilled water",
    }  # fmt: skip
    growth = found.growth.set_index("genome_id")
    assert growth["growth"].to_dict() == {
        "organism:Methanocaldococcus_jannaschii_DSM_2661": True, "organism:Escherichia_coli_DSM_30083": False,
    }  # fmt: skip
    kinds = found.genomes.set_index("genome_id")["organism_type"]
    assert kinds["organism:Methanocaldococcus_jannaschii_DSM_2661"] == "archaea"


def test_answers_in_files_come_in_once(url, answers):
    done = import_answers(answers, url)
    check_stored(url)
    assert "strains: 1 without species, domain or answer were left out" in done.notes
    assert any("1 lines of recipes are in a solution whose volume" in note for note in done.notes)
    assert {(part.new, part.changed) for part in import_answers(answers, url).written} == {(0, 0)}


def test_a_single_medium_comes_in(file_url, answers):
    import_answers(answers / "medium/282.json", file_url)
    assert db.read(file_url).media["medium_id"].tolist() == ["mediadive.medium:282"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected JSON"), ("{", "expected JSON"), ("[" * 100_000, "expected JSON"), ("[]", "status 200 and data"),
        ('{"status": 500, "data": []}', "status 500"), ('{"data": 3}', "expected a medium, or a list"),
        ('{"data": {"medium": 3}}', "expected a medium with solutions"),
        ('{"data": [{"odd": 1}]}', "expected media, ingredients or strains"),
        ('{"data": [{"id": 1, "complex_medium": "no"}, 3]}', "expected a medium, got int"),
        ('{"data": {"medium": {"id": "../x"}}}', "medium id"),
        ('{"data": {"medium": {"id": 1, "min_pH": 20}}}', "expected a number from 0 to 14"),
        ('{"data": {"medium": {"id": 1, "min_pH": 8, "max_pH": 7}}}', "expected min_pH at most max_pH"),
        ('{"data": {"medium": {"id": 1}, "solutions": [{"id": 1, "volume": -5}]}}', "volume: expected a number"),
        ('{"data": [{"species": "E. coli", "growth": 1, "domain": "B"}]}', "expected a name that ends in"),
    ],
)  # fmt: skip
def test_a_bad_answer_is_told_with_its_file(file_url, tmp_path, text, said):
    file = tmp_path / "answer.json"
    file.write_text(text)
    with pytest.raises(DatabaseError, match=rf"answer\.json: .*{said}"):
        import_answers(file, file_url)


def test_a_medium_whose_recipe_is_only_composed_keeps_its_name(file_url, tmp_path):
    alone = {"id": "1a", "name": "REACTIVATION", "min_pH": 6.5, "max_pH": 7}
    for word, data in (("medium", {"medium": alone, "solutions": []}), ("medium-composition", COMPOSITION)):
        (tmp_path / word).mkdir()
        (tmp_path / word / "1a.json").write_text(json.dumps(answer(data)))
    import_answers(tmp_path, file_url)
    found = db.read(file_url)
    assert found.media[["name", "min_ph", "max_ph"]].to_numpy().tolist() == [["REACTIVATION", 6.5, 7.0]]
    assert len(found.amounts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["id", "name", "volume", "recipe", "compound", "solution_id", "amount", "unit", "g_l", "medium", "solutions"]
    ), inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=150)
@given(JSON, JSON)
def test_any_json_is_a_recipe_or_told(medium, solutions):
    for data in (
        medium,
        {"medium": medium, "solutions": solutions},
        {"medium": {"id": 1}, "solutions": solutions},
    ):
        with suppress(DatabaseError):
            recipe(data, "x")
    with suppress(DatabaseError):
        strains(solutions, "m", "x")


class Server(ThreadingHTTPServer):
    """Answers as MediaDive does; some requests fail the first time."""

    def __init__(self, failures=()):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages = {
            "/rest/media": LISTED, "/rest/medium/282": MEDIUM,
            "/rest/medium/1a": {"medium": LISTED[1], "solutions": []},
            "/rest/medium-composition/1a": COMPOSITION, "/rest/medium-strains/282": STRAINS,
        }  # fmt: skip
        self.failures, self.asked, self.agents = dict(failures), [], set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/rest"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.path)
        server.agents.add(self.headers["User-Agent"])
        wrong = server.failures.get(self.path, [])
        if wrong:
            status, body = wrong.pop(0), b"busy"
        elif self.path in server.pages:
            status, body = 200, json.dumps(answer(server.pages[self.path])).encode()
        else:
            status, body = 404, b'{"status": 404, "message": "not found"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    started = []

    def start(**failures):
        server = Server(failures.get("failures", {}))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def test_everything_is_fetched_once(serve, tmp_path):
    server = serve()
    client = Client(tmp_path / "cache", server.url, pause=0.0)
    assert mirror(client) == 2
    assert client.asked == len(server.asked) == len(set(server.asked)) == 6
    assert all(agent.startswith("mediacvae/") for agent in server.agents)
    again = Client(tmp_path / "cache", server.url, pause=0.0)
    mirror(again)
    assert again.asked == 0
    url = f"sqlite:///{tmp_path}/a.db"
    import_answers(tmp_path / "cache", url)
    check_stored(url)


def test_a_busy_server_is_waited_for(serve, tmp_path):
    server = serve(failures={"/rest/medium/282": [429, 503], "/rest/media": [500]})
    client = Client(tmp_path / "cache", server.url, pause=0.0)
    assert mirror(client) == 2
    assert client.asked == 9


def test_a_broken_run_goes_on_where_it_was(serve, tmp_path):
    server = serve(failures={"/rest/medium/1a": [502] * 3})
    client = Client(tmp_path / "cache", server.url, pause=0.0, tries=3)
    with pytest.raises(ClientError, match=r"no answer after 3 tries \(502 Bad Gateway\): run it again later"):
        mirror(client)
    before = list(server.asked)
    mirror(client)
    assert "/rest/medium/282" not in server.asked[len(before) :]


def test_an_answer_that_will_not_come_is_told_at_once(serve, tmp_path):
    server = serve(failures={"/rest/media": [403]})
    with pytest.raises(ClientError, match="403 Forbidden"):
        mirror(Client(tmp_path / "cache", server.url, pause=0.0))
    assert server.asked == ["/rest/media"]


def test_a_server_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ClientError, match="no answer after 2 tries"):
        mirror(Client(tmp_path / "cache", "http://127.0.0.1:1/rest", pause=0.0, tries=2))
    with pytest.raises(DatabaseError, match="expected http"):
        Client(tmp_path / "cache", "file:///etc")


def test_ids_of_a_server_are_not_trusted(serve, tmp_path):
    server = serve()
    server.pages["/rest/media"] = [{"id": "../../x", "name": "X", "complex_medium": "no"}]
    with pytest.raises(DatabaseError, match="expected ids of letters and digits"):
        mirror(Client(tmp_path / "cache", server.url, pause=0.0))


def test_requests_keep_their_distance(serve, tmp_path):
    import time

    server = serve()
    began = time.monotonic()
    mirror(Client(tmp_path / "cache", server.url, pause=0.03))
    assert time.monotonic() - began >= 0.03 * 5


def test_the_verb_asks_and_stores(serve, tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/a.db"
    words = [
        "db",
        "import",
        "mediadive",
        "--db",
        url,
        "--cache",
        str(tmp_path / "c"),
        "--base-url",
        serve().url,
    ]
    assert run(app, words) == 0
    assert "media: 2 new" in capsys.readouterr().out
    check_stored(url)
    assert (
        run(
            app,
            [
                "db",
                "import",
                "mediadive",
                "--db",
                url,
                "--cache",
                str(tmp_path / "d"),
                "--base-url",
                "ftp://x",
            ],
        )
        == 2
    )
