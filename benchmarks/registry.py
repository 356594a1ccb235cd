"""What is measured: a script a claim, and the words that it is run with.

`{data}` is the folder of data sets, `{peers}` the interpreter of an environment that holds the peers, `{kept}` a folder
that outlives a script. A script leaves with 1, and says what is missing, where it needs what is not there.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Benchmark:
    """claim: what is asked, in one breath. data, peers: words given where there are such. by_peers: who runs it."""

    name: str
    claim: str
    time: str
    data: str = ""
    peers: str = ""
    always: str = ""
    by_peers: bool = False

    @property
    def library(self) -> str:
        """The library that it is about."""
        return self.name.partition("_")[0]


BENCHMARKS = (
    Benchmark(
        "o2diffusion_tasks", "gaps filled: error and coverage by four tasks, simulated plates and real curves",
        "an hour",
        data="--data {data}/o2diffusion/oxygen.parquet --events {data}/o2diffusion/events.parquet",
    ),
    Benchmark("o2diffusion_generation", "generated replicates are like held-out ones", "15 minutes"),
    Benchmark("o2diffusion_dose", "EC50 and its interval with a quarter of the data removed", "10 minutes",
              always="--out benchmarks/o2diffusion_dose.md"),
    Benchmark("o2diffusion_speed", "seconds and memory of `impute`, beside CSDI", "half an hour",
              peers="--csdi {peers}"),
    Benchmark("stedm_sections", "places of cells of held-out sections, stage by stage", "half an hour",
              data="--data {data}/stedm"),
    Benchmark("stedm_gauges", "generator and refiner by the gauge of their targets", "half an hour",
              data="--data {data}/stedm"),
    Benchmark("stedm_simulated", "simulated tissue is recovered", "10 minutes"),
    Benchmark("stedm_scale", "seconds and memory of `reconstruct` to 100,000 cells; exponent", "half an hour"),
    Benchmark("stedm_peers", "accuracy and seconds beside novoSpaRc and CeLEry", "half an hour",
              data="--data {data}/stedm", peers="--novosparc {peers} --celery {peers}"),
    Benchmark("mediacvae_generation", "recipes, ranks and odds of growth for genera left out", "half an hour",
              data="--data {data}/mediacvae"),
    Benchmark("mediacvae_rules", "reasons name the marker and its place in the genome", "20 minutes"),
    Benchmark("mediacvae_scale", "seconds and memory of `train` to 100,000 media", "20 minutes"),
    Benchmark("mediacvae_kmers", "k-mers a second, beside pykmertools, numpy and scikit-bio", "5 minutes",
              by_peers=True),
    Benchmark("virtualcell_simple", "simple methods on held-out perturbed cells", "2 minutes",
              data="--data {data}/virtualcell", peers="--cell-eval {peers}"),
    Benchmark("virtualcell_response", "responses of a cell type left out, stage by stage", "15 minutes",
              data="--data {data}/virtualcell", always="--cells {kept}/cells"),
    Benchmark("virtualcell_cells", "the same, as cells, by cell-eval", "5 minutes", always="{kept}/cells",
              by_peers=True),
    Benchmark("virtualcell_knockouts", "a replicate left out, and targets never seen", "half a minute",
              data="--data {data}/virtualcell"),
    Benchmark("virtualcell_embedding", "cell types and mixing of embedded cells", "10 minutes",
              data="--data {data}/virtualcell"),
    Benchmark("virtualcell_parts", "each of seven parts on cells with its biology and without", "15 minutes"),
    Benchmark("virtualcell_cost", "time and memory of networks and parts, beside arc-state", "5 minutes",
              by_peers=True),
    Benchmark("virtualcell_length", "memory of a step at 2,048 tokens", "5 minutes"),
    Benchmark("virtualcell_reading", "a million cells read from disk", "5 minutes"),
)  # fmt: skip


def called(names: list[str]) -> list[Benchmark]:
    """Benchmarks of these names, or of these libraries, in their order; all without a name. ValueError for another."""
    known = {one.name for one in BENCHMARKS} | {one.library for one in BENCHMARKS}
    for name in names:
        if name not in known:
            msg = f"{name}: there is no such benchmark; there are {', '.join(sorted(known))}"
            raise ValueError(msg)
    return [one for one in BENCHMARKS if not names or one.name in names or one.library in names]
