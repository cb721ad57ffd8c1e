"""``python -m relay.cli``, the same as ``truc``."""

from relay.cli.main import main

if __name__ == "__main__":
    main(prog_name="truc")
