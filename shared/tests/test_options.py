"""Options are plain, checked, and load no torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cytosol.options import TrainerOptions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_steps", 0),
        ("max_steps", 1.5),
        ("batch_size", True),
        ("batch_size", -1),
        ("max_minutes", 0),
        ("max_minutes", float("nan")),
        ("log_every", 0),
        ("val_every", 0),
        ("checkpoint_every", 0),
        ("patience", 0),
        ("ema_decay", 1.0),
        ("ema_decay", float("nan")),
        ("clip_norm", 0.0),
        ("precision", "16-mixed"),
        ("device", "tpu"),
        ("devices", 3),
        ("num_workers", -1),
    ],
)
def test_options_out_of_range_are_named(options, name, value):
    with pytest.raises(ValueError, match=f"^(batch_size|{name}) = .*: expected "):
        options(**{name: value})


def test_options_are_plain_and_load_no_torch(options):
    assert TrainerOptions(**json.loads(json.dumps(options().as_dict()))) == options()
    code = (
        "import sys, cytosol.options, cytosol.manifest; assert not {'torch', 'lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
