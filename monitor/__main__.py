"""`python -m monitor`: the same program as `monitor`."""

from monitor.cli import main

if __name__ == "__main__":
    main()
