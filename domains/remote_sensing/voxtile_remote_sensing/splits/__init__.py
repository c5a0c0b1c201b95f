"""Splits by place: blocks on the globe with a buffer, so that no test tile touches a training tile."""
