"""Reports beside the papers' tables: what is written under `results/bench/` and `results/growth/`."""
