"""Simulated microscopy with known truth: blood smears and fluorescence fields."""
