"""Media changes: when they happen, and what a drug makes of the oxygen afterwards.

Letters: b batch, t time, e events (media changes), d feature width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from o2diffusion.drugs import DoseScale

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PROFILE = ("spike_magnitude", "recovery_tau", "adaptation_tau", "secondary_magnitude")
RECOVERY_H, ADAPTATION_H = 3.0, 20.0  # where the time constants start [h, times time_scale_h]
FOLD = math.log(20.0)  # a time constant stays within 20-fold of its start
CEILING = 10.0  # a magnitude stays within ten times oxygen_scale


class MediaChangeSchedule:
    """The media changes of one experiment, sorted; those at one time are one change (with drug if any is).

    times_h: changes to medium with the drug [h]; ValueError where one is not finite.
    """

    def __init__(self, times_h: Iterable[float] = ()) -> None:
        self._changes: dict[float, bool] = {}
        for time_h in times_h:
            self.add_change(time_h)

    def add_change(self, time_h: float, *, drug_containing: bool = True) -> MediaChangeSchedule:
        """Add a change at `time_h` [h]; returns the schedule. ValueError where the time is not finite."""
        time = float(time_h)
        if not math.isfinite(time):
            msg = f"expected a finite time of a media change [h], got {time_h}"
            raise ValueError(msg)
        self._changes[time] = drug_containing or self._changes.get(time, False)
        return self

    @property
    def times_h(self) -> tuple[float, ...]:
        """Times of the changes, ascending [h]."""
        return tuple(sorted(self._changes))

    @property
    def drug_containing(self) -> tuple[bool, ...]:
        """Whether the new medium holds the drug, one a change."""
        return tuple(self._changes[time] for time in self.times_h)

    def __len__(self) -> int:
        return len(self._changes)

    def __repr__(self) -> str:
        return f"MediaChangeSchedule({', '.join(f'{time:g} h' for time in self.times_h)})"

    def to_tensors(self, length: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Times [h], mask and drug_containing, each (1, e), padded to `length` changes; ValueError for more."""
        return stack_schedules([self], length)


