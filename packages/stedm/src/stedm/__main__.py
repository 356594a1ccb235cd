"""`python -m stedm`, the same as `stedm`."""

from stedm.cli import main

if __name__ == "__main__":
    main()
