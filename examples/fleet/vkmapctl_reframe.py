"""ReFrame: the same on every idle node, with figures in the perflog and a reference.

    reframe -c vkmapctl_reframe.py --distribute=idle -r

ReFrame does not notice a node that is missing, nor which GPU of a node is slow: `vkmapctl fleet` does. This is for
sites whose other tests are in ReFrame, too.
"""
# ruff: noqa: RUF012 - ReFrame's way

import json

import reframe as rfm
import reframe.utility.sanity as sn
from reframe.core.builtins import performance_function, run_before, sanity_function, variable


@rfm.simple_test
class VulkanMapping(rfm.RunOnlyRegressionTest):
    """Maps and unmaps by the device that vkmapctl chooses, and holds the figure against a reference."""

    valid_systems = ["*"]
    valid_prog_environs = ["*"]
    workload = variable(str, value="quick")
    executable = "vkmapctl"
    time_limit = "10m"
    # Yours, by partition, from a first run: lower and upper bound relative to the figure.
    reference = {"*": {"map_and_unmap": (0, None, None, "ns")}}

    @run_before("run")
    def choose(self):
        """The document beside the test's output is what is judged; the exit code says the same."""
        self.executable_opts = ["stress", self.workload, "--save", "run.json", "--force", "--quiet"]

    def rows(self):
        """The rows of the saved document."""
        with open(f"{self.stagedir}/run.json") as file:
            return json.load(file)["results"]

    @sanity_function
    def all_went_well(self):
        """Every row was measured to its end."""
        return sn.all([sn.assert_eq(self.job.exitcode, 0), *(sn.assert_eq(row["status"], "ok") for row in self.rows())])

    @performance_function("ns")
    def map_and_unmap(self):
        """The first row's mean time for a pair."""
        return self.rows()[0]["ns_per_pair"]
