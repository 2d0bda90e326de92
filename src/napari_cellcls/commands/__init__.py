"""The commands of the terminal, one module each; the cores below them know no terminal."""
