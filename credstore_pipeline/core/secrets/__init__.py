"""Passwords: what is ciphertext, opening it, sealing it anew, and doing so in bulk.

Imports nothing by itself: workers load this package and must stay free of pandas, Arrow and SQLAlchemy.
"""
