"""`python -m virtualcell`, the same as `virtualcell`."""

from virtualcell.cli import main

if __name__ == "__main__":
    main()
