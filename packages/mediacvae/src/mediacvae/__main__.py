"""`python -m mediacvae`, the same as `mediacvae`."""

from mediacvae.cli import main

if __name__ == "__main__":
    main()
