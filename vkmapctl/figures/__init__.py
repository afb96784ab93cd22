"""What was measured: files, statistics, findings, comparisons. Knows no driver."""
