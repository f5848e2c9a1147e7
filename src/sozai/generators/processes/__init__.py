"""How data is corrupted and brought back: noise schedules, discrete and curved noise, bijections, quantisers."""
