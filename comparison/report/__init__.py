"""What a grid's results say: statistics, tables, plots, pages."""
