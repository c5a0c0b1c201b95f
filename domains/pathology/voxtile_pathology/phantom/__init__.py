"""The H&E phantom: synthetic whole slides with known tissue, reports and labels."""
