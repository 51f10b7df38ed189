"""The papers beside what was measured: findings, comparison, pages."""
