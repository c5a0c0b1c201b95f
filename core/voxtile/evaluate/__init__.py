"""Zero-shot evaluation: tasks, metrics, intervals, baselines, reports."""
