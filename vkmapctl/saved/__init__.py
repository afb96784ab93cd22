"""Files: saved documents written by rename and read without trust. What is in them is model/'s."""
