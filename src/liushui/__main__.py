"""`python -m liushui`."""

from liushui.cli import main

if __name__ == "__main__":
    main()
