"""The simulation of fleets runs, and every part of it gives figures."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "benchmarks" / "fleet_outliers.py"


def test_every_part_gives_figures(tmp_path):
    path = tmp_path / "found.json"
    small = ("--gpus", "2000", "--sweeps", "1", "--fleets", "2", "--largest", "1000", "--json", str(path))
    subprocess.run([sys.executable, BENCH, *small], check=True, timeout=120, stdout=subprocess.DEVNULL)
    found = json.loads(path.read_text())
    assert [one["gpus"] for one in found["seconds"]] == [1000]
    assert found["found after two runs"]["gpus"]["15%"] == 1.0
    assert found["false alarms in a sweep"]["peers, twice"] <= 2
    assert abs(found["drift"]["shared"] - 0.04) < 0.01
    assert set(found["small groups with a false alarm in one run"]) >= {"8 GPUs, 8 a host", "64 GPUs, 8 a host"}
