"""`python -m o2diffusion`, the same as `o2diffusion`."""

from o2diffusion.cli import main

if __name__ == "__main__":
    main()