def stack_schedules(
    schedules: Sequence[MediaChangeSchedule], length: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Times [h], mask and drug_containing of a batch, each (b, e); padding holds time 0 and False.

    Raises ValueError where a schedule has more than `length` changes.
    """
    longest = max((len(schedule) for schedule in schedules), default=0)
    length = longest if length is None else length
    if longest > length:
        msg = f"expected at most {length} media changes, got a schedule of {longest}"
        raise ValueError(msg)
    times = torch.zeros(len(schedules), length)
    mask, drug = torch.zeros_like(times, dtype=torch.bool), torch.zeros_like(times, dtype=torch.bool)
    for i, schedule in enumerate(schedules):
        n = len(schedule)
        times[i, :n] = torch.tensor(schedule.times_h)
        mask[i, :n] = True
        drug[i, :n] = torch.tensor(schedule.drug_containing, dtype=torch.bool)
    return times, mask, drug


class DrugAwareMediaChangeModule(nn.Module):
    """Three-phase response to a media change whose size and times depend on the drug and its concentration.

    The spike comes at once, recovers with the drug's own time constant, and a slow adaptation follows:
    effect(t) = s exp(-t / tau_r) + a (1 - exp(-t / tau_a)) from the change on, exactly 0 before it.

    drug_embed_dim: d; dynamics_dim: width inside. Buffers `oxygen_scale` [unit of oxygen] and `time_scale_h` [h], both
    (), set the physical units; parameters are free of them.
    """

    oxygen_scale: Tensor
    time_scale_h: Tensor

    def __init__(self, drug_embed_dim: int, dynamics_dim: int, *, c_ref: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("oxygen_scale", torch.ones(()))
        self.register_buffer("time_scale_h", torch.ones(()))
        self.dose = DoseScale(c_ref)
        self.net = nn.Sequential(
            nn.Linear(drug_embed_dim + 2, dynamics_dim),
            nn.SiLU(),
            nn.Linear(dynamics_dim, dynamics_dim),
            nn.SiLU(),
        )
        self.decoder = nn.ModuleDict({name: nn.Linear(dynamics_dim, 1) for name in PROFILE})
        for name, start in zip(PROFILE, (1.0, 0.0, 0.0, 0.1), strict=True):
            nn.init.constant_(self.decoder[name].bias, start)  # pyright: ignore[reportArgumentType]

    def get_media_response_profile(self, drug_embedding: Tensor, concentration: Tensor) -> dict[str, Tensor]:
        """The four numbers of the response: (..., d), (...,) [uM] -> a dict of (...,).

        spike_magnitude and secondary_magnitude in the unit of oxygen (either sign), the two taus in hours
        (positive).
        """
        h = self.net(torch.cat([drug_embedding, self.dose(concentration).to(drug_embedding.dtype)], dim=-1))
        raw = {name: self.decoder[name](h).squeeze(-1) for name in PROFILE}
        magnitude = {
            name: self.oxygen_scale * CEILING * torch.tanh(raw[name] / CEILING)
            for name in ("spike_magnitude", "secondary_magnitude")
        }
        tau = {
            name: self.time_scale_h * start * torch.exp(FOLD * torch.tanh(raw[name] / FOLD))
            for name, start in (("recovery_tau", RECOVERY_H), ("adaptation_tau", ADAPTATION_H))
        }
        both = magnitude | tau
        return {name: both[name] for name in PROFILE}

    def compute_media_effect(
        self, time_since_change: Tensor, drug_embedding: Tensor, concentration: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Effect of one change at `time_since_change` (b, ...) [h]: (b, ...), and the profile behind it.

        drug_embedding (b, d), concentration (b,) [uM, NaN = not given].
        """
        profile = self.get_media_response_profile(drug_embedding, concentration)
        return media_effect(time_since_change, profile), profile

    def forward(
        self,
        times: Tensor,
        change_times: Tensor,
        change_mask: Tensor,
        drug_embedding: Tensor,
        concentration: Tensor,
    ) -> Tensor:
        """Summed effect of all changes: (b, t), in the unit of oxygen.

        times (b, t) [h], change_times [h] and change_mask (b, e). drug_embedding (b, d) and concentration (b,) [uM],
        or (b, e, d) and (b, e) where the medium differs from change to change. Adaptations of earlier
        changes stay, spikes decay; a change after the last time, or a padded one, adds nothing.
        """
        profile = self.get_media_response_profile(drug_embedding, concentration)
        wide = {
            name: (value[:, None] if value.ndim == 1 else value).expand_as(change_times)
            for name, value in profile.items()
        }
        start = torch.where(change_mask, change_times, torch.full_like(change_times, torch.inf))
        since = (times[:, None, :] - start[:, :, None]).flatten(0, 1)
        effect = media_effect(since, {name: value.flatten() for name, value in wide.items()})
        return effect.reshape(*change_times.shape, times.shape[1]).sum(1)


def media_effect(time: Tensor, profile: Mapping[str, Tensor]) -> Tensor:
    """Response s exp(-t / tau_r) + a (1 - exp(-t / tau_a)) for t >= 0, else exactly 0: (b, ...).

    time (b, ...) [h], each entry of profile (b,). A fitted profile's recovery_shape p makes the spike
    s exp(-(t / tau_r)^p). The mask comes before the exponential, so gradients stay
    finite at any t (-inf and NaN included).
    """
    wide = {name: value.reshape(-1, *[1] * (time.ndim - 1)) for name, value in profile.items()}
    s, tau_r, tau_a, a = (wide[name] for name in PROFILE)
    after = time >= 0
    t = torch.where(after, time, torch.zeros_like(time))
    recovery = t / tau_r
    if "recovery_shape" in wide:
        recovery = recovery ** wide["recovery_shape"]
    return torch.where(after, s * torch.exp(-recovery) - a * torch.expm1(-t / tau_a), torch.zeros_like(t))


def response_metrics(
    profile: Mapping[str, Tensor], *, horizon_h: float = 15.0, end_h: float = 60.0
) -> tuple[Tensor, Tensor]:
    """Peak height above the level before and half-decay time [h] of a response profile of (b,): (b,) and (b,).

    The peak is sought in the first `horizon_h`, the half-decay up to `end_h` (NaN where it is not reached).
    """
    time = torch.linspace(
        0, end_h, 2401, dtype=profile["recovery_tau"].dtype, device=profile["recovery_tau"].device
    )
    effect = media_effect(time.expand(len(profile["recovery_tau"]), -1), profile)
    return curve_metrics(time, effect, horizon_h=horizon_h)


def curve_metrics(time: Tensor, curve: Tensor, *, horizon_h: float = 15.0) -> tuple[Tensor, Tensor]:
    """Peak height and half-decay time [h] of curves that were 0 before the change: (..., t) -> (...), (...).

    time (t,) ascending from the change on [h]. Height: the highest value within `horizon_h`. Half-decay:
    from the peak until the curve first falls to half of it, linear between samples; NaN where that does not
    happen, or where there is no rise.
    """
    height, at = curve[..., time <= horizon_h].max(-1, keepdim=True)
    half = height / 2
    index = torch.arange(len(time), device=time.device)
    below = (curve <= half) & (index > at)
    first = below.to(torch.uint8).argmax(-1, keepdim=True).clamp(min=1)
    y0, y1 = curve.gather(-1, first - 1), curve.gather(-1, first)
    drop = torch.where(y0 > y1, y0 - y1, torch.ones_like(y0))
    t0, t1, peak = time[first - 1], time[first], time[at]
    crossing = t0 + (t1 - t0) * ((y0 - half) / drop).clamp(0, 1)
    reached = below.any(-1, keepdim=True) & (height > 0)
    decay = torch.where(reached, crossing - peak, torch.full_like(height, torch.nan))
    return height.squeeze(-1), decay.squeeze(-1)
