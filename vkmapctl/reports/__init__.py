"""Plain data to tables, pages and files. Knows no driver and no C."""
