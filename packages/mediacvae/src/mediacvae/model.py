"""`ConditionalMediaVAE`: media given what is known of an organism.

An encoder reads a medium and a condition into a latent, a decoder reads latent and condition into a medium: whether
an ingredient is there (logit) and how much of it (log-normal), the amounts of what is absent being nobody's business.
The prior of the latent depends on the condition, so that generation starts from what organisms like this one need.

Letters: n media, m ingredients, d features of the condition, l of the latent. Media are in g/L.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mediacvae.losses import hurdle, kl
from mediacvae.parts import ConditionReader, identity
from mediacvae.vae_options import VaeOptions

if TYPE_CHECKING:
    from pathlib import Path

    from mediacvae.parts import Reading

LEAST_SD = 0.1  # of an ingredient's log amounts: one that is always given in the same amount has none


class Decoded(NamedTuple):
    """What the decoder says of media: presence logits (n, m), mean of the standardised log amounts (n, m)."""

    logits: Tensor
    amount: Tensor


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


def mlp(inputs: int, hidden: tuple[int, ...], *, norm: bool, dropout: float) -> tuple[nn.Sequential, int]:
    """Linear, (batch norm,) ReLU, (dropout,) for each width; the module and how many features come out."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers.append(nn.Linear(inputs, width))
        layers += [nn.ReLU(), nn.BatchNorm1d(width)] if norm else [nn.ReLU()]
        layers += [nn.Dropout(dropout)] if dropout else []
        inputs = width
    return nn.Sequential(*layers), inputs


