"""What purifiers are made of: schedules, samplers, the denoiser, resizing."""
