"""A polite client of MediaDive's REST: one request at a time with a pause, patience with a busy server, a cache.

Each answer is a file of the cache, written whole; what is there is not asked for again, so a broken run goes on.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from cytosol.files import write_atomically
from mediacvae.db.engines import DatabaseError
from mediacvae.db.mediadive import data_of
from mediacvae.db.mediadive_files import BIGGEST, load

if TYPE_CHECKING:
    from collections.abc import Callable

BASE_URL = "https://mediadive.dsmz.de/rest"
_LONGEST = 60.0  # seconds that a pause may grow to
_AGAIN = (408, 425, 429, 500, 502, 503, 504)


class ClientError(RuntimeError):
    """A server that does not answer, after several tries; the cache keeps what has come."""


@dataclass
class Client:
    """Answers of a server, from the cache where they are there.

    cache: its folder. base_url: without the word of a request. pause: seconds between requests. tries: of one request,
    each after twice the pause of the one before. timeout: seconds that an answer may take. asked: requests so far.
    Raises DatabaseError for a URL that is not http or https.
    """

    cache: Path
    base_url: str = BASE_URL
    pause: float = 0.25
    tries: int = 6
    timeout: float = 60.0
    asked: int = 0
    _last: float = field(default=0.0, repr=False)

    def __post_init__(self) -> None:
        if urlsplit(self.base_url).scheme not in ("http", "https"):
            msg = f"--base-url: expected http:// or https://, got {self.base_url!r}"
            raise DatabaseError(msg)
        self.cache.mkdir(parents=True, exist_ok=True)

    def get(self, word: str, number: str = "") -> Any:
        """What `/word/number` answers, an object of JSON; None where the server has nothing under it.

        Raises ClientError when it does not answer, DatabaseError when it answers something else.
        """
        file = self.cache / word / f"{number}.json" if number else self.cache / f"{word}.json"
        if file.is_file():
            answer = load(file)
        else:
            answer = self._ask(f"{word}/{quote(number, safe='')}" if number else word)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, json.dumps(answer).encode())
        if isinstance(answer, dict) and answer.get("status") == 404:
            return None
        return data_of(answer, str(file))

    def _ask(self, path: str) -> Any:
        url, wait, said = f"{self.base_url.rstrip('/')}/{path}", max(self.pause, 0.01), ""
        for _ in range(self.tries):
            self._wait_turn()
            try:
                return self._once(url)
            except urllib.error.HTTPError as fault:
                fault.close()
                if fault.code not in _AGAIN:
                    msg = f"{url}: the server answers {fault.code} {fault.reason}"
                    raise ClientError(msg) from None
                said, asked = f"{fault.code} {fault.reason}", fault.headers.get("Retry-After", "")
                wait = max(wait, float(asked) if asked.isdecimal() else 0.0)
            except (OSError, HTTPException, TimeoutError) as fault:
                said = str(getattr(fault, "reason", fault)) or type(fault).__name__
            time.sleep(min(wait, _LONGEST))
            wait *= 2
        msg = f"{url}: no answer after {self.tries} tries ({said}): run it again later, what has come is kept"
        raise ClientError(msg)

    def _once(self, url: str) -> Any:
        request = urllib.request.Request(  # noqa: S310 - http and https only, checked
            url, headers={"Accept": "application/json", "User-Agent": f"mediacvae/{version('mediacvae')}"}
        )
        self.asked += 1
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as stream:  # noqa: S310
                body = stream.read(BIGGEST + 1)
        except urllib.error.HTTPError as fault:
            if fault.code == 404:
                fault.close()
                return {"status": 404, "data": None}
            raise
        if len(body) > BIGGEST:
            msg = f"{url}: expected an answer of at most {BIGGEST >> 20} MiB"
            raise ClientError(msg)
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            msg = f"{url}: expected JSON, got {body[:60]!r}"
            raise ClientError(msg) from None

    def _wait_turn(self) -> None:
        """Keep the pause between two requests."""
        rest = self._last + self.pause - time.monotonic()
        if rest > 0:
            time.sleep(rest)
        self._last = time.monotonic()


def mirror(client: Client, on_step: Callable[[int, int], None] = lambda done, of: None) -> int:
    """Bring the list of media, every recipe and its strains into the cache; the number of media.

    A recipe that has no solutions is followed by its composition. on_step is told (media done, media in all). Raises
    ClientError where the server does not answer, DatabaseError where it answers something else than media with ids.
    """
    listed = client.get("media")
    if not isinstance(listed, list) or not all(isinstance(one, dict) and "id" in one for one in listed):
        msg = f"{client.base_url}/media: expected a list of media"
        raise DatabaseError(msg)
    numbers = [str(one["id"]) for one in listed]
    for number in numbers:
        if not number.isalnum() or not number.isascii():
            msg = f"{client.base_url}/media: expected ids of letters and digits, got {number!r}"
            raise DatabaseError(msg)
    for at, number in enumerate(numbers, start=1):
        found = client.get("medium", number)
        if not (isinstance(found, dict) and found.get("solutions")):
            client.get("medium-composition", number)
        client.get("medium-strains", number)
        on_step(at, len(numbers))
    return len(numbers)
