"""`python -m cytosol`, the same as `cytosol`."""

from cytosol.commands import main

if __name__ == "__main__":
    main()
