"""The generated pages of docs/reference, from the code: `make docs` writes them, a test compares them."""
