"""For maintainers: golden numbers, code that may stand for older code, and results that are to be made again."""
