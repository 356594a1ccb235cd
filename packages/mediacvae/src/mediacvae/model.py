"""`ConditionalMediaVAE`: media given what is known of an organism.

An encoder reads a medium and a condition into a latent, a decoder reads latent and condition into a medium: whether
an ingredient is there (logit) and how much of it (log-normal), the amounts of what is absent being nobody's business.
The prior of the latent depends on the condition, so that generation starts from what organisms like this one need.

Letters: n media, m ingredients, d features of the condition, c of what the network makes of it, l of the latent. Media
are in g/L.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mediacvae.losses import hurdle, kl
from mediacvae.parts import ConditionReader, Reading, Samples, identity, mlp, shared
from mediacvae.vae_file import Stored, fitting, read, write
from mediacvae.vae_options import VaeOptions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LOG_MOST = 10.0  # log g/L: no amount is above, 22 kg/L, nor below the cube of its inverse
LEAST_SD = 0.1  # of an ingredient's log amounts: one that is always given in the same amount has none


class Decoded(NamedTuple):
    """What the decoder says of media: presence logits (n, m), mean of the standardised log amounts (n, m).

    Where the likelihood is no hurdle, both are log1p g/L before the ReLU: an ingredient is there where it is above 0.
    """

    logits: Tensor
    amount: Tensor


class Draws(NamedTuple):
    """`Decoded` as arrays."""

    logits: np.ndarray
    amount: np.ndarray


class Scale(NamedTuple):
    """Of log g/L of each ingredient where it is there: mean and standard deviation, (m,)."""

    mean: np.ndarray
    sd: np.ndarray

    @classmethod
    def of(cls, media: np.ndarray) -> Scale:
        """The scale of media (n, m) [g/L]; an ingredient that is in none counts as 1 g/L."""
        there = media > 0
        count = np.maximum(there.sum(axis=0), 1)
        logs = np.log(np.where(there, media, 1.0))
        mean = logs.sum(axis=0) / count
        sd = np.sqrt((np.where(there, logs - mean, 0.0) ** 2).sum(axis=0) / count)
        return cls(mean, np.maximum(sd, LEAST_SD))


class ConditionalMediaVAE(nn.Module):
    """The network, over media of `media_dim` ingredients and conditions of `condition_dim` features.

    NaN in a condition (n, d) says that a feature is not known. options: its shape; without them, the defaults. scale:
    of the ingredients' log amounts, `Scale.of` the training media. reading: how conditions are brought to numbers of a
    like size, `reading_of` the training conditions; without it they are read as they are.
    """

    log_mean: Tensor
    log_sd: Tensor

    def __init__(
        self,
        media_dim: int,
        condition_dim: int,
        options: VaeOptions | None = None,
        *,
        scale: Scale | None = None,
        reading: Reading | None = None,
    ) -> None:
        super().__init__()
        own = options or VaeOptions()
        self.options, self.media_dim, self.condition_dim = own, media_dim, condition_dim
        scale = scale or Scale(np.zeros(media_dim), np.ones(media_dim))
        for name, value in (("log_mean", scale.mean), ("log_sd", scale.sd)):
            self.register_buffer(name, torch.as_tensor(np.asarray(value, dtype=np.float32)))
        self.hurdle = own.likelihood == "hurdle"
        self.reader = ConditionReader(reading or identity(condition_dim), flags=own.flags)
        self.project = nn.Linear(self.reader.width, own.condition) if own.condition else nn.Identity()
        given = own.condition or self.reader.width
        seen = media_dim * (2 if self.hurdle else 1)
        self.encoder, width = mlp(seen + given, own.encoder, norm=own.norm, dropout=own.dropout)
        self.posterior = nn.Linear(width, 2 * own.latent)
        if own.prior == "conditional":
            self.prior = nn.Sequential(nn.Linear(given, 64), nn.ReLU(), nn.Linear(64, 2 * own.latent))
        self.decoder, width = mlp(own.latent + given, own.decoder, norm=own.norm, dropout=own.dropout)
        self.amount = nn.Linear(width, media_dim)
        if self.hurdle:
            self.presence = nn.Linear(width, media_dim)
            self.amount_log_sd = nn.Parameter(torch.zeros(media_dim))
        self.eval()  # without dropout, until someone trains it

    # ---- tensors

    def given(self, condition: Tensor) -> Tensor:
        """Conditions (n, d) with NaN as the network reads them: what is given, (n, c)."""
        return self.project(self.reader(condition))

    def read(self, media: Tensor) -> Tensor:
        """Media (n, m) [g/L] as the network reads them."""
        if not self.hurdle:
            return torch.log1p(media)
        return torch.cat([(media > 0).to(media.dtype), self.standard(media)], dim=1)

    def standard(self, media: Tensor) -> Tensor:
        """Standardised log amounts (n, m), 0 where an ingredient is not there."""
        there = media > 0
        logs = (torch.where(there, media, 1.0).log() - self.log_mean) / self.log_sd
        return torch.where(there, logs, 0.0)

    def grams(self, amount: Tensor) -> Tensor:
        """Amounts [g/L] of what the decoder says of them, (n, m); finite for whatever it says."""
        if not self.hurdle:
            return amount.clamp(0.0, LOG_MOST).expm1()
        return (amount * self.log_sd + self.log_mean).clamp(-3 * LOG_MOST, LOG_MOST).exp()

    def posterior_of(self, media: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latent (n, l) of media (n, m) [g/L] under what is given (n, c)."""
        mean, logvar = self.posterior(self.encoder(torch.cat([self.read(media), given], dim=1))).chunk(2, 1)
        return mean, logvar.clamp(-8.0, 8.0)

    def prior_of(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latent (n, l) under what is given (n, c), before a medium is seen."""
        if self.options.prior == "normal":
            none = given.new_zeros(len(given), self.options.latent)
            return none, none
        mean, logvar = self.prior(given).chunk(2, dim=1)
        return mean, logvar.clamp(-8.0, 4.0)

    def decode(self, latent: Tensor, given: Tensor, masks: Sequence[Tensor] = ()) -> Decoded:
        """What media the latent (n, l) stands for under what is given (n, c).

        masks: what is left of each hidden layer, `Samples.masks`.
        """
        hidden, left = torch.cat([latent, given], dim=1), iter(masks)
        for layer in self.decoder:
            thinned = masks and isinstance(layer, nn.Dropout)
            hidden = hidden * next(left) if thinned else layer(hidden)
        amount = self.amount(hidden)
        return Decoded(self.presence(hidden) if self.hurdle else amount, amount)

    def forward(
        self,
        media: Tensor,
        condition: Tensor,
        generator: torch.Generator | None = None,
        genus: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Reconstruction loss (n,) [nats, or squared log1p g/L] and divergence (n, l) [nats] of media under conditions.

        genus: (n,) numbers, -1 for none: in a hierarchical model, media of a genus share the first features.
        """
        given = self.given(condition)
        mean, logvar = self.posterior_of(media, given)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        rows = 1
        if (count := self.options.genus) and genus is not None:
            mean, logvar, noise, rows = shared(mean, logvar, noise, genus, count)
        out = self.decode(mean + (0.5 * logvar).exp() * noise, given)
        divergence = kl(mean, logvar, *self.prior_of(given))
        divergence = torch.cat([divergence[:, :count] / rows, divergence[:, count:]], dim=1)
        if not self.hurdle:
            return (out.amount.relu() - torch.log1p(media)).square().mean(dim=1), divergence
        there = (media > 0).to(media.dtype)
        return hurdle(there, self.standard(media), *out, self.amount_log_sd), divergence

    # ---- arrays

    @torch.no_grad()
    def encode(self, media: np.ndarray, condition: np.ndarray) -> np.ndarray:
        """Mean of the latent, (n, l), of media (n, m) [g/L] under conditions (n, d).

        Raises ValueError for other shapes, amounts that are none, and infinite conditions.
        """
        x, c = self._checked(condition, media)
        return self.posterior_of(x, self.given(c))[0].cpu().numpy()

    @torch.no_grad()
    def predict(self, media: np.ndarray, condition: np.ndarray) -> np.ndarray:
        """Media (n, m) [g/L] as they come out again: what is more likely there than not, in its mean amount.

        Raises ValueError as `encode`.
        """
        x, c = self._checked(condition, media)
        given = self.given(c)
        return self._media(self.decode(self.posterior_of(x, given)[0], given)).cpu().numpy()

    @torch.no_grad()
    def generate(self, n_samples: int, condition: np.ndarray, *, seed: int = 0) -> np.ndarray:
        """New media (n_samples, m) [g/L] for one condition (1, d): latents of the prior, decoded and drawn.

        Raises ValueError as `draws`.
        """
        logits, amount = self.draws(n_samples, condition, seed=seed)
        if not self.hurdle:
            return self.in_grams(amount)
        rng = np.random.default_rng(seed)
        there = logits + rng.logistic(size=logits.shape) > 0  # with the chance of the logit
        spread = self.amount_log_sd.detach().exp().cpu().numpy()
        noise = spread * rng.standard_normal(amount.shape)
        return np.where(there, self.in_grams(amount + noise), 0.0)

    @torch.no_grad()
    def draws(self, n_samples: int, condition: np.ndarray, *, seed: int = 0) -> Draws:
        """What the decoder says of n_samples latents of the prior of one condition (1, d); arrays (n_samples, m).

        Raises ValueError for several conditions, another width, and infinite numbers.
        """
        (c,) = self._checked(condition)
        if len(c) != 1:
            msg = f"condition: expected one row, got {len(c)}; generate for one organism at a time"
            raise ValueError(msg)
        given = self.given(c).expand(n_samples, -1)
        mean, logvar = self.prior_of(given)
        noise, masks = self.samples(n_samples, seed=seed)
        noise[:, : self.options.genus] = noise[:1, : self.options.genus]  # of one genus, so of one draw
        out = self.decode(mean + (0.5 * logvar).exp() * noise, given, masks)
        return Draws(out.logits.cpu().numpy(), out.amount.cpu().numpy())

    def samples(self, count: int, *, seed: int = 0) -> Samples:
        """Noise for `count` latents, and as many thinned networks: what the weights do not know is drawn too."""
        rate, widths = self.options.dropout, self.options.decoder if self.options.dropout else ()
        return Samples.draw(count, self.options.latent, widths, rate, seed=seed).to(self.log_sd)

    @torch.no_grad()
    def in_grams(self, amount: np.ndarray) -> np.ndarray:
        """Amounts [g/L] of what `draws` gave, (n, m)."""
        return self.grams(torch.as_tensor(amount, device=self.log_sd.device)).double().cpu().numpy()

    @property
    def stored(self) -> Stored:
        """All that the network is made of."""
        return Stored(self.options, self.media_dim, self.condition_dim, self.state_dict())

    @classmethod
    def of(cls, stored: Stored) -> ConditionalMediaVAE:
        """The network of what `stored` gave, to be used; KeyError, RuntimeError where its parts do not fit."""
        own = [stored.tensors[f"reader.{name}"].numpy() for name in Reading._fields]
        model = cls(stored.media_dim, stored.condition_dim, stored.options, reading=Reading(*own))
        model.load_state_dict(stored.tensors)
        return model.requires_grad_(requires_grad=False).eval()

    def save(self, path: Path | str, *, force: bool = False) -> None:
        """Write the network to a directory; BundleError where one is already and not `force`."""
        write(self.stored, path, force=force)

    @classmethod
    def load(cls, path: Path | str) -> ConditionalMediaVAE:
        """Read and check a network, or that of a whole model; BundleError, in one line, for what is wrong with it."""
        with fitting(path):
            return cls.of(read(path))

    def _media(self, out: Decoded) -> Tensor:
        return torch.where(out.logits > 0, self.grams(out.amount), 0.0)

    def _checked(self, condition: np.ndarray, media: np.ndarray | None = None) -> list[Tensor]:
        """The arrays as tensors, where the network is; ValueError for other shapes or impossible values."""
        made, pairs = [], [("condition", np.asarray(condition), self.condition_dim)]
        if media is not None:
            pairs.insert(0, ("media", np.asarray(media), self.media_dim))
        for name, array, width in pairs:
            if array.ndim != 2 or array.shape[1] != width:
                msg = f"{name}: expected the shape (n, {width}), got {array.shape}"
                raise ValueError(msg)
            made.append(torch.as_tensor(array.astype(np.float32), device=self.log_mean.device))
        if len({len(one) for one in made}) > 1:
            msg = f"expected as many conditions as media, got {len(made[1])} and {len(made[0])}"
            raise ValueError(msg)
        if media is not None and not bool((made[0].isfinite() & (made[0] >= 0)).all()):
            msg = "media: expected finite amounts of at least 0 g/L"
            raise ValueError(msg)
        if bool(made[-1].isinf().any()):
            msg = "condition: expected finite numbers, or NaN for what is not known"
            raise ValueError(msg)
        return made
