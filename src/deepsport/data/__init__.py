"""Published annotations in, questions out."""
