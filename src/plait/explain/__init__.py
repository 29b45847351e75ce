"""What a predictor relies on."""
