"""`python -m perception` is `perception`."""

from perception.commands.app import main

if __name__ == "__main__":
    main()
