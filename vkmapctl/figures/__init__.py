"""What was measured: statistics, rows, causes in words, findings, comparisons. No driver, no file and no table is here."""
