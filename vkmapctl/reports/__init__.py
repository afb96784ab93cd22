"""Plain data to tables, pages and files. No driver, no C loop, no machine and no saved file is here."""

FORMATS = (  # that a saved document can be exported to
    "md", "csv", "junit", "html",
    "csv-rounds", "csv-bins", "openmetrics", "github-benchmark", "bencher", "pyperf",
)  # fmt: skip
FLEET_FORMATS = ("openmetrics", "csv", "jsonl", "junit", "html")  # of a fleet's run
