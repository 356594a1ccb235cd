"""Every default of `o2diffusion`, typed and range-checked: the only truth about defaults.

Units stand in each field's comment. A recipe in `configs/o2diffusion/` says only what differs.
"""

from __future__ import annotations
