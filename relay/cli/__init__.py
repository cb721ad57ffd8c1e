"""The command line: thin commands over the rooms. Heavy imports stand inside the commands, so that help is quick."""