def shared(
    mean: Tensor, logvar: Tensor, noise: Tensor, genus: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Posterior and noise (n, l) whose first `count` features are one for all rows of a genus (n,), -1 for none.

    What each row says of them is multiplied, as evidence of Gaussians is (Bouchacourt et al. 2018, eq. 9).
    """
    labels = torch.where(genus < 0, genus.max() + 1 + torch.arange(len(genus), device=genus.device), genus)
    _, row = labels.unique(return_inverse=True)
    groups = int(row.max()) + 1
    precision = (-logvar[:, :count]).exp()
    total = precision.new_zeros(groups, count).index_add(0, row, precision)
    weighted = precision.new_zeros(groups, count).index_add(0, row, precision * mean[:, :count])
    first = torch.zeros(groups, dtype=torch.long, device=row.device).scatter(
        0, row.flip(0), torch.arange(len(row) - 1, -1, -1, device=row.device)
    )
    together = ((weighted / total)[row], -total.log()[row], noise[first][row][:, :count])
    pairs = zip(together, (mean, logvar, noise), strict=True)
    made = [torch.cat([one, each[:, count:]], dim=1) for one, each in pairs]
    return made[0], made[1], made[2]


class ConditionalMediaVAE(nn.Module):
    """The network. NaN in a condition (n, d) says that a feature is not known.

    scale: of the ingredients' log amounts, `Scale.of` the training media. reading: how conditions are brought to
    numbers of a like size, `reading_of` the training conditions; without it they are read as they are.
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
        self.reader = ConditionReader(reading or identity(condition_dim))
        self.project = nn.Linear(self.reader.width, own.condition) if own.condition else nn.Identity()
        given = own.condition or self.reader.width
        seen = media_dim * (2 if self.hurdle else 1)
        self.encoder, width = mlp(seen + given, own.encoder, norm=own.norm, dropout=own.dropout)
        self.posterior = nn.Linear(width, 2 * own.latent)
        self.prior = nn.Sequential(nn.Linear(given, 64), nn.ReLU(), nn.Linear(64, 2 * own.latent))
        self.decoder, width = mlp(own.latent + given, own.decoder, norm=own.norm, dropout=own.dropout)
        self.presence = nn.Linear(width, media_dim)
        self.amount = nn.Linear(width, media_dim)
        self.amount_log_sd = nn.Parameter(torch.zeros(media_dim))

    # ---- tensors

    def given(self, condition: Tensor) -> Tensor:
        """Conditions (n, d) with NaN as the network reads them."""
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
        """Amounts [g/L] of standardised log amounts (n, m)."""
        return (amount * self.log_sd + self.log_mean).exp()

    def posterior_of(self, media: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latent (n, l) of media [g/L] under what is given."""
        mean, logvar = self.posterior(self.encoder(torch.cat([self.read(media), given], dim=1))).chunk(2, 1)
        return mean, logvar.clamp(-8.0, 8.0)

    def prior_of(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latent (n, l) before a medium is seen."""
        if self.options.prior == "normal":
            none = given.new_zeros(len(given), self.options.latent)
            return none, none
        mean, logvar = self.prior(given).chunk(2, dim=1)
        return mean, logvar.clamp(-8.0, 4.0)

    def decode(self, latent: Tensor, given: Tensor) -> Decoded:
        """What media the latent (n, l) stands for."""
        hidden = self.decoder(torch.cat([latent, given], dim=1))
        return Decoded(self.presence(hidden), self.amount(hidden))

    def forward(
        self,
        media: Tensor,
        condition: Tensor,
        generator: torch.Generator | None = None,
        genus: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Reconstruction loss (n,) [nats, or squared log1p g/L] and divergence (n, l) of media under conditions.

        genus: (n,) numbers, -1 for none: in a hierarchical model, media of a genus share the first features.
        """
        given = self.given(condition)
        mean, logvar = self.posterior_of(media, given)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        if self.options.genus and genus is not None:
            mean, logvar, noise = shared(mean, logvar, noise, genus, self.options.genus)
        out = self.decode(mean + (0.5 * logvar).exp() * noise, given)
        divergence = kl(mean, logvar, *self.prior_of(given))
        if not self.hurdle:
            return (out.amount.relu() - torch.log1p(media)).square().mean(dim=1), divergence
        there = (media > 0).to(media.dtype)
        return hurdle(there, self.standard(media), *out, self.amount_log_sd), divergence

    # ---- arrays

    @torch.no_grad()
    def encode(self, media: np.ndarray, condition: np.ndarray) -> np.ndarray:
        """Mean of the latent, (n, l), of media (n, m) [g/L] under conditions (n, d)."""
        x, c = self._checked(condition, media)
        return self.posterior_of(x, self.given(c))[0].cpu().numpy()

    @torch.no_grad()
    def predict(self, media: np.ndarray, condition: np.ndarray) -> np.ndarray:
        """Media (n, m) [g/L] as they come out again: what is more likely there than not, in its mean amount."""
        x, c = self._checked(condition, media)
        given = self.given(c)
        return self._media(self.decode(self.posterior_of(x, given)[0], given)).cpu().numpy()

    @torch.no_grad()
    def generate(self, n_samples: int, condition: np.ndarray, *, seed: int = 0) -> np.ndarray:
        """New media (n_samples, m) [g/L] for one condition (1, d): latents of the prior, decoded and drawn."""
        logits, amount = self.draws(n_samples, condition, seed=seed)
        if not self.hurdle:
            return self.in_grams(amount)
        rng = np.random.default_rng(seed)
        there = rng.random(logits.shape) < 1 / (1 + np.exp(-logits))
        spread = self.amount_log_sd.detach().exp().cpu().numpy()
        noise = spread * rng.standard_normal(amount.shape)
        return np.where(there, self.in_grams(amount + noise), 0.0)

    @torch.no_grad()
    def draws(self, n_samples: int, condition: np.ndarray, *, seed: int = 0) -> Decoded:
        """What the decoder says of n_samples latents of the prior of one condition (1, d); arrays (n_samples, m)."""
        (c,) = self._checked(condition)
        if len(c) != 1:
            msg = f"condition: expected one row, got {len(c)}; generate for one organism at a time"
            raise ValueError(msg)
        given = self.given(c).expand(n_samples, -1)
        mean, logvar = self.prior_of(given)
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        noise[:, : self.options.genus] = noise[:1, : self.options.genus]  # of one genus, so of one draw
        out = self.decode(mean + (0.5 * logvar).exp() * noise, given)
        return Decoded(out.logits.cpu().numpy(), out.amount.cpu().numpy())  # pyright: ignore[reportArgumentType]

    @torch.no_grad()
    def in_grams(self, amount: np.ndarray) -> np.ndarray:
        """Amounts [g/L] of what `draws` gave, (n, m)."""
        if not self.hurdle:
            return np.expm1(np.maximum(amount, 0.0))
        return self.grams(torch.as_tensor(amount, device=self.log_sd.device)).double().cpu().numpy()

    def save(self, path: Path | str, *, force: bool = False) -> None:
        """Write the network to a directory; BundleError where one is already and not `force`."""
        from mediacvae import vae_file

        vae_file.save(self, path, force=force)

    @classmethod
    def load(cls, path: Path | str) -> ConditionalMediaVAE:
        """Read and check a network; BundleError, in one line, for whatever is wrong with it."""
        from mediacvae import vae_file

        return vae_file.load(path)

    def _media(self, out: Decoded) -> Tensor:
        if not self.hurdle:
            return torch.expm1(out.amount.relu())
        return torch.where(out.logits > 0, self.grams(out.amount), 0.0)

    def _checked(self, condition: np.ndarray, media: np.ndarray | None = None) -> list[Tensor]:
        """The arrays as tensors, where the network is; ValueError for other shapes or impossible amounts."""
        made, pairs = [], [("condition", condition, self.condition_dim)]
        if media is not None:
            pairs.insert(0, ("media", media, self.media_dim))
            if len(media) != len(condition):
                msg = f"expected as many conditions as media, got {len(condition)} and {len(media)}"
                raise ValueError(msg)
            if not np.isfinite(media).all() or (media < 0).any():
                msg = "media: expected finite amounts of at least 0 g/L"
                raise ValueError(msg)
        for name, array, width in pairs:
            if array.ndim != 2 or array.shape[1] != width:
                msg = f"{name}: expected the shape (n, {width}), got {array.shape}"
                raise ValueError(msg)
            made.append(torch.as_tensor(np.asarray(array, np.float32), device=self.log_mean.device))
        return made
