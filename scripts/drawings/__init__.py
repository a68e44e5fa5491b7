"""The drawings of docs/pictures: each shows what the product's own rules make of a worked example.

`make docs` writes them, a test compares them. The examples are those of tests/scenarios/vectors, whose
figures were worked by hand.
"""
