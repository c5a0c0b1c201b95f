"""Readers of one kind of statement each: findings, grades, margins, nodes, invasion, stains, response, stage."""
