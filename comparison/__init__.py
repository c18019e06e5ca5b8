"""Fair comparison: grids of runs, their cells one after another, and the report."""
