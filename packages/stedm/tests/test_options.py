"""Options outside their range are refused with field, value and range."""

import pytest

from stedm.config import BaseConfig, PairConfig, SimulationConfig
from stedm.options import EncoderOptions, LearnOptions, NetOptions, PatchOptions, Walk

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("kind", "words", "said"),
    [
        (NetOptions, {"width": 30, "heads": 4}, "width: expected an even multiple of heads = 4, got 30"),
        (NetOptions, {"inducing": 0}, "inducing: expected at least 1, got 0"),
        (NetOptions, {"around": "nowhere"}, "around: expected one of generator, zero"),
        (EncoderOptions, {"hide": 1.0}, "hide: expected a share"),
        (EncoderOptions, {"temperature": 0.0}, "temperature"),
        (PatchOptions, {"least": 9, "most": 8}, "most: expected at least 9, got 8"),
        (PatchOptions, {"random": 0.0}, "random: expected a share"),
        (LearnOptions, {"gauge": "phase"}, "gauge: expected one of output, generator, frame, distance"),
        (LearnOptions, {"stages": (4.0, 2.0)}, "stages: expected rising noise levels"),
        (Walk, {"start": 0.05}, "start: expected more than 0.06, got 0.05"),
        (LearnOptions, {"stall": 0}, "stall: expected at least 1"),
        (LearnOptions, {"learning_rate": 0.0}, "learning_rate"),
        (LearnOptions, {"p_std": NAN}, "p_std: expected more than 0, got nan"),
        (LearnOptions, {"stages": (4.0, INF)}, "stages: expected rising noise levels"),
        (LearnOptions, {"warmup_steps": -1}, "warmup_steps: expected at least 0, got -1"),
        (EncoderOptions, {"weight_decay": NAN}, "weight_decay: expected at least 0, got nan"),
        (Walk, {"start": INF}, "start: expected more than 0.06, got inf"),
        (Walk, {"one_step": NAN}, "one_step: expected more than 0, got nan"),
        (BaseConfig, {"gene_power": NAN}, "gene_power: expected at least 0, got nan"),
        (BaseConfig, {"penalties": (0.1, NAN)}, "penalties: expected numbers > 0"),
        (PairConfig, {"anchor": INF}, "anchor: expected at least 0, got inf"),
        (SimulationConfig, {"pattern": "stripes"}, "pattern: expected one of layers, niches, gradients"),
    ],
)
def test_values_outside_their_range_are_refused(kind, words, said):
    with pytest.raises(ValueError, match=said):
        kind(**words)


def test_no_public_name_is_hidden_by_a_module():
    """A module of the same name would take its place as soon as anything imports it."""
    import pkgutil

    import stedm

    modules = {module.name for module in pkgutil.iter_modules(stedm.__path__)}
    assert not modules & set(stedm.__all__)
