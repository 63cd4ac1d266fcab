"""The transition window: what becomes of rows that both stores go on changing."""
