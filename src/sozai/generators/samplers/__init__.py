"""How a fitted denoiser is sampled: steps, paths, guidance; none of them retrains it."""
