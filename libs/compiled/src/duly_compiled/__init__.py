"""The step of scoring compiled by mypyc: `build` makes it, `use` has a process import it instead of the source."""
