"""A network with parts: `BaseEnhancedModel`, of which a recipe is a docstring and one line.

class HierarchicalTemporalModel(BaseEnhancedModel):
    '''Pathways and compartments, with fast and slow responses.'''

    parts = (Hierarchy, Temporal)
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from virtualcell import checks
from virtualcell.options import NetworkOptions
from virtualcell.part import Info, Part, PartChanges, Room
from virtualcell.state import StateEmbeddingModel

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BaseEnhancedModel", "StateEmbeddingModel"]

EnhancedOutput = tuple[Tensor, Tensor, Tensor | None, dict[str, Info]]


class BaseEnhancedModel(StateEmbeddingModel):
    """A `StateEmbeddingModel` whose `parts` propose changes under gates that start at zero.

    The constructor takes the network's words and those of every part's `Options`, flat; `forward` takes the network's
    inputs and what the parts read, all optional, and returns a fourth value: what each part tells, by its name.
    A misspelt word or input is a ValueError with the nearest right one.
    """

    parts: ClassVar[tuple[type[Part], ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        known = [word for part in cls.parts for word in _words(part.Options)]
        names = [part.name for part in cls.parts]
        twice = {word for word in [*known, *NetworkOptions.__dataclass_fields__] if known.count(word) > 1}
        twice |= {name for name in names if names.count(name) > 1}
        if twice:
            msg = f"{cls.__name__}: its parts share the word {min(twice)!r}"
            raise TypeError(msg)
        cls.__signature__ = _signature(cls.parts)

    def __init__(
        self,
        token_dim: int,
        d_model: int,
        nhead: int,
        d_hid: int,
        nlayers: int,
        output_dim: int,
        dropout: float = 0.0,
        **words: Any,
    ) -> None:
        own = set(NetworkOptions.__dataclass_fields__)
        known = own.union(*(_words(part.Options) for part in self.parts))
        checks.words(words, known, type(self).__name__, "option")
        plain = {word: value for word, value in words.items() if word in own}
        super().__init__(token_dim, d_model, nhead, d_hid, nlayers, output_dim, dropout, **plain)
        room = Room(d_model, nhead)
        made: dict[str, Part] = {}
        for part in self.parts:
            mine = {word: words[word] for word in _words(part.Options) if word in words}
            made[part.name] = part(room, part.Options(**mine))
        self.part = nn.ModuleDict(made)
        self.gates = nn.ParameterDict({name: torch.zeros(part.gate_shape()) for name, part in made.items()})

    @property
    def reads(self) -> tuple[str, ...]:
        """The inputs of `forward` that its parts understand."""
        return tuple(dict.fromkeys(word for part in self.parts for word in part.reads))

    def forward(
        self,
        src: Tensor,
        mask: Tensor,
        counts: Tensor | None = None,
        dataset_nums: Tensor | None = None,
        **inputs: Any,
    ) -> EnhancedOutput:
        """As the network's: `(b, n, o)`, `(b, o)`, `(b, o)` or None, and `info`: what each part tells, by its name.

        Inputs of None count as absent. Raises ValueError, in one line, for what does not fit or is misspelt.
        """
        checks.batch(src, mask, self.shape["token_dim"])
        changes = self._changes(mask, inputs)
        h = self._with_dataset(self._tokens(src, mask, counts), dataset_nums)
        return *self._outputs(self._through(h, mask, changes), mask), changes.info

    def embed(
        self,
        src: Tensor,
        mask: Tensor,
        counts: Tensor | None = None,
        dataset_nums: Tensor | None = None,
        *,
        table: Tensor | None = None,
        **inputs: Any,
    ) -> Tensor:
        """The cells' embeddings `(b, o)` of length 1 alone, as the network's `embed`; what parts change is in them."""
        h = self._with_dataset(self._input(src, mask, counts, table), dataset_nums)
        h = self._through(h, mask, self._changes(mask, inputs), first_only=True)
        return self._embedding(self.decoder(h[:, 0]))

    def reset_memory(self) -> None:
        """Forget what parts carry from call to call."""
        for part in self.part.values():
            reset = getattr(part, "reset", None)
            if reset is not None:
                reset()

    @contextmanager
    def detailed(self) -> Iterator[None]:
        """Inside, `info` also holds what is large, such as attention by gene and pathway."""
        parts = [part for part in self.part.values() if isinstance(part, Part)]
        for part in parts:
            part.detail = True
        try:
            yield
        finally:
            for part in parts:
                part.detail = False

    def config(self) -> dict[str, Any]:
        """Every constructor word as plain JSON; of a table of genes its shape, its numbers being with the weights."""
        own = super().config()
        for part in self.part.values():
            for word in _words(part.options):
                value = getattr(part.options, word)
                own[word] = {"shape": list(value.shape)} if isinstance(value, Tensor) else value
        return own

    def _changes(self, mask: Tensor, inputs: dict[str, Any]) -> PartChanges:
        checks.words(inputs, self.reads, type(self).__name__, "input")
        parts = {name: part for name, part in self.part.items() if isinstance(part, Part)}
        return PartChanges(parts, dict(self.gates.items()), mask, inputs, {})


def _words(options: Any) -> list[str]:
    return [field.name for field in fields(options)]


def _signature(parts: tuple[type[Part], ...]) -> inspect.Signature:
    """The flat constructor as `help` and editors show it."""
    whole = inspect.signature(StateEmbeddingModel.__init__).parameters.values()
    given = [p for p in whole if p.name != "self" and p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    words = [
        field for owner in (NetworkOptions, *(part.Options for part in parts)) for field in fields(owner)
    ]
    named = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if field.default is MISSING else field.default,
            annotation=field.type,
        )
        for field in words
        if field.name != "dropout"
    ]
    return inspect.Signature([*given, *named])
