"""What the papers claim, and whether it holds: claims as data, trainings that decide them, verdicts by rule."""
