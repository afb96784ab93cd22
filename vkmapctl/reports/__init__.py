"""Plain data to tables, pages and files. No driver, no C loop, no machine and no saved file is here."""

FORMATS = ("md", "csv", "junit", "html")  # that a saved document can be exported to
