"""What was measured: statistics, rows, causes in words, findings, comparisons. No driver, file or table is here."""
