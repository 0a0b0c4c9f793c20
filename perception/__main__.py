"""`python -m perception` is `perception`."""

from perception.cli import main

if __name__ == "__main__":
    main()
