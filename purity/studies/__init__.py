"""The papers' studies, a file each: its arithmetic, tables, figures and evidence. Nothing here needs torch."""
